//! Tests: each says something, and each says one thing.

use super::functions::{Function, functions};
use super::{Check, Code, callee, positional};
use crate::skills::Language;
use crate::skills::language::CODE;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[
    Check::tree("test-assertion", CODE, test_assertion),
    Check::tree("test-size", CODE, test_size).with(&[("lines_max", 80), ("assertions_max", 25)]),
];

/// How functions begin that assert for their callers.
const ASSERTING: &[&str] =
    &["assert", "expect", "check", "verify", "ensure", "should", "raises", "warns", "fail", "exercise", "prop_assert", "panic", "insta"];

/// The tests of a file with their titles.
pub(super) fn tests<'a>(code: &Code<'a>) -> Vec<(Node<'a>, &'a str)> {
    match code.language {
        Language::Python => {
            let named = |function: &Function<'_>| function.name.starts_with("test_") && !function.nested() && !fixture(function);
            functions(code).filter(named).map(|function| (function.node, function.name)).collect()
        }
        Language::Rust => {
            let marked = |function: &Function<'_>| {
                function
                    .decorators()
                    .iter()
                    .any(|attribute| attribute.text().trim_end_matches(']').split(['(', '[', ':']).any(|word| word == "test"))
            };
            functions(code).filter(marked).map(|function| (function.node, function.name)).collect()
        }
        _ => {
            let calls = code.of_kinds(&["call_expression"]).filter(|call| matches!(callee(*call), ("it" | "test", "")));
            let told = calls.filter_map(|call| {
                let mut arguments = positional(call);
                let title = arguments.next()?;
                arguments.find(|argument| ["arrow_function", "function_expression"].contains(&argument.kind()))?;
                Some((call, title.text()))
            });
            told.collect()
        }
    }
}

fn fixture(function: &Function<'_>) -> bool {
    function.decorators().iter().any(|decorator| decorator.text().contains("fixture"))
}

/// What a test asserts by itself.
fn asserts(node: Node<'_>) -> bool {
    let name = match node.kind() {
        "assert_statement" => return true,
        "call" | "call_expression" => callee(node).0,
        "macro_invocation" => node.field_text("macro").rsplit("::").next().unwrap_or_default(),
        // `expect(x).to.be.empty` of some libraries is no call.
        _ => return false,
    };
    let name = name.trim_start_matches('_').to_ascii_lowercase();
    let holder = callee(node).1;
    ASSERTING.iter().any(|start| name.starts_with(start)) && !(node.kind() == "call_expression" && name == "expect" && !holder.is_empty())
        || matches!(name.as_str(), "eq_" | "ne_" | "is_" | "unwrap_err" | "expect_err" | "tohavebeencalled" | "compile_fail")
}

fn test_assertion(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let helpers: Vec<&str> = functions(code)
        .filter(|function| function.body.descendants().any(asserts))
        .map(|function| function.name)
        .filter(|name| !name.is_empty())
        .collect();
    let says = |node: Node<'_>| asserts(node) || ["call", "call_expression"].contains(&node.kind()) && helpers.contains(&callee(node).0);
    let panics = |test: Node<'_>| test.before().take(4).any(|node| node.text().contains("should_panic"));
    let silent = tests(code).into_iter().filter(|(test, _)| !test.descendants().any(says) && !panics(*test));
    let hint = "assert what must be so afterwards; a test that cannot fail proves nothing";
    silent.map(|(test, title)| Problem::at(test, format!("{title} asserts nothing"), hint)).collect()
}

fn test_size(code: &Code<'_>, parameters: &Parameters) -> Vec<Problem> {
    let (lines_max, assertions_max) = (parameters.get("lines_max"), parameters.get("assertions_max"));
    let hint = "make a test of each behaviour, or a table of inputs and outputs";
    let large = tests(code).into_iter().filter_map(|(test, title)| {
        let assertions = test.descendants().filter(|node| asserts(*node)).count();
        let message = if test.lines() > lines_max {
            format!("{title} has {} lines, more than {lines_max}", test.lines())
        } else if assertions > assertions_max {
            format!("{title} asserts {assertions} things, more than {assertions_max}")
        } else {
            return None;
        };
        Some(Problem::at(test, message, hint))
    });
    large.collect()
}
