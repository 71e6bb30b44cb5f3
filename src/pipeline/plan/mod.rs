//! Phase 3: from a specification and the blueprints of a target pack to a plan.
//!
//! Passes, in order: hierarchy (phases, groups, units, steps), dependencies, traced requirements; then the atomize and
//! schedule phases. Pure: no store, no clock, no chance. The same specification and pack give the same plan, byte for
//! byte. Phases without a unit are left out: what specwave itself does while planning is not dressed up as a task.

mod generic;
mod trace;

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::analyze::{Analysis, analyze, one_line};
use super::{atomize, schedule};
use crate::dag::Defect;
use crate::generate::{Blueprint, GenerateError, Step, TargetPack};
use crate::model::plan::{Effort, EffortUnit, PLAN_SCHEMA_VERSION, PlanSpec, PlanTarget};
use crate::model::{Dependency, Finding, Plan, Role, Severity, SpecDocument, Task, TaskKind, TaskType};

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The target pack is unknown or cannot say what it needs; its text carries its own hint.
    #[error(transparent)]
    Target(#[from] GenerateError),
    /// Parts of the specification cannot both hold.
    #[error("the specification contradicts itself in {} place{}", .0.len(), if .0.len() == 1 { "" } else { "s" })]
    Contradictory(Vec<Finding>),
    /// The document names nothing to do.
    #[error("the document states nothing that could be built")]
    Nothing,
    /// Units and their dependencies are not a directed acyclic graph.
    #[error("the plan's dependencies do not hold together: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Graph(Vec<Defect>),
    /// Two nodes share a key.
    #[error("two nodes of the plan are called {0}")]
    DuplicateKey(String),
}

impl PlanError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Target(_) => None,
            Self::Contradictory(_) => Some("change one of the contradicting parts"),
            Self::Nothing => Some("describe entities and endpoints, or list what is to be done"),
            Self::Graph(_) => Some("remove one of the dependencies named"),
            Self::DuplicateKey(_) => Some("rename one of the parts that it was made from"),
        }
    }
}

/// The pack that builds a specification which asks for none.
pub const TARGET_DEFAULT: &str = "fastapi";

/// Plans a specification from start to end: the analysis, joined with what its reader noticed, and the units of the target
/// pack that is asked for, else the one that the document names, else [`TARGET_DEFAULT`]. A document without entities and
/// operations needs no pack.
pub fn plan_document(document: &SpecDocument, noticed: Vec<Finding>, target: Option<&str>) -> Result<Plan, PlanError> {
    let analysis = analyze(document).joined(noticed);
    if !document.generates() {
        return build(document, &analysis, &[], None);
    }
    let pack = TargetPack::load(target.unwrap_or_else(|| stated_target(document)))?;
    let target = PlanTarget { name: pack.name().to_owned(), version: pack.version().to_owned() };
    build(document, &analysis, &pack.blueprints(document)?, Some(target))
}

/// The target pack that a document asks for.
pub fn stated_target(document: &SpecDocument) -> &str {
    document.tech_stack.iter().find(|tech| tech.topic == "target").map_or(TARGET_DEFAULT, |tech| tech.choice.trim())
}

/// Plans a specification. `blueprints` are what the target pack says is needed, none when nothing is generated; tasks that
/// the document lists come on top, and where nothing else is known each section of it becomes a task.
pub fn build(
    document: &SpecDocument,
    analysis: &Analysis,
    blueprints: &[Blueprint],
    target: Option<PlanTarget>,
) -> Result<Plan, PlanError> {
    let mut plan = draft(document, analysis, blueprints, target)?;
    atomize::atomize(&mut plan)?;
    schedule::schedule(&mut plan)?;
    Ok(plan)
}

