//! The shape of code: whether it parses, how long and how deep functions are.

use super::functions::{Function, functions, is_function};
use super::{Check, Code, Run};
use crate::skills::Language;
use crate::skills::language::CODE;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

const PARSED: &[Language] =
    &[Language::Python, Language::JavaScript, Language::TypeScript, Language::Tsx, Language::Rust, Language::Css, Language::Html];

pub(super) const CHECKS: &[Check] = &[
    Check { name: "syntax", languages: PARSED, parameters: &[], run: Run::Whole(syntax) },
    Check::tree("function-length", CODE, function_length).with(&[("lines_max", 80)]),
    Check::tree("nesting-depth", CODE, nesting_depth).with(&[("depth_max", 4)]),
];

/// What opens a level that a reader must keep in mind.
const LEVELS: &[&str] = &[
    "if_statement",
    "for_statement",
    "for_in_statement",
    "while_statement",
    "do_statement",
    "try_statement",
    "match_statement",
    "switch_statement",
    "if_expression",
    "for_expression",
    "while_expression",
    "loop_expression",
    "match_expression",
];

fn syntax(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let error = code.syntax.first_error();
    let told = |node: Node<'_>| {
        let found: String = node.text().chars().take(40).collect();
        Problem::at(node, format!("not {}: `{}`", code.language.as_str(), found.trim()), "mend the syntax here or just before")
    };
    error.map(told).into_iter().collect()
}

fn function_length(code: &Code<'_>, parameters: &Parameters) -> Vec<Problem> {
    let most = parameters.get("lines_max");
    let long = functions(code).filter_map(|function| {
        let lines = length(&function, code.language);
        let message = || format!("{} has {lines} lines, more than {most}", function.title());
        (lines > most).then(|| Problem::at(function.node, message(), "give each step a function of its own, named for what it does"))
    });
    long.collect()
}

/// Lines of a function, without its documentation.
pub(super) fn length(function: &Function<'_>, language: Language) -> usize {
    let documented = (language == Language::Python).then(|| docstring(function.body)).flatten();
    function.node.lines() - documented.map_or(0, Node::lines)
}

/// The string that a Python body begins with.
pub(super) fn docstring(body: Node<'_>) -> Option<Node<'_>> {
    let first = body.parts().next()?;
    let string = if first.kind() == "expression_statement" { first.parts().next()? } else { first };
    (string.kind() == "string").then_some(string)
}

fn nesting_depth(code: &Code<'_>, parameters: &Parameters) -> Vec<Problem> {
    let most = parameters.get("depth_max");
    let deep = functions(code).filter_map(|function| {
        let first = function.own_nodes().find(|node| opens(*node) && depth(*node) > most)?;
        let message = format!("{} is nested deeper than {most} levels", function.title());
        Some(Problem::at(first, message, "return early, or give the inner part a function of its own"))
    });
    deep.collect()
}

/// `else if` goes on at the level of its `if`.
fn opens(node: Node<'_>) -> bool {
    LEVELS.contains(&node.kind()) && node.parent().is_none_or(|parent| parent.kind() != "else_clause")
}

/// How many levels are open at a node, its own included, within its function.
fn depth(node: Node<'_>) -> usize {
    1 + node.ancestors().take_while(|above| !is_function(*above)).filter(|above| opens(*above)).count()
}
