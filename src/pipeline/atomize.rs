//! Phase 4: which nodes of a plan are executed, and that no two of them get in each other's way.
//!
//! Units from blueprints are as large as the target pack makes them, because their keys are the pack's; units made from
//! sections of prose are split when they are too large and merged when they are trivial, and each such change is a finding.
//! Two units that may run at once never write the same file: the one that comes later in the plan waits.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{PlanError, node, refuse_shared_keys};
use super::schedule;
use crate::generate::Blueprint;
use crate::model::{Dependency, Finding, Plan, Role, Task, TaskKind};

/// The most criteria of one unit made from prose; a section with more becomes several.
const CRITERIA_MAX: usize = 12;
/// A section with fewer criteria joins the one before it.
const CRITERIA_MIN: usize = 2;
/// The least units of a container that are worth a gate.
const GATE_UNITS_MIN: usize = 3;

/// Splits what is too large and merges what is trivial among the sections of a document.
pub(super) fn fit(sections: Vec<Blueprint>) -> (Vec<Blueprint>, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut fitted: Vec<Blueprint> = Vec::new();
    for section in sections {
        match fitted.last_mut() {
            Some(last) if trivial(&section) && last.criteria.len() < CRITERIA_MAX && last.phase == section.phase => {
                let message = format!("“{}” is too small for a task and joins “{}”", section.title, last.title);
                findings.push(Finding::info("unit-merged", message, section.position, "nothing is lost; add detail to keep it apart"));
                let separator = if last.description.is_empty() { "" } else { " " };
                last.description = format!("{}{separator}Also: {}.", last.description, section.title);
                last.criteria.extend(section.criteria);
                last.subjects.extend(section.subjects);
            }
            _ => fitted.push(section),
        }
    }
    let split = fitted.into_iter().flat_map(|section| split(section, &mut findings)).collect();
    (split, findings)
}

/// Too small for a task of its own, unless the document counts it as one: `US-2: Presets`, `3. Export`.
fn trivial(section: &Blueprint) -> bool {
    let numbered = section.title.split_once([':', '.']).is_some_and(|(number, _)| number.ends_with(|last: char| last.is_ascii_digit()));
    section.criteria.len() < CRITERIA_MIN && !numbered
}

fn split(section: Blueprint, findings: &mut Vec<Finding>) -> Vec<Blueprint> {
    if section.criteria.len() <= CRITERIA_MAX {
        return vec![section];
    }
    let parts = section.criteria.len().div_ceil(CRITERIA_MAX);
    let size = section.criteria.len().div_ceil(parts);
    let message = format!("“{}” states {} things and is split into {parts} tasks", section.title, section.criteria.len());
    findings.push(Finding::info("unit-split", message, section.position, "divide the section to choose the parts yourself"));
    let part = |(at, (criteria, subjects)): (usize, (&[String], &[crate::model::Subject]))| Blueprint {
        key: format!("{}/{}", section.key, at + 1),
        title: format!("{} ({} of {parts})", section.title, at + 1),
        criteria: criteria.to_vec(),
        subjects: subjects.to_vec(),
        ..section.clone()
    };
    section.criteria.chunks(size).zip(section.subjects.chunks(size)).enumerate().map(part).collect()
}

/// Serialises units that write the same file, and puts gates where a unit waits for a whole container.
pub fn atomize(plan: &mut Plan) -> Result<(), PlanError> {
    serialise(plan)?;
    gates(plan);
    refuse_shared_keys(plan)
}

/// Orders units that write the same file and are not ordered otherwise: an edge with its reason, and a finding.
pub(super) fn serialise(plan: &mut Plan) -> Result<(), PlanError> {
    let graph = schedule::graph(plan)?;
    let files: Vec<Vec<String>> = schedule::executed(plan).map(|task| task.files.clone()).collect();
    for conflict in graph.conflicts(&files) {
        let (earlier, later) = (graph.key(conflict.earlier), graph.key(conflict.later));
        let message = format!("{earlier} and {later} both write {}, so the second waits for the first", conflict.path);
        let position = plan.task(later).and_then(|task| task.position);
        plan.findings.push(Finding::warning("file-conflict", message, position, "declare separate files to let them run side by side"));
        let reason = format!("both write {}", conflict.path);
        plan.dependencies.push(Dependency { task: later.to_owned(), depends_on: earlier.to_owned(), reason });
    }
    plan.dependencies.sort();
    Ok(())
}

/// Puts a gate behind a container wherever several units need all of its units: n+m edges instead of n×m.
pub(super) fn gates(plan: &mut Plan) {
    let containers: Vec<Task> = plan.tasks.iter().filter(|task| task.kind == TaskKind::TaskGroup).cloned().collect();
    for container in containers {
        let members: BTreeSet<String> =
            plan.units().filter(|unit| unit.parent.as_deref() == Some(&container.key)).map(|unit| unit.key.clone()).collect();
        let dependents = dependents_of_all(plan, &members);
        if members.len() >= GATE_UNITS_MIN && dependents.len() >= 2 {
            gate(plan, &container, &members, &dependents);
        }
    }
    plan.dependencies.sort();
}

