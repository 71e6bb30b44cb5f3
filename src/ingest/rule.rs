//! Reads business rules, `Entity: …`. The grammar is described in `FORMAT.md`.

use super::draft::Text;
use super::entity;
use super::names;
use super::nearest::nearest;
use super::rule_condition::{Conditions, Trouble};
use super::rule_words::{TokenKind, tokens};
use super::{field, rule_hint};
use crate::model::rule::Condition;
use crate::model::{Behaviour, Entity, FieldType, Finding, Position, Rule, RuleKind};

/// Most characters of a rule's identifier: nearly every rule keeps all of its words.
const RULE_IDENT_CHARS_MAX: usize = 72;

/// A bullet of the rules section, read.
#[derive(Debug, PartialEq)]
pub(super) enum Read {
    /// A rule in the documented syntax.
    Rule(Box<Rule>),
    /// A sentence outside of it, with the remark that says so.
    Statement(Finding),
    /// A rule with a mistake in it.
    Wrong(Finding),
}

/// Reads one bullet.
pub(super) fn read(bullet: &Text, entities: &[Entity]) -> Read {
    let Some((name, body)) = bullet.text.split_once(':') else {
        let hint = "write `Entity: …`, for example `Book: price >= 0`";
        return Read::Statement(Finding::warning("rule-without-entity", "this rule names no entity", Some(bullet.position), hint));
    };
    let name_text = Text::new(name.trim().trim_matches(['`', '*']), bullet.position);
    let offset = name.len() + 1 + body.len() - body.trim_start().len();
    let body = Text::new(body.trim().trim_end_matches('.').trim_end(), bullet.at(offset));
    let Some(entity) = entity::resolve(entities, &name_text) else {
        return unknown_entity(&name_text, entities);
    };
    match kind(&body, entity) {
        Ok(kind) => Read::Rule(Box::new(rule(entity, &body.text, kind, bullet.position))),
        Err(Trouble::Wrong(finding)) => Read::Wrong(*finding),
        Err(Trouble::Unreadable) => {
            let message = format!("this rule of {} is not in the rule syntax, so no check is built from it", entity.name);
            let hint = format!("the nearest form is `{}: {}`", entity.name, rule_hint::nearest_form(&body.text, entity));
            Read::Statement(Finding::warning("rule-not-understood", message, Some(body.position), hint))
        }
    }
}

/// A rule with its key and identifier; the identifier is made unique by the caller.
pub(super) fn rule(entity: &Entity, text: &str, kind: RuleKind, position: Position) -> Rule {
    let slug = slug(text);
    let ident = names::ident_within(&format!("{} {slug}", entity.ident), RULE_IDENT_CHARS_MAX);
    Rule { key: format!("{}/{slug}", entity.name), ident, entity: entity.name.clone(), text: text.to_owned(), kind, position }
}

/// The rule's words as a path-safe name; operators are spelled, small words left out.
fn slug(text: &str) -> String {
    let operators = [
        ("->", " to "),
        ("→", " to "),
        (">=", " at least "),
        ("<=", " at most "),
        ("!=", " not "),
        ("<", " below "),
        (">", " above "),
        ("*", " times "),
        ("+", " plus "),
    ];
    let spelled = operators.iter().fold(text.to_owned(), |text, (operator, word)| text.replace(operator, word));
    let words: Vec<&str> = spelled.split_whitespace().filter(|word| !["is", "=", "=="].contains(word)).collect();
    names::slug(&words.join(" "))
}

fn unknown_entity(name: &Text, entities: &[Entity]) -> Read {
    let message = format!("there is no entity `{}`", name.text);
    if let Some(near) = nearest(&name.text, entities.iter().map(|entity| entity.name.as_str())) {
        Read::Wrong(Finding::error("unknown-entity", message, Some(name.position), format!("did you mean `{near}`?")))
    } else {
        let hint = "begin the rule with the name of an entity and a colon";
        Read::Statement(Finding::warning("rule-without-entity", message, Some(name.position), hint))
    }
}

/// What a rule demands.
fn kind(body: &Text, entity: &Entity) -> Result<RuleKind, Trouble> {
    let tokens = tokens(&body.text).ok_or(Trouble::Unreadable)?;
    let mut reader = Conditions::new(body, entity, &tokens);
    let kind = if reader.skip_words(&["may", "be", "changed", "only", "when"]) {
        RuleKind::ChangeOnlyWhen(reader.condition()?)
    } else if reader.skip_words(&["may", "be", "deleted", "only", "when"]) {
        RuleKind::DeleteOnlyWhen(reader.condition()?)
    } else if reader.skip_words(&["at", "most"]) {
        at_most(&mut reader, entity)?
    } else if let Some(fields) = unique(&mut reader)? {
        RuleKind::Unique(fields)
    } else if reader.second_is("moves") {
        moves(&mut reader)?
    } else if reader.second_is("never") {
        let field = reader.field()?;
        if !reader.skip_words(&["never", "changes"]) {
            return Err(Trouble::Unreadable);
        }
        RuleKind::Immutable { field }
    } else {
        demand(&mut reader)?
    };
    if reader.finished() { Ok(kind) } else { Err(Trouble::Unreadable) }
}

