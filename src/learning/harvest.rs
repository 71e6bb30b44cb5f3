//! From the units of a run to patterns: what worked with its code, what failed as a warning.

use std::fmt::Write as _;

use uuid::Uuid;

use super::{cut, words};
use crate::model::{
    CheckResult, Operation, OrganizationId, Pattern, PatternId, PatternKind, Plan, Requirement, Role, RunId, SpecDocument, SpecFormat,
    Subject, Task, Verdict,
};
use crate::redact::redact;

/// Under this name all ids of patterns are made (RFC 9562, version 5).
const NAMESPACE: Uuid = Uuid::from_u128(0x5e3a_96c2_7f0b_5d41_9b86_2d1c_43f7_a0e5);
/// Code of a pattern beyond this is cut at a line, which says so.
const CODE_BYTES_MAX: usize = 6 * 1024;
/// A failure's own words beyond this are cut.
const DETAIL_CHARACTERS_MAX: usize = 600;

/// What a run leaves to learn from.
#[derive(Debug, Clone, Copy)]
pub struct Harvest<'a> {
    /// Whose run it was.
    pub tenant: OrganizationId,
    /// The run.
    pub run: RunId,
    /// The specification.
    pub doc: &'a SpecDocument,
    /// The plan.
    pub plan: &'a Plan,
    /// The language of the target pack, for example `python`.
    pub language: &'a str,
    /// The framework of the target pack, for example `FastAPI`.
    pub framework: &'a str,
    /// The units that came to an end.
    pub units: &'a [UnitResult],
    /// True when the run succeeded as a whole.
    pub succeeded: bool,
}

/// A unit that passed its checks, or failed one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UnitResult {
    /// The unit's key.
    pub key: String,
    /// The text files it wrote: path and content.
    pub files: Vec<(String, String)>,
    /// What was checked; one that failed makes it a warning.
    pub checks: Vec<CheckResult>,
}

