//! A change of a plan under way: tasks are added, removed, made to wait for others, or done again, and the run moves to the newer version.
//!
//! [`apply`] is pure; [`change`] does it to a run within the caller's transaction.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::plan::PlanError;
use super::schedule;
use crate::engine::{Engine, EngineError, Replanned, acts};
use crate::model::plan::{Effort, EffortUnit, Waiting};
use crate::model::{Actor, AgentKind, Dependency, Phase, Plan, PlanId, Role, RunId, RunState, Task, TaskKind, TaskType};
use crate::store::postgres::{StoreError, TenantTx, phases, plans, runs};

/// The largest change, in entries of each list.
const ENTRIES_MAX: usize = 1_000;
/// The longest key of a new task, in bytes.
const KEY_BYTES_MAX: usize = 200;
/// The longest title or description, in characters.
const TEXT_CHARS_MAX: usize = 10_000;

/// What is to change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanChange {
    /// New tasks, performed by whoever is configured for work that no template covers.
    pub add: Vec<NewTask>,
    /// Keys of units that are not wanted any more. What waited for them does so no longer.
    pub remove: Vec<String>,
    /// New dependencies between tasks.
    pub depend: Vec<NewDependency>,
    /// Keys of finished units to do again, with everything that depends on them.
    pub redo: Vec<String>,
}

/// A task that is added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// Its key; no task of any version of the plan has it.
    pub key: String,
    /// One line.
    pub title: String,
    /// More lines.
    #[serde(default)]
    pub description: String,
    /// Keys of what it waits for.
    #[serde(default)]
    pub after: Vec<String>,
    /// Keys of what waits for it.
    #[serde(default)]
    pub before: Vec<String>,
    /// 1 (first) to 5 (last).
    #[serde(default = "usual_priority")]
    pub priority: u8,
    /// How much work it is, in points.
    #[serde(default = "usual_effort")]
    pub effort: u32,
    /// The files it writes.
    #[serde(default)]
    pub files: Vec<String>,
}

/// A dependency that is added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDependency {
    /// The later task.
    pub task: String,
    /// The earlier one.
    pub depends_on: String,
}

fn usual_priority() -> u8 {
    3
}

fn usual_effort() -> u32 {
    1
}

