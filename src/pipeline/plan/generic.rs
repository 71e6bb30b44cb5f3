//! Units that no generator covers: tasks that a document lists by itself, and sections of prose.

use std::collections::BTreeSet;

use super::super::analyze::{Analysis, one_line, stated_task_subject, statement_subject};
use super::slug;
use crate::generate::{Blueprint, Step};
use crate::model::plan::Waiting;
use crate::model::spec::{StatedTask, Statement};
use crate::model::{SpecDocument, Subject, TaskType};

/// Work that is stated in prose has no estimate; each such unit counts as one, so that a chain is as long as it has units.
const EFFORT_POINTS: u32 = 1;
/// The priority of a task when the document says nothing.
const PRIORITY_DEFAULT: u8 = 3;

/// The tasks that a document lists, with exactly the order it states.
pub(super) fn stated_tasks(document: &SpecDocument) -> Vec<Blueprint> {
    document.stated_tasks.iter().map(stated_task).collect()
}

fn stated_task(task: &StatedTask) -> Blueprint {
    let because =
        task.because.as_deref().map_or_else(|| "the document states it".to_owned(), |words| format!("stated: {}", one_line(words)));
    Blueprint {
        depends_on: task.depends_on.iter().map(|key| (key.clone(), because.clone())).collect(),
        description: task.details.trim().to_owned(),
        subjects: vec![stated_task_subject(task)],
        steps: steps(task),
        position: Some(task.position),
        ..generic(task.key.clone(), task.section.clone(), phase_of(&task.title), &task.title)
    }
}

/// The points listed below a task, when there are several.
fn steps(task: &StatedTask) -> Vec<Step> {
    let points: Vec<&str> =
        task.details.lines().filter_map(|line| line.trim().strip_prefix("- ").or_else(|| line.trim().strip_prefix("* "))).collect();
    if points.len() < 2 {
        return Vec::new();
    }
    let step = |(at, point): (usize, &&str)| Step {
        key: format!("{}/{}", task.key, at + 1),
        task_type: TaskType::Generic,
        title: one_line(point),
        subjects: Vec::new(),
        position: None,
    };
    points.iter().enumerate().map(step).collect()
}

/// The phase that the first word of a title speaks of; implementation unless it says otherwise.
fn phase_of(title: &str) -> u8 {
    let first = title.split_whitespace().next().unwrap_or_default().to_lowercase();
    match first.as_str() {
        "analyze" | "analyse" | "research" | "investigate" | "plan" => 1,
        "design" | "architect" | "model" => 2,
        "test" | "verify" | "validate" => 4,
        "deploy" | "document" | "release" | "publish" => 5,
        _ => 3,
    }
}

/// One unit for each section that demands something, in the order of the document; of a document without any demand, one
/// for each section.
pub(super) fn sections(document: &SpecDocument, analysis: &Analysis) -> Vec<Blueprint> {
    let demanded: BTreeSet<&Subject> = analysis
        .requirements
        .iter()
        .filter(|requirement| requirement.class.needs_evidence())
        .map(|requirement| &requirement.subject)
        .collect();
    let mut sections: Vec<(&str, Vec<&Statement>)> = Vec::new();
    for statement in &document.statements {
        match sections.iter_mut().find(|(title, _)| *title == statement.section) {
            Some((_, members)) => members.push(statement),
            None => sections.push((&statement.section, vec![statement])),
        }
    }
    let demands = |members: &[&Statement]| members.iter().any(|statement| demanded.contains(&statement_subject(statement)));
    if sections.iter().any(|(_, members)| demands(members)) {
        sections.retain(|(_, members)| demands(members));
    }
    let mut taken = BTreeSet::new();
    sections.iter().map(|(title, members)| section(document, title, members, &mut taken)).collect()
}

fn section(document: &SpecDocument, title: &str, members: &[&Statement], taken: &mut BTreeSet<String>) -> Blueprint {
    let title = if title.trim().is_empty() { &document.title } else { title };
    let mut key = format!("section/{}", slug(title));
    let mut copy = 1;
    while !taken.insert(key.clone()) {
        copy += 1;
        key = format!("section/{}-{copy}", slug(title));
    }
    let texts: Vec<String> = members.iter().map(|statement| one_line(&statement.text)).collect();
    Blueprint {
        criteria: texts,
        subjects: members.iter().map(|statement| statement_subject(statement)).collect(),
        position: members.first().map(|statement| statement.position),
        ..generic(key, "Stated in prose".to_owned(), phase_of(title), title)
    }
}

fn generic(key: String, group: String, phase: u8, title: &str) -> Blueprint {
    let waiting = Waiting {
        reason: "it is stated in prose, and no generator builds from prose".to_owned(),
        configure: "an agent that writes code, or hand it in yourself".to_owned(),
    };
    Blueprint {
        key,
        group,
        phase,
        task_type: TaskType::Generic,
        title: title.to_owned(),
        description: String::new(),
        priority: PRIORITY_DEFAULT,
        effort_points: EFFORT_POINTS,
        files: Vec::new(),
        depends_on: Vec::new(),
        skills: Vec::new(),
        criteria: Vec::new(),
        expected_output: String::new(),
        subjects: Vec::new(),
        steps: Vec::new(),
        position: None,
        waiting: Some(waiting),
    }
}
