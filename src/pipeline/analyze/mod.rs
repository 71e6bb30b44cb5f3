//! Phase 2: from a specification to numbered, classified, checkable requirements, and what is contradictory or missing.
//!
//! Reads the document and nothing else, so it is safe to repeat: equal documents give equal requirements. A statement
//! becomes checkable only when it plainly restates something that is checked anyway, and every such link is reported;
//! what no machine can check stays a requirement of its own, unverified.

mod about_fields;
mod about_operations;
mod about_rules;
mod bounds;
mod classify;
mod consistency;
mod gaps;
mod link;
mod project;
mod relations;
mod words;

use std::collections::BTreeSet;

pub use project::PROJECT_CHECKS;
pub(super) use words::one_line;

use serde::{Deserialize, Serialize};

use crate::model::entity::{Field, FieldSource, FieldType, Limits};
use crate::model::operation::Behaviour;
use crate::model::spec::{StatedTask, Statement, StatementOrigin};
use crate::model::{
    Entity, Finding, OnDelete, Operation, Position, Requirement, RequirementClass, Severity, SpecDocument, SpecFormat, Subject,
};

/// What a specification demands, and what was noticed about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// The requirements, numbered in source order.
    pub requirements: Vec<Requirement>,
    /// Structural contradictions (errors), gaps, statements that no check covers or that something contradicts (warnings),
    /// links (infos); in source order.
    pub findings: Vec<Finding>,
}

