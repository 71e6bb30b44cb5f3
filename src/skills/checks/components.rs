//! Components: how large they are, and how their lists and styles are made.

use super::elements::{element, elements};
use super::functions::functions;
use super::{Check, Code, callee};
use crate::skills::Language;
use crate::skills::language::MARKUP;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

const JSX: &[Language] = &[Language::JavaScript, Language::Tsx];

pub(super) const CHECKS: &[Check] = &[
    Check::tree("component-size", JSX, component_size).with(&[("lines_max", 150)]),
    Check::tree("list-key", JSX, list_key),
    Check::tree("inline-style", MARKUP, inline_style),
];

const ELEMENTS: &[&str] = &["jsx_element", "jsx_self_closing_element"];

fn component_size(code: &Code<'_>, parameters: &Parameters) -> Vec<Problem> {
    let most = parameters.get("lines_max");
    let components = functions(code).filter(|function| {
        function.name.starts_with(|c: char| c.is_ascii_uppercase())
            && function.body.descendants().any(|node| ELEMENTS.contains(&node.kind()))
    });
    let long = components.filter(|component| component.node.lines() > most);
    let told = |component: super::functions::Function<'_>| {
        let message = format!("component {} has {} lines, more than {most}", component.name, component.node.lines());
        Problem::at(component.node, message, "split it: one part, one component; state and requests into a hook")
    };
    long.map(told).collect()
}

/// What `items.map(…)` shows needs a key that belongs to the item.
fn list_key(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let maps = code.of_kinds(&["call_expression"]).filter(|call| callee(*call).0 == "map");
    let problems = maps.filter_map(|call| {
        let callback = call.field("arguments")?.parts().next().filter(|callback| callback.kind() == "arrow_function")?;
        let shown = element(shown(callback)?)?;
        if shown.spread {
            return None;
        }
        let hint = "take an id of the item as the key";
        let Some(key) = shown.value("key") else {
            return Some(Problem::at(shown.node, "an element of a list has no key", hint));
        };
        let index = callback.field("parameters").and_then(|parameters| parameters.parts().nth(1)).map(Node::text).unwrap_or_default();
        let index = index.split(':').next().unwrap_or(index).trim();
        (!index.is_empty() && key == index).then(|| Problem::at(shown.node, "the key is the place in the list, which changes", hint))
    });
    problems.collect()
}

/// The element that a callback returns.
fn shown(callback: Node<'_>) -> Option<Node<'_>> {
    let mut body = callback.field("body")?;
    if body.kind() == "statement_block" {
        body = body.parts().filter(|part| part.kind() == "return_statement").last()?.parts().next()?;
    }
    while body.kind() == "parenthesized_expression" {
        body = body.parts().next()?;
    }
    ELEMENTS.contains(&body.kind()).then_some(body)
}

/// Values that are computed have no other place; constants belong into the style sheet.
fn inline_style(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let constant = |value: Node<'_>| {
        let parts = value.descendants().any(|node| {
            let named = ["identifier", "member_expression", "call_expression", "template_substitution", "spread_element"];
            named.contains(&node.kind())
        });
        !parts
    };
    let styled = elements(code).filter_map(|element| element.value_node("style"));
    let hint = "give it a class; the style sheet holds the values";
    styled.filter(|value| constant(*value)).map(|value| Problem::at(value, "constant styles are written into the element", hint)).collect()
}