impl Harvest<'_> {
    /// Every pattern of the run. A unit (or an operation of it) whose own check failed becomes a warning. What passed is kept
    /// only where no check of the whole project failed and at least one check speaks for it. Same run, same patterns.
    pub fn patterns(&self) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for unit in self.units {
            let Some(task) = self.plan.task(&unit.key) else { continue };
            let operations = self.operations(task);
            if let Some(failed) = unit.checks.iter().find(|check| failed(check) && self.is_own(task, &operations, check)) {
                patterns.push(self.warning(task, &task.title, &words::task(task), failed));
                continue;
            }
            let broken = |operation: &Operation| unit.checks.iter().find(|check| failed(check) && is_about(check, operation));
            for (operation, failed) in operations.iter().filter_map(|operation| Some((*operation, broken(operation)?))) {
                patterns.push(self.warning(task, &title(operation), &words::operation(self.doc, operation), failed));
            }
            let project_failed = unit.checks.iter().any(|check| failed(check) && matches!(check.subject, Some(Subject::Project(_))));
            if !project_failed && unit.checks.iter().any(|check| check.verdict == Verdict::Passed) {
                patterns.push(self.planned(task, unit));
                let whole: Vec<&Operation> = operations.iter().copied().filter(|operation| broken(operation).is_none()).collect();
                patterns.extend(if operations.is_empty() { self.unit_code(task, unit) } else { self.operation_code(task, unit, &whole) });
            }
        }
        if self.succeeded && !self.units.is_empty() {
            patterns.push(self.sequence());
        }
        patterns
    }

    /// True when a check speaks of the unit as a whole: its files, or an entity, field or rule that it serves.
    fn is_own(&self, task: &Task, operations: &[&Operation], check: &CheckResult) -> bool {
        match &check.subject {
            None => true,
            Some(Subject::Project(_)) => false,
            Some(subject) => {
                let serves = |requirement: &&Requirement| task.requirements.contains(&requirement.key) && requirement.subject == *subject;
                !operations.iter().any(|operation| is_about(check, operation)) && self.plan.requirements.iter().any(|own| serves(&own))
            }
        }
    }

    /// How a unit was planned.
    fn planned(&self, task: &Task, unit: &UnitResult) -> Pattern {
        let waits: Vec<&str> =
            self.plan.dependencies.iter().filter(|edge| edge.task == task.key).map(|edge| edge.depends_on.as_str()).collect();
        let mut plan = String::new();
        writeln!(plan, "effort: {} {}", task.effort.amount, name(&task.effort.unit)).expect("writing to a text never fails");
        for (label, values) in [("files", listing(&task.files)), ("after", waits.join(", ")), ("skills", task.skills.join(", "))] {
            if !values.is_empty() {
                writeln!(plan, "{label}: {values}").expect("writing to a text never fails");
            }
        }
        self.pattern(PatternKind::Task, task, task.title.clone(), words::task(task), plan, passed(unit))
    }

    /// The code of a unit that is no router.
    fn unit_code(&self, task: &Task, unit: &UnitResult) -> Vec<Pattern> {
        let text = words::unit(self.doc, task);
        let code = bounded(&together(&unit.files));
        let pattern = || self.pattern(PatternKind::Code, task, task.title.clone(), text, code.clone(), passed(unit));
        if code.is_empty() { Vec::new() } else { vec![pattern()] }
    }

    /// One pattern for each operation of a router, with the checks that speak of it.
    fn operation_code(&self, task: &Task, unit: &UnitResult, operations: &[&Operation]) -> Vec<Pattern> {
        let pattern = |operation: &&Operation| {
            let code = bounded(&self.function(unit, operation)?);
            let about = |check: &&CheckResult| !matches!(check.subject, Some(Subject::Operation(_))) || is_about(check, operation);
            let evidence = passed_of(unit.checks.iter().filter(about));
            Some(self.pattern(PatternKind::Code, task, title(operation), words::operation(self.doc, operation), code, evidence))
        };
        operations.iter().filter_map(pattern).collect()
    }

    /// The operations that are steps of a unit.
    fn operations(&self, task: &Task) -> Vec<&Operation> {
        let steps = self.plan.tasks.iter().filter(|step| step.role == Role::Step && step.parent.as_deref() == Some(task.key.as_str()));
        steps.filter_map(|step| self.doc.operation(step.key.strip_prefix("api/")?)).collect()
    }

    /// The function of an operation; the whole files where it cannot be cut out.
    fn function(&self, unit: &UnitResult, operation: &Operation) -> Option<String> {
        if self.language == "python" {
            let found = unit.files.iter().find_map(|(_, content)| cut::python_function(content, &operation.ident));
            if let Some(function) = found {
                return Some(function.to_owned());
            }
        }
        let whole = together(&unit.files);
        if whole.is_empty() { None } else { Some(whole) }
    }

    /// What failed, so that the next one does not. What the check printed goes through [`redact`]: it may hold anything.
    fn warning(&self, task: &Task, title: &str, words: &str, failed: &CheckResult) -> Pattern {
        let detail: String = redact(&failed.detail).chars().take(DETAIL_CHARACTERS_MAX).collect();
        let text = format!("{words} Failed the check {}: {detail}", failed.name);
        let title = format!("{title} failed {}", failed.name);
        let warning = self.pattern(PatternKind::Code, task, title, text, detail, vec![failed.name.clone()]);
        identified(self.tenant, Pattern { success: false, ..warning })
    }

    /// The whole plan: groups in order, with how many units and waves.
    fn sequence(&self) -> Pattern {
        let groups = self.plan.tasks.iter().filter(|task| task.role == Role::Container).map(|task| task.title.as_str());
        let groups: Vec<&str> = groups.collect();
        let units = self.plan.units().count();
        let text = format!(
            "Plan of {}. {} Entities: {}. {} operations, {units} units in {} waves.",
            self.doc.title,
            self.doc.summary,
            self.doc.entities.iter().map(|entity| entity.name.as_str()).collect::<Vec<_>>().join(", "),
            self.doc.operations.len(),
            self.plan.waves.len(),
        );
        let waves = self.plan.waves.iter().enumerate().map(|(number, wave)| format!("wave {}: {}", number + 1, wave.join(", ")));
        let pattern = Pattern {
            id: PatternId(Uuid::nil()),
            kind: PatternKind::Sequence,
            title: format!("Plan of {}", self.doc.title),
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            code: bounded(&format!("{}\n\n{}\n", groups.join(" > "), waves.collect::<Vec<_>>().join("\n"))),
            language: self.language.to_owned(),
            framework: self.framework.to_owned(),
            unit_type: "plan".to_owned(),
            spec_type: self.spec_type(),
            success: true,
            run: self.run,
            unit_key: self.plan.spec.slug.clone(),
            evidence: vec!["every requirement passed".to_owned()],
        };
        identified(self.tenant, pattern)
    }

    fn pattern(&self, kind: PatternKind, task: &Task, title: String, text: String, code: String, evidence: Vec<String>) -> Pattern {
        let pattern = Pattern {
            id: PatternId(Uuid::nil()),
            kind,
            title,
            text,
            code,
            language: self.language.to_owned(),
            framework: self.framework.to_owned(),
            unit_type: name(&task.task_type),
            spec_type: self.spec_type(),
            success: true,
            run: self.run,
            unit_key: task.key.clone(),
            evidence,
        };
        identified(self.tenant, pattern)
    }

    fn spec_type(&self) -> String {
        name::<SpecFormat>(&self.doc.format)
    }
}