/// Phase 3 alone: hierarchy, dependencies and trace, not yet atomized and scheduled.
pub fn draft(
    document: &SpecDocument,
    analysis: &Analysis,
    blueprints: &[Blueprint],
    target: Option<PlanTarget>,
) -> Result<Plan, PlanError> {
    if analysis.contradictory() {
        let errors = analysis.findings.iter().filter(|finding| finding.severity == Severity::Error);
        return Err(PlanError::Contradictory(errors.cloned().collect()));
    }
    let mut plan = empty(document, analysis, target);
    let mut generic = generic::stated_tasks(document);
    if blueprints.is_empty() && generic.is_empty() {
        let (sections, mut remarks) = atomize::fit(generic::sections(document, analysis));
        generic = sections;
        plan.findings.append(&mut remarks);
    }
    let all: Vec<&Blueprint> = blueprints.iter().chain(&generic).collect();
    if all.is_empty() {
        return Err(PlanError::Nothing);
    }
    plan.tasks = hierarchy(&all);
    plan.dependencies = dependencies(&all);
    trace::trace(&mut plan, &all);
    Ok(plan)
}

fn empty(document: &SpecDocument, analysis: &Analysis, target: Option<PlanTarget>) -> Plan {
    Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        spec: PlanSpec {
            title: document.title.clone(),
            slug: document.slug.clone(),
            format: document.format,
            content_hash: document.content_hash.clone(),
        },
        target,
        requirements: analysis.requirements.clone(),
        tasks: Vec::new(),
        dependencies: Vec::new(),
        waves: Vec::new(),
        critical_path: Vec::new(),
        findings: analysis.findings.clone(),
    }
}

/// The title of a phase and what it is for.
pub fn phase_title(phase: u8) -> &'static str {
    match phase {
        1 => "Planning & Analysis",
        2 => "Design & Architecture",
        3 => "Implementation",
        4 => "Testing & Validation",
        _ => "Deployment & Documentation",
    }
}

/// The key of a phase.
pub fn phase_key(phase: u8) -> String {
    format!("phase/{phase}")
}

/// The key of a task group.
pub fn group_key(phase: u8, group: &str) -> String {
    format!("phase/{phase}/{}", slug(group))
}

/// A title as the part of a key: lower case, words joined by `-`.
pub(super) fn slug(title: &str) -> String {
    let words: Vec<String> = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    if words.is_empty() { "other".to_owned() } else { words.join("-") }
}

/// Pass 1: phases in order, in each its groups and their units as the blueprints come, below each unit its steps.
fn hierarchy(blueprints: &[&Blueprint]) -> Vec<Task> {
    let mut phases: BTreeMap<u8, Vec<(String, Vec<&Blueprint>)>> = BTreeMap::new();
    for &blueprint in blueprints {
        let groups = phases.entry(blueprint.phase.clamp(1, 5)).or_default();
        match groups.iter_mut().find(|(title, _)| slug(title) == slug(&blueprint.group)) {
            Some((_, members)) => members.push(blueprint),
            None => groups.push((blueprint.group.clone(), vec![blueprint])),
        }
    }
    let mut tasks = Vec::new();
    for (phase, groups) in phases {
        let members = || groups.iter().flat_map(|(_, members)| members.iter().copied());
        tasks.push(container(phase_key(phase), None, TaskKind::Phase, phase, phase_title(phase), members()));
        for (title, members) in &groups {
            let key = group_key(phase, title);
            let parent = Some(phase_key(phase));
            tasks.push(container(key.clone(), parent, TaskKind::TaskGroup, phase, title, members.iter().copied()));
            for blueprint in members {
                tasks.push(unit(blueprint, &key));
                tasks.extend(blueprint.steps.iter().map(|part| step(part, blueprint)));
            }
        }
    }
    tasks
}