/// Why a plan cannot be changed like that.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// It names something that is not there.
    #[error("the plan has no unit {0:?}")]
    NoSuchUnit(String),
    /// A new task's key is taken.
    #[error("the plan has {0:?} already, or had it")]
    Taken(String),
    /// Two units would write the same file.
    #[error("{key} would write {path}, which {owner} writes")]
    FileTaken {
        /// The new task.
        key: String,
        /// The file.
        path: String,
        /// Whose it is.
        owner: String,
    },
    /// A value outside its range.
    #[error("{0}")]
    Invalid(String),
    /// The graph would not be one: a cycle, or an edge twice.
    #[error(transparent)]
    Graph(#[from] PlanError),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store of facts failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The plan with that change, scheduled anew. Every task that it had keeps its place; what is removed has the role `removed` from now on.
pub fn apply(plan: &Plan, change: &PlanChange) -> Result<Plan, ChangeError> {
    bounded(change)?;
    let mut plan = plan.clone();
    for key in &change.remove {
        remove(&mut plan, key)?;
    }
    for new in &change.add {
        add(&mut plan, new)?;
    }
    let edges = change.depend.iter().map(|edge| (edge.task.clone(), edge.depends_on.clone()));
    let of_new = change.add.iter().flat_map(|new| {
        let after = new.after.iter().map(|before| (new.key.clone(), before.clone()));
        after.chain(new.before.iter().map(|later| (later.clone(), new.key.clone())))
    });
    for (task, depends_on) in edges.chain(of_new) {
        for key in [&task, &depends_on] {
            let known = plan.tasks.iter().any(|task| task.key == *key && matches!(task.role, Role::Unit | Role::Gate));
            if !known {
                return Err(ChangeError::NoSuchUnit(key.clone()));
            }
        }
        plan.dependencies.push(Dependency { task, depends_on, reason: "added to the plan under way".to_owned() });
    }
    plan.dependencies.sort_by(|left, right| (&left.task, &left.depends_on).cmp(&(&right.task, &right.depends_on)));
    for key in &change.redo {
        unit(&plan, key)?;
    }
    schedule::schedule(&mut plan)?;
    Ok(plan)
}

fn bounded(change: &PlanChange) -> Result<(), ChangeError> {
    let lists = [change.add.len(), change.remove.len(), change.depend.len(), change.redo.len()];
    if lists.iter().any(|entries| *entries > ENTRIES_MAX) {
        return Err(ChangeError::Invalid(format!("a change has at most {ENTRIES_MAX} entries of each kind")));
    }
    for new in &change.add {
        let NewTask { key, title, description, priority, effort, after, before, files } = new;
        let refused = |what: String| Err(ChangeError::Invalid(format!("{key:?}: {what}")));
        if key.is_empty() || key.len() > KEY_BYTES_MAX || key.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
            return refused(format!("a key has 1 to {KEY_BYTES_MAX} bytes and no spaces"));
        }
        if title.trim().is_empty() || title.chars().count().max(description.chars().count()) > TEXT_CHARS_MAX {
            return refused(format!("a title is needed, and a text has at most {TEXT_CHARS_MAX} characters"));
        }
        if !(1..=5).contains(priority) || !(1..=1_000).contains(effort) {
            return refused("a priority goes from 1 to 5, an effort from 1 to 1000".to_owned());
        }
        if after.len().max(before.len()).max(files.len()) > ENTRIES_MAX {
            return refused(format!("it names at most {ENTRIES_MAX} others and files"));
        }
    }
    Ok(())
}

fn unit<'a>(plan: &'a Plan, key: &str) -> Result<&'a Task, ChangeError> {
    plan.units().find(|unit| unit.key == key).ok_or_else(|| ChangeError::NoSuchUnit(key.to_owned()))
}

fn remove(plan: &mut Plan, key: &str) -> Result<(), ChangeError> {
    unit(plan, key)?;
    for task in plan.tasks.iter_mut().filter(|task| task.key == key) {
        (task.role, task.wave, task.critical, task.slack) = (Role::Removed, None, false, 0);
    }
    plan.dependencies.retain(|edge| edge.task != key && edge.depends_on != key);
    Ok(())
}

fn add(plan: &mut Plan, new: &NewTask) -> Result<(), ChangeError> {
    if plan.tasks.iter().any(|task| task.key == new.key) {
        return Err(ChangeError::Taken(new.key.clone()));
    }
    let files: BTreeSet<&String> = new.files.iter().collect();
    for owner in plan.units() {
        if let Some(path) = owner.files.iter().find(|path| files.contains(path)) {
            return Err(ChangeError::FileTaken { key: new.key.clone(), path: path.clone(), owner: owner.key.clone() });
        }
    }
    plan.tasks.push(Task {
        key: new.key.clone(),
        parent: None,
        kind: TaskKind::Task,
        role: Role::Unit,
        task_type: TaskType::Generic,
        phase: 3,
        title: new.title.clone(),
        description: new.description.clone(),
        priority: new.priority,
        effort: Effort { amount: new.effort, unit: EffortUnit::Points },
        criteria: Vec::new(),
        expected_output: String::new(),
        files: new.files.clone(),
        skills: Vec::new(),
        requirements: Vec::new(),
        position: None,
        wave: None,
        critical: false,
        slack: 0,
        waiting: Some(Waiting {
            reason: "it was added to the plan under way, and no template covers it".to_owned(),
            configure: "configure an agent, or let a person approve it".to_owned(),
        }),
    });
    Ok(())
}