/// Units outside of a set that depend on each of it, with the reason when it is one and the same.
fn dependents_of_all(plan: &Plan, members: &BTreeSet<String>) -> BTreeMap<String, Option<String>> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for edge in plan.dependencies.iter().filter(|edge| members.contains(&edge.depends_on) && !members.contains(&edge.task)) {
        reasons.entry(&edge.task).or_default().push(&edge.reason);
    }
    let of_all = reasons.into_iter().filter(|(_, reasons)| reasons.len() == members.len());
    of_all
        .map(|(task, reasons)| (task.to_owned(), reasons.iter().all(|reason| *reason == reasons[0]).then(|| reasons[0].to_owned())))
        .collect()
}

fn gate(plan: &mut Plan, container: &Task, members: &BTreeSet<String>, dependents: &BTreeMap<String, Option<String>>) {
    let key = format!("{}/all", container.key);
    let title = format!("All of {}", container.title);
    let bare = node(key.clone(), TaskKind::Task, Role::Gate, container.task_type, container.phase, &title, container.priority, 0);
    let task = Task { parent: Some(container.key.clone()), ..bare };
    plan.dependencies.retain(|edge| !(members.contains(&edge.depends_on) && dependents.contains_key(&edge.task)));
    let part =
        |member: &String| Dependency { task: key.clone(), depends_on: member.clone(), reason: format!("part of {}", container.title) };
    plan.dependencies.extend(members.iter().map(part));
    let behind = |(task, reason): (&String, &Option<String>)| Dependency {
        task: task.clone(),
        depends_on: key.clone(),
        reason: reason.clone().unwrap_or_else(|| format!("it needs all of {}", container.title)),
    };
    plan.dependencies.extend(dependents.iter().map(behind));
    let end = end_of(plan, &container.key);
    plan.tasks.insert(end, task);
}

/// Where a container's last descendant ends in the list of tasks.
fn end_of(plan: &Plan, container: &str) -> usize {
    let mut below: BTreeSet<&str> = BTreeSet::from([container]);
    let mut end = 0;
    for (at, task) in plan.tasks.iter().enumerate() {
        let inside = task.key == container || task.parent.as_deref().is_some_and(|parent| below.contains(parent));
        if inside {
            below.insert(&task.key);
            end = at + 1;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Position, Subject};

    fn section(title: &str, criteria: usize) -> Blueprint {
        let criteria: Vec<String> = (0..criteria).map(|at| format!("{title} {at}")).collect();
        Blueprint {
            key: format!("section/{title}"),
            group: "Stated in prose".to_owned(),
            phase: 3,
            task_type: crate::model::TaskType::Generic,
            title: title.to_owned(),
            description: String::new(),
            priority: 3,
            effort_points: 1,
            files: Vec::new(),
            depends_on: Vec::new(),
            skills: Vec::new(),
            subjects: criteria.iter().cloned().map(Subject::Statement).collect(),
            criteria,
            expected_output: String::new(),
            steps: Vec::new(),
            position: Some(Position::line(1)),
            waiting: None,
        }
    }

    fn check(sizes: &[usize], expect: &[usize], codes: &[&str]) {
        let sections = sizes.iter().enumerate().map(|(at, size)| section(&format!("s{at}"), *size)).collect();
        let (fitted, findings) = fit(sections);
        assert_eq!(fitted.iter().map(|section| section.criteria.len()).collect::<Vec<_>>(), expect);
        assert!(fitted.iter().all(|section| section.criteria.len() == section.subjects.len()));
        assert_eq!(findings.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>(), codes);
    }

    #[test]
    fn sections_are_split_and_merged_and_nothing_is_lost() {
        check(&[3, 4], &[3, 4], &[]);
        check(&[3, 1, 4], &[4, 4], &["unit-merged"]);
        check(&[1, 1], &[2], &["unit-merged"]);
        check(&[1], &[1], &[]);
        check(&[CRITERIA_MAX], &[CRITERIA_MAX], &[]);
        check(&[CRITERIA_MAX + 1], &[7, 6], &["unit-split"]);
        check(&[CRITERIA_MAX, 1], &[CRITERIA_MAX, 1], &[]);
    }

    #[test]
    fn sections_with_a_number_of_their_own_stay_apart() {
        let (fitted, findings) = fit(vec![section("US-1: Loop", 1), section("US-2: Presets", 1), section("Notes", 1)]);
        let titles: Vec<&str> = fitted.iter().map(|section| section.title.as_str()).collect();
        assert_eq!((titles, findings.len()), (vec!["US-1: Loop", "US-2: Presets"], 1));
    }
}