fn container<'a>(
    key: String,
    parent: Option<String>,
    kind: TaskKind,
    phase: u8,
    title: &str,
    members: impl Iterator<Item = &'a Blueprint>,
) -> Task {
    let members: Vec<&Blueprint> = members.collect();
    let points = members.iter().map(|blueprint| blueprint.effort_points).sum();
    let types: BTreeSet<&str> = members.iter().map(|blueprint| type_name(blueprint.task_type)).collect();
    let task_type = if types.len() == 1 { members[0].task_type } else { TaskType::Generic };
    let priority = members.iter().map(|blueprint| blueprint.priority).min().unwrap_or(3);
    Task { parent, ..node(key, kind, Role::Container, task_type, phase, title, priority, points) }
}

fn unit(blueprint: &Blueprint, parent: &str) -> Task {
    let key = blueprint.key.clone();
    let phase = blueprint.phase.clamp(1, 5);
    let points = blueprint.effort_points.max(1);
    let bare = node(key, TaskKind::Task, Role::Unit, blueprint.task_type, phase, &blueprint.title, blueprint.priority.clamp(1, 5), points);
    Task {
        parent: Some(parent.to_owned()),
        description: blueprint.description.clone(),
        criteria: blueprint.criteria.clone(),
        expected_output: blueprint.expected_output.clone(),
        files: blueprint.files.clone(),
        skills: blueprint.skills.clone(),
        position: blueprint.position,
        waiting: blueprint.waiting.clone(),
        ..bare
    }
}

fn step(step: &Step, blueprint: &Blueprint) -> Task {
    let phase = blueprint.phase.clamp(1, 5);
    let bare = node(step.key.clone(), TaskKind::Subtask, Role::Step, step.task_type, phase, &step.title, blueprint.priority.clamp(1, 5), 0);
    Task { parent: Some(blueprint.key.clone()), position: step.position, ..bare }
}

#[expect(clippy::too_many_arguments, reason = "the eight properties that every kind of node has")]
pub(super) fn node(
    key: String,
    kind: TaskKind,
    role: Role,
    task_type: TaskType,
    phase: u8,
    title: &str,
    priority: u8,
    points: u32,
) -> Task {
    Task {
        key,
        parent: None,
        kind,
        role,
        task_type,
        phase,
        title: one_line(title),
        description: String::new(),
        priority,
        effort: Effort { amount: points, unit: EffortUnit::Points },
        criteria: Vec::new(),
        expected_output: String::new(),
        files: Vec::new(),
        skills: Vec::new(),
        requirements: Vec::new(),
        position: None,
        wave: None,
        critical: false,
        slack: 0,
        waiting: None,
    }
}

/// The text of a sort of work, as in JSON.
pub fn type_name(task_type: TaskType) -> &'static str {
    match task_type {
        TaskType::Analysis => "analysis",
        TaskType::Design => "design",
        TaskType::Model => "model",
        TaskType::Schema => "schema",
        TaskType::Crud => "crud",
        TaskType::Api => "api",
        TaskType::Auth => "auth",
        TaskType::Migration => "migration",
        TaskType::Infra => "infra",
        TaskType::Test => "test",
        TaskType::Docs => "docs",
        TaskType::Generic => "generic",
    }
}

/// Pass 2: the edges of the blueprints, each with all the reasons that are given for it.
fn dependencies(blueprints: &[&Blueprint]) -> Vec<Dependency> {
    let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for blueprint in blueprints {
        for (depends_on, reason) in &blueprint.depends_on {
            let known = reasons.entry((&blueprint.key, depends_on)).or_default();
            if !known.contains(&reason.as_str()) {
                known.push(reason);
            }
        }
    }
    let edge = |((task, depends_on), reasons): ((&str, &str), Vec<&str>)| Dependency {
        task: task.to_owned(),
        depends_on: depends_on.to_owned(),
        reason: reasons.join("; "),
    };
    reasons.into_iter().map(edge).collect()
}

pub(super) fn refuse_shared_keys(plan: &Plan) -> Result<(), PlanError> {
    let mut seen = BTreeSet::new();
    plan.tasks.iter().find(|task| !seen.insert(&task.key)).map_or(Ok(()), |task| Err(PlanError::DuplicateKey(task.key.clone())))
}

#[cfg(test)]
mod tests;
