//! Tests that wait, that are switched off, or that depend on the world.

use super::functions::{functions, in_rust_tests};
use super::{Check, Code, callee, keyword, positional, unquoted};
use crate::skills::Language;
use crate::skills::language::CODE;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[
    Check::tree("test-sleep", CODE, test_sleep),
    Check::tree("test-skipped", CODE, test_skipped),
    Check::tree("test-network", CODE, test_network),
];

fn calls<'a>(code: &Code<'a>) -> impl Iterator<Item = Node<'a>> {
    code.of_kinds(&["call", "call_expression"])
}

/// Rust keeps tests beside the code that they test; elsewhere the skill's globs choose files of tests.
fn tested(code: &Code<'_>, node: Node<'_>) -> bool {
    code.language != Language::Rust || in_rust_tests(node) || code.path.starts_with("tests/") || code.path.contains("/tests/")
}

fn test_sleep(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let waits = calls(code).filter(|call| {
        let real = match callee(*call) {
            ("sleep", "time" | "asyncio" | "thread" | "std::thread" | "") => positional(*call).next().is_none_or(|time| time.text() != "0"),
            ("setTimeout", "") => call.ancestors().any(|above| above.kind() == "await_expression"),
            ("waitForTimeout", _) => true,
            _ => false,
        };
        real && tested(code, *call)
    });
    let hint = "wait for what is expected, with a limit, or move a clock of the test's own";
    waits.map(|call| Problem::at(call, "the test waits for time to pass", hint)).collect()
}

fn test_skipped(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let hint = "say why and until when, or mend or delete it";
    let told = |node: Node<'_>| Problem::at(node, "a test is switched off without a reason", hint);
    match code.language {
        Language::Python => {
            let decorators =
                functions(code).flat_map(|function| function.decorators()).chain(code.of_kinds(&["class_definition"]).flat_map(|class| {
                    class
                        .parent()
                        .filter(|parent| parent.kind() == "decorated_definition")
                        .into_iter()
                        .flat_map(Node::children)
                        .filter(|child| child.kind() == "decorator")
                }));
            decorators.filter(|decorator| reasonless(*decorator)).map(told).collect()
        }
        Language::Rust => {
            let attributes = code.of_kinds(&["attribute_item"]).filter(|node| node.text() == ["#[ig", "nore]"].concat());
            attributes.map(told).collect()
        }
        _ => {
            let switched = calls(code).filter(|call| {
                let (name, holder) = callee(*call);
                let suite = matches!(holder, "it" | "test" | "describe");
                let off = suite && matches!(name, "skip" | "only")
                    || holder.is_empty() && matches!(name, "xit" | "xtest" | "xdescribe" | "fit" | "fdescribe");
                let statement = call.ancestors().find(|above| above.kind() == "expression_statement");
                let explained = name != "only" && statement.is_some_and(|statement| statement.before().next().is_some_and(Node::comment));
                off && !explained
            });
            switched.map(told).collect()
        }
    }
}

/// A decorator that skips without saying why.
fn reasonless(decorator: Node<'_>) -> bool {
    let text = decorator.text().trim_start_matches('@');
    let name = text.split('(').next().unwrap_or(text);
    if !matches!(name, "pytest.mark.skip" | "pytest.mark.skipif" | "pytest.mark.xfail" | "unittest.skip" | "unittest.expectedFailure") {
        return false;
    }
    let Some(call) = decorator.parts().next().filter(|call| call.kind() == "call") else { return true };
    let stated = match name {
        "unittest.skip" | "pytest.mark.skip" => positional(call).next(),
        _ => None,
    };
    stated.or_else(|| keyword(call, "reason")).is_none()
}

fn test_network(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let reaching = calls(code).filter(|call| {
        let client = match callee(*call) {
            ("get" | "post" | "put" | "patch" | "delete" | "request", "requests" | "httpx" | "axios" | "reqwest" | "reqwest::blocking") => {
                true
            }
            ("urlopen", _) | ("fetch", "") => true,
            ("get", holder) => holder.ends_with("reqwest"),
            _ => false,
        };
        let address = positional(*call).next().map(|argument| unquoted(argument.text())).unwrap_or_default();
        let host = address.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
        let remote = address.starts_with("http")
            && !["localhost", "127.0.0.1", "testserver", "[::1]", "{", "$"].iter().any(|own| host.starts_with(own));
        client && remote && tested(code, *call)
    });
    let hint = "answer in its place at the edge, or start a server in the test";
    reaching.map(|call| Problem::at(call, "the test reaches for a server of others", hint)).collect()
}