/// Does it to a run: the newer plan is stored and the run moved to it. A run that had ended goes on. The caller commits and then wakes the
/// workers.
pub async fn change(
    engine: &Engine,
    tx: &mut TenantTx,
    actor: &Actor,
    run: RunId,
    change: &PlanChange,
    reason: &str,
) -> Result<(PlanId, Replanned), ChangeError> {
    let row = runs::find(tx, run).await?.ok_or(EngineError::NoSuchRun { run })?;
    let not_planned = || EngineError::WrongState { run, state: "not planned yet", verb: "changed" };
    let plan = plans::load(tx, row.plan.ok_or_else(not_planned)?).await?.ok_or_else(not_planned)?;
    let plan = apply(&plan, change)?;
    // What is new has no template, whatever the target.
    let kind = |task: &Task| (task.role == Role::Unit).then_some(AgentKind::Manual);
    let moved = engine.replan_in(tx, actor, run, &plan, kind, (&change.redo, reason)).await?;
    if row.state != RunState::Running {
        let again = [Phase::Execute, Phase::Repair, Phase::Validate, Phase::Deploy, Phase::Health, Phase::Learn];
        phases::reopen(tx, run, &again.map(Phase::as_str)).await?;
    }
    if matches!(row.state, RunState::Partial | RunState::Failed) {
        acts::resume(tx, actor, run).await?;
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::plan;

    fn graph() -> Plan {
        let mut plan = plan(&[("a", 1), ("b", 1), ("gate", 0), ("c", 1)], &[("b", "a"), ("gate", "b"), ("c", "gate")]);
        plan.tasks[1].files = vec!["src/b.py".to_owned()];
        plan
    }

    fn new(key: &str, after: &[&str], before: &[&str]) -> NewTask {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        NewTask {
            key: key.to_owned(),
            title: "New".to_owned(),
            description: String::new(),
            after: keys(after),
            before: keys(before),
            priority: 3,
            effort: 1,
            files: Vec::new(),
        }
    }

    fn refused(change: &PlanChange) -> String {
        apply(&graph(), change).expect_err("it is refused").to_string()
    }

    #[test]
    fn places_stay_and_waves_are_counted_anew() {
        let change = PlanChange { add: vec![new("n", &["a"], &["gate"])], remove: vec!["b".to_owned()], ..PlanChange::default() };
        let plan = apply(&graph(), &change).expect("valid");
        let shown: Vec<(&str, Role, Option<u32>)> = plan.tasks.iter().map(|task| (task.key.as_str(), task.role, task.wave)).collect();
        let expect = [
            ("a", Role::Unit, Some(1)),
            ("b", Role::Removed, None),
            ("gate", Role::Gate, Some(3)),
            ("c", Role::Unit, Some(3)),
            ("n", Role::Unit, Some(2)),
        ];
        assert_eq!(shown, expect);
        assert_eq!(plan.waves, [vec!["a"], vec!["n"], vec!["c"]]);
    }

    #[test]
    fn what_makes_no_graph_is_refused() {
        let depend = |task: &str, depends_on: &str| PlanChange {
            depend: vec![NewDependency { task: task.to_owned(), depends_on: depends_on.to_owned() }],
            ..PlanChange::default()
        };
        assert!(refused(&depend("a", "c")).contains("cycle"), "{}", refused(&depend("a", "c")));
        assert!(refused(&depend("b", "a")).contains("twice"), "{}", refused(&depend("b", "a")));
        assert_eq!(refused(&depend("a", "z")), "the plan has no unit \"z\"");
        let add = |task| PlanChange { add: vec![task], ..PlanChange::default() };
        assert_eq!(refused(&add(new("a", &[], &[]))), "the plan has \"a\" already, or had it");
        let taken = NewTask { files: vec!["src/b.py".to_owned()], ..new("n", &[], &[]) };
        assert_eq!(refused(&add(taken)), "n would write src/b.py, which b writes");
        assert!(refused(&add(NewTask { priority: 9, ..new("n", &[], &[]) })).contains("from 1 to 5"));
        assert_eq!(refused(&PlanChange { remove: vec!["gate".to_owned()], ..PlanChange::default() }), "the plan has no unit \"gate\"");
    }
}
