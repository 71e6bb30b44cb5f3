//! From a draft to a document: entities, then rules and endpoints over them, then the contract.

use std::collections::BTreeSet;

use super::contract_status::Statuses;
use super::draft::{Draft, Text};
use super::limits::STATEMENTS_MAX;
use super::source::Source;
use super::{Ingested, contract, contract_operations, endpoint, entity, names, rule};
use crate::model::spec::ErrorStyle;
use crate::model::{Entity, Finding, Rule, RuleKind, SpecDocument, SpecFormat};
use crate::model::{Position, spec::StatementOrigin};

/// Checks a draft and derives its document.
pub(super) fn assemble(mut draft: Draft, source: &Source<'_>, format: SpecFormat) -> Ingested {
    let mut findings = std::mem::take(&mut draft.findings);
    let mut entities = entity::entities(&draft, &mut findings);
    let endpoints = endpoint::endpoints(&draft, &mut entities, &mut findings);
    let rules = rules(&mut draft, &mut entities, &mut findings);
    findings.extend(endpoints.iter().filter_map(|endpoint| rule::review_action(&endpoint.behaviour, &rules, endpoint.position)));
    let schemas = contract::schemas(&entities, &endpoints, &mut findings);
    let statuses = Statuses { rules: &rules, endpoints: &endpoints };
    let (operations, groups) = contract_operations::operations(&endpoints, &entities, &statuses);
    draft.statements.sort_by_key(|statement| statement.position);
    let document = SpecDocument {
        slug: names::slug(&draft.title),
        title: draft.title,
        version: draft.version,
        summary: draft.summary,
        format,
        content_hash: source.content_hash.clone(),
        entities,
        schemas,
        operations,
        groups,
        rules,
        errors: ErrorStyle::Problem,
        security_schemes: Vec::new(),
        statements: draft.statements,
        stated_tasks: Vec::new(),
        tech_stack: draft.tech_stack,
    };
    Ingested { document: Some(document), findings }
}

/// The rules of the rules section and of the fields' own columns; bullets outside of the syntax become statements.
fn rules(draft: &mut Draft, entities: &mut [Entity], findings: &mut Vec<Finding>) -> Vec<Rule> {
    let mut rules = Rules::default();
    for entity in entities.iter() {
        for field in entity.fields.iter().filter(|field| field.immutable) {
            let position = field.position.unwrap_or(Position::line(1));
            let kind = RuleKind::Immutable { field: field.name.clone() };
            rules.add(rule::rule(entity, &format!("{} never changes", field.name), kind, position));
        }
    }
    let bullets: Vec<Text> = std::mem::take(&mut draft.rules);
    if bullets.len() > STATEMENTS_MAX {
        findings.push(Finding::error("too-many-rules", format!("more than {STATEMENTS_MAX} rules"), None, "split the service"));
        return Vec::new();
    }
    for bullet in &bullets {
        match rule::read(bullet, entities) {
            rule::Read::Rule(rule) => {
                let Some(entity) = entities.iter_mut().find(|entity| entity.name == rule.entity) else { continue };
                findings.extend(rule::review(&rule, entity));
                if let RuleKind::Immutable { field } = &rule.kind {
                    mark_immutable(entity, field);
                }
                if let Some(finding) = rules.add(*rule) {
                    findings.push(finding);
                }
            }
            rule::Read::Wrong(finding) => findings.push(finding),
            rule::Read::Statement(finding) => {
                findings.push(finding);
                draft.state(&bullet.text, "Rules", StatementOrigin::Rule, bullet.position);
            }
        }
    }
    rules.found
}

fn mark_immutable(entity: &mut Entity, name: &str) {
    if let Some(field) = entity.fields.iter_mut().find(|field| field.name == name) {
        field.immutable = true;
    }
}

/// Rules with unique keys and identifiers.
#[derive(Default)]
struct Rules {
    found: Vec<Rule>,
    keys: BTreeSet<String>,
    idents: BTreeSet<String>,
}

impl Rules {
    /// Adds a rule; one that was stated before is left out, with a remark.
    fn add(&mut self, mut rule: Rule) -> Option<Finding> {
        let same = self.found.iter().find(|other| other.entity == rule.entity && other.kind == rule.kind);
        if let Some(same) = same {
            let message = format!("this rule is stated twice, first at {}", same.position);
            return Some(Finding::info("duplicate-rule", message, Some(rule.position), "remove one of them"));
        }
        rule.key = names::unique(rule.key, &mut self.keys);
        rule.ident = names::unique(rule.ident, &mut self.idents);
        self.found.push(rule);
        None
    }
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