/// `F is required [when C]`, `C [when C]`.
fn demand(reader: &mut Conditions<'_>) -> Result<RuleKind, Trouble> {
    if reader.second_is("is") && reader.third_is("required") {
        let field = reader.field()?;
        reader.skip_words(&["is", "required"]);
        return if reader.skip_words(&["when"]) {
            Ok(RuleKind::RequiredWhen { field, when: reader.condition()? })
        } else {
            Ok(RuleKind::Check(Condition::Present(field)))
        };
    }
    let then = reader.condition()?;
    if reader.skip_words(&["when"]) {
        return Ok(RuleKind::Implies { when: reader.condition()?, then });
    }
    Ok(RuleKind::Check(then))
}

/// `(a, b) is unique` or `a is unique`; nothing is read when it is something else.
fn unique(reader: &mut Conditions<'_>) -> Result<Option<Vec<String>>, Trouble> {
    if !reader.ends_with(&["is", "unique"]) {
        return Ok(None);
    }
    let many = reader.skip_symbol("(");
    let mut fields = vec![reader.column()?];
    while many && reader.skip_symbol(",") {
        let field = reader.column()?;
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    if many && !reader.skip_symbol(")") {
        return Err(Trouble::Unreadable);
    }
    reader.skip_words(&["is", "unique"]);
    Ok(Some(fields))
}

/// `F moves a -> b -> c, a -> d`.
fn moves(reader: &mut Conditions<'_>) -> Result<RuleKind, Trouble> {
    let (position, name) = (reader.here(), reader.word_text());
    let field = reader.field()?;
    reader.skip_words(&["moves"]);
    let FieldType::Enum(values) = &reader.named(&field).field_type else {
        let hint = "make it an enum, or write a comparison";
        return Err(Trouble::wrong("rule-type", format!("`{name}` is no enum, so it has no states to move between"), position, hint));
    };
    let values = values.clone();
    let mut edges = Vec::new();
    loop {
        let mut from = state(reader, &values)?;
        let mut steps = 0;
        while reader.skip_symbol("->") {
            let to = state(reader, &values)?;
            let edge = (from, to.clone());
            if !edges.contains(&edge) {
                edges.push(edge);
            }
            from = to;
            steps += 1;
        }
        if steps == 0 {
            return Err(Trouble::Unreadable);
        }
        if !reader.skip_symbol(",") {
            return Ok(RuleKind::Transitions { field, edges });
        }
    }
}

fn state(reader: &mut Conditions<'_>, values: &[String]) -> Result<String, Trouble> {
    let position = reader.here();
    let state = reader.take_text(&[TokenKind::Word, TokenKind::Quoted, TokenKind::Number]).ok_or(Trouble::Unreadable)?;
    if values.contains(&state) {
        return Ok(state);
    }
    let hint = match nearest(&state, values.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("its values are {}", values.join(", ")),
    };
    Err(Trouble::wrong("unknown-value", format!("`{state}` is no value of this field"), position, hint))
}

/// `at most N [rows] per F [when C]`.
fn at_most(reader: &mut Conditions<'_>, entity: &Entity) -> Result<RuleKind, Trouble> {
    let position = reader.here();
    let number = reader.take_text(&[TokenKind::Number]).ok_or(Trouble::Unreadable)?;
    let rows = [entity.table.as_str(), entity.ident.as_str(), "rows"];
    if rows.iter().any(|word| reader.word_text().eq_ignore_ascii_case(word)) {
        reader.advance();
    }
    if !reader.skip_words(&["per"]) {
        return Err(Trouble::Unreadable);
    }
    let limit = number.parse::<u64>().ok().filter(|limit| *limit > 0);
    let Some(limit) = limit else {
        return Err(Trouble::wrong("rule-type", format!("`{number}` is no number of rows"), position, "write a whole number above 0"));
    };
    let per = reader.column()?;
    let when = if reader.skip_words(&["when"]) { Some(reader.condition()?) } else { None };
    Ok(RuleKind::AtMost { limit, per, when })
}

/// Findings about a rule in the light of the whole entity.
pub(super) fn review(rule: &Rule, entity: &Entity) -> Option<Finding> {
    let RuleKind::Transitions { field, edges } = &rule.kind else { return None };
    let field = field::named(&entity.fields, field)?;
    let initial = edges.first().map(|(from, _)| from.as_str())?;
    let default = field.default.as_ref()?.as_str()?;
    (default != initial).then(|| {
        let message = format!("`{}` begins as `{default}`, but its moves begin at `{initial}`", field.name);
        let hint = "name the default first in the rule, or change the default";
        Finding::error("default-not-initial", message, Some(rule.position), hint)
    })
}

/// Findings about actions that the moves of a field never allow.
pub(super) fn review_action(behaviour: &Behaviour, rules: &[Rule], position: Position) -> Option<Finding> {
    let Behaviour::Act { row, set } = behaviour else { return None };
    rules.iter().filter(|rule| rule.entity == row.entity).find_map(|rule| {
        let RuleKind::Transitions { field, edges } = &rule.kind else { return None };
        let (_, value) = set.iter().find(|(name, _)| name == field)?;
        let reachable = edges.iter().any(|(_, to)| value.as_str() == Some(to));
        (!reachable).then(|| {
            let message = format!("no move of `{field}` leads to {value}, so this action is always refused");
            Finding::warning("unreachable-action", message, Some(position), format!("add a move to the rule at {}", rule.position))
        })
    })
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