/// Gives a pattern the id of its content: where it came from is no part of it, so learning the same thing twice stores it once.
pub(super) fn identified(tenant: OrganizationId, pattern: Pattern) -> Pattern {
    let success = if pattern.success { "success" } else { "failure" };
    let tenant = tenant.to_string();
    let kind = name(&pattern.kind);
    let content =
        [&tenant, &kind, success, &pattern.language, &pattern.framework, &pattern.unit_type, &pattern.title, &pattern.text, &pattern.code];
    let parts = content.iter().map(|part| format!("{}:{part}", part.len()));
    let id = Uuid::new_v5(&NAMESPACE, parts.collect::<String>().as_bytes());
    Pattern { id: PatternId(id), ..pattern }
}

/// The text form of an enumeration.
fn name<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

fn failed(check: &CheckResult) -> bool {
    check.verdict == Verdict::Failed
}

fn is_about(check: &CheckResult, operation: &Operation) -> bool {
    matches!(&check.subject, Some(Subject::Operation(key)) if *key == operation.key)
}

fn title(operation: &Operation) -> String {
    if operation.summary.is_empty() { operation.key.clone() } else { format!("{}: {}", operation.key, operation.summary) }
}

fn passed(unit: &UnitResult) -> Vec<String> {
    passed_of(unit.checks.iter())
}

fn passed_of<'a>(checks: impl Iterator<Item = &'a CheckResult>) -> Vec<String> {
    let mut names: Vec<String> = checks.filter(|check| check.verdict == Verdict::Passed).map(|check| check.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

fn listing(files: &[String]) -> String {
    files.join(", ")
}

/// The files of a unit as one text; with a heading each when there are several.
fn together(files: &[(String, String)]) -> String {
    match files {
        [(_, only)] => only.clone(),
        several => several.iter().flat_map(|(path, content)| ["# ", path, "\n", content, "\n"]).collect(),
    }
}

/// Code within [`CODE_BYTES_MAX`], cut at a line; the last line says how many are not shown.
fn bounded(code: &str) -> String {
    if code.len() <= CODE_BYTES_MAX {
        return code.to_owned();
    }
    let mut kept = String::new();
    let mut lines = code.split_inclusive('\n');
    let mut shown = 0;
    for line in lines.by_ref() {
        if kept.len() + line.len() > CODE_BYTES_MAX {
            break;
        }
        kept.push_str(line);
        shown += 1;
    }
    let hidden = code.lines().count() - shown;
    if !kept.is_empty() && !kept.ends_with('\n') {
        kept.push('\n');
    }
    kept + &format!("… {hidden} more lines\n")
}