impl Analysis {
    /// True when parts of the document cannot both hold, so that nothing should be built from it.
    pub fn contradictory(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The same with the findings of the reader; what both noticed at one place is told once, in the reader's words.
    #[must_use]
    pub fn joined(mut self, mut earlier: Vec<Finding>) -> Self {
        earlier.append(&mut self.findings);
        let mut seen = BTreeSet::new();
        earlier.retain(|finding| {
            seen.insert((finding.code.clone(), finding.position, finding.position.is_none().then(|| finding.message.clone())))
        });
        earlier.sort_by_key(|finding| (finding.position.is_none(), finding.position));
        self.findings = earlier;
        self
    }
}

/// Splits a specification into requirements.
pub fn analyze(document: &SpecDocument) -> Analysis {
    let mut findings = consistency::contradictions(document);
    findings.extend(gaps::gaps(document));
    let mut drafts = Vec::new();
    drafts.extend(document.entities.iter().map(entity_draft));
    drafts.extend(document.entities.iter().flat_map(field_drafts));
    drafts.extend(document.operations.iter().map(operation_draft));
    drafts.extend(document.rules.iter().map(rule_draft));
    drafts.extend(scheme_drafts(document));
    drafts.extend(document.tech_stack.iter().map(tech_draft));
    drafts.extend(statement_drafts(document, &mut findings));
    drafts.extend(document.stated_tasks.iter().map(stated_task_draft));
    Analysis { requirements: number(drafts), findings: Vec::new() }.joined(findings)
}

/// A requirement before it has a number.
struct Draft {
    text: String,
    class: RequirementClass,
    priority: u8,
    subject: Subject,
    position: Option<Position>,
}

/// The priority of a requirement when the source says nothing.
const PRIORITY_DEFAULT: u8 = 3;

fn draft(text: String, class: RequirementClass, subject: Subject, position: Option<Position>) -> Draft {
    Draft { text, class, priority: PRIORITY_DEFAULT, subject, position }
}

/// Sorts by source position, what was derived last; drops what says the same about the same; numbers the rest.
fn number(mut drafts: Vec<Draft>) -> Vec<Requirement> {
    drafts.sort_by_key(|draft| (draft.position.is_none(), draft.position));
    let mut seen = BTreeSet::new();
    drafts.retain(|draft| {
        let about = if matches!(draft.subject, Subject::Statement(_)) { String::new() } else { draft.subject.to_string() };
        seen.insert((words::normalized(&draft.text), about))
    });
    let number = |(at, draft): (usize, Draft)| Requirement {
        key: format!("R-{:03}", at + 1),
        weight: if draft.class.needs_evidence() { 3 } else { 1 },
        text: draft.text,
        class: draft.class,
        priority: draft.priority,
        subject: draft.subject,
        position: draft.position,
    };
    drafts.into_iter().enumerate().map(number).collect()
}

fn entity_draft(entity: &Entity) -> Draft {
    let fields: Vec<&str> = entity.fields.iter().map(|field| field.name.as_str()).collect();
    let text = format!("{} is stored with {}", entity.name, fields.join(", "));
    draft(text, RequirementClass::Data, Subject::Entity(entity.name.clone()), entity.position)
}

fn field_drafts(entity: &Entity) -> impl Iterator<Item = Draft> {
    entity.fields.iter().filter(|field| !field.primary_key && field.source == FieldSource::Client).filter_map(|field| {
        let constraints = constraints(field);
        let name = format!("{}.{}", entity.name, field.name);
        let text = format!("{name}: {}", constraints.join(", "));
        (!constraints.is_empty()).then(|| draft(text, RequirementClass::Data, Subject::Field(name), field.position))
    })
}

/// The constraints of a field, in words.
fn constraints(field: &Field) -> Vec<String> {
    let mut found = Vec::new();
    let mut when = |holds: bool, text: &str| {
        if holds {
            found.push(text.to_owned());
        }
    };
    when(field.required, "required");
    when(field.unique, "unique");
    when(field.immutable, "never changes");
    when(field.write_only, "never shown");
    match &field.field_type {
        FieldType::Email => found.push("an e-mail address".to_owned()),
        FieldType::Url => found.push("an absolute URL".to_owned()),
        FieldType::Enum(values) => found.push(format!("one of {}", values.join(", "))),
        FieldType::Decimal { precision, scale } => found.push(format!("at most {precision} digits, {scale} after the point")),
        FieldType::Reference { entity, on_delete } => found.push(match on_delete {
            OnDelete::Restrict => format!("refers to {entity}, which cannot be deleted meanwhile"),
            OnDelete::Cascade => format!("refers to {entity} and is deleted with it"),
            OnDelete::SetNull => format!("refers to {entity} and is emptied when that is deleted"),
        }),
        _ => {}
    }
    found.extend(limits(&field.limits));
    found
}

fn limits(limits: &Limits) -> Vec<String> {
    let mut found = Vec::new();
    match (limits.length_min, limits.length_max) {
        (Some(min), Some(max)) => found.push(format!("length {min} to {max}")),
        (Some(min), None) => found.push(format!("length at least {min}")),
        (None, Some(max)) => found.push(format!("length at most {max}")),
        (None, None) => {}
    }
    if let Some(min) = &limits.min {
        found.push(format!("{} {min}", if limits.min_exclusive { "more than" } else { "at least" }));
    }
    if let Some(max) = &limits.max {
        found.push(format!("{} {max}", if limits.max_exclusive { "less than" } else { "at most" }));
    }
    found.extend(limits.multiple_of.iter().map(|step| format!("a multiple of {step}")));
    found.extend(limits.pattern.iter().map(|pattern| format!("matches `{pattern}`")));
    found
}

fn operation_draft(operation: &Operation) -> Draft {
    let does = match (&operation.behaviour, operation.summary.trim()) {
        (_, summary) if !summary.is_empty() => summary.to_owned(),
        (Behaviour::Underivable { .. }, _) => "is served as documented".to_owned(),
        (Behaviour::Act { row, set }, _) => {
            let set: Vec<String> = set
                .iter()
                .map(|(field, value)| format!("{field} = {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
                .collect();
            format!("set {} of {}", set.join(", "), row.entity)
        }
        (behaviour, _) => format!("{} {}", behaviour.verb(), behaviour.entity().unwrap_or_default()),
    };
    let text = format!("{}: {}", operation.key, words::one_line(&does));
    draft(text, RequirementClass::Api, Subject::Operation(operation.key.clone()), operation.position)
}

fn rule_draft(rule: &crate::model::Rule) -> Draft {
    let text = if rule.text.starts_with(&rule.entity) { rule.text.clone() } else { format!("{}: {}", rule.entity, rule.text) };
    draft(words::one_line(&text), RequirementClass::Functional, Subject::Rule(rule.key.clone()), Some(rule.position))
}

/// One requirement for each scheme that an operation demands.
fn scheme_drafts(document: &SpecDocument) -> impl Iterator<Item = Draft> {
    document.security_schemes.iter().filter_map(|scheme| {
        let guarded = document.operations.iter().filter(|operation| operation.security.contains(&scheme.name)).count();
        let plural = if guarded == 1 { "operation demands" } else { "operations demand" };
        let text = format!("{guarded} {plural} {} ({})", scheme.name, scheme.kind);
        let subject = Subject::Project(format!("security/{}", scheme.name));
        (guarded > 0).then(|| draft(text, RequirementClass::Security, subject, scheme.position))
    })
}

fn tech_draft(tech: &crate::model::spec::TechChoice) -> Draft {
    let subject = Subject::Project(format!("tech-stack/{}", tech.topic));
    draft(format!("{}: {}", tech.topic, words::one_line(&tech.choice)), RequirementClass::Constraint, subject, Some(tech.position))
}

/// The subject of a task that the document lists; the planner gives the same to its unit.
pub fn stated_task_subject(task: &StatedTask) -> Subject {
    Subject::Statement(words::one_line(&task.title))
}

/// The subject of a statement that nothing checks; the planner gives the same to the unit of its section.
pub fn statement_subject(statement: &Statement) -> Subject {
    Subject::Statement(words::one_line(&statement.text))
}

fn stated_task_draft(task: &StatedTask) -> Draft {
    let text = words::one_line(&task.title);
    let priority = classify::priority(&text);
    Draft { text, class: RequirementClass::Functional, priority, subject: stated_task_subject(task), position: Some(task.position) }
}

fn statement_drafts(document: &SpecDocument, findings: &mut Vec<Finding>) -> Vec<Draft> {
    let linker = link::Linker::new(document);
    let mut unchecked = 0;
    let mut drafts = Vec::new();
    for statement in &document.statements {
        let text = words::one_line(&statement.text);
        let class = classify::class(statement);
        let priority = classify::priority(&text);
        let link = if document.format == SpecFormat::Prose { link::Link::None } else { linker.link(statement) };
        let position = Some(statement.position);
        let subject = match link {
            link::Link::To { subject, because } => {
                let message = format!("“{text}” is taken as a restatement of {subject}: {because}");
                findings.push(Finding::info("statement-linked", message, position, "reword it if it means something else"));
                subject
            }
            link::Link::Contradicts { what } => {
                let hint = "change one of the two; they cannot both hold";
                findings.push(Finding::warning("contradiction", format!("“{text}” contradicts {what}"), position, hint));
                statement_subject(statement)
            }
            link::Link::None => {
                unchecked += 1;
                if document.format != SpecFormat::Prose {
                    findings.push(unchecked_finding(&text, class, statement.origin, position));
                }
                statement_subject(statement)
            }
        };
        drafts.push(Draft { text, class, priority, subject, position });
    }
    if document.format == SpecFormat::Prose && unchecked > 0 {
        let message = format!("{unchecked} statements in prose are kept as requirements that no machine can check");
        let hint = "state entities, endpoints and rules as in the structured Markdown format, or configure an agent";
        findings.push(Finding::warning("prose-unverified", message, None, hint));
    }
    drafts
}

fn unchecked_finding(text: &str, class: RequirementClass, origin: StatementOrigin, position: Option<Position>) -> Finding {
    let message = format!("no check follows from “{text}”");
    if class.needs_evidence() {
        let hint = match origin {
            StatementOrigin::Rule => "use the documented rule syntax, for example `Book: price > 0 when status = published`",
            _ => "state it under `## Rules`, for example `Book: may be deleted only when status = draft`; until then a run ends partial",
        };
        return Finding::warning("statement-unverified", message, position, hint);
    }
    Finding::info("statement-unverified", message, position, "it is listed as unverified; it does not keep a run from succeeding")
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
