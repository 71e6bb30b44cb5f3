//! Errors that vanish, and errors that say nothing.

use super::functions::in_rust_tests;
use super::{Check, Code, callee};
use crate::skills::Language;
use crate::skills::language::CODE;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

const WITH_EXCEPTIONS: &[Language] = &[Language::Python, Language::JavaScript, Language::TypeScript, Language::Tsx];

pub(super) const CHECKS: &[Check] = &[
    Check::tree("bare-except", &[Language::Python], bare_except),
    Check::tree("broad-except", &[Language::Python], broad_except),
    Check::tree("swallowed-error", CODE, swallowed_error),
    Check::tree("generic-error", WITH_EXCEPTIONS, generic_error),
    Check::tree("unwrap", &[Language::Rust], unwrap),
];

/// What an `except` catches; none when it catches everything.
fn caught(clause: Node<'_>) -> Option<Node<'_>> {
    clause.parts().find(|part| part.kind() != "block")
}

fn block(clause: Node<'_>) -> Option<Node<'_>> {
    clause.children().find(|child| child.kind() == "block")
}

fn raises_again(clause: Node<'_>) -> bool {
    block(clause).is_some_and(|block| block.descendants().any(|node| node.kind() == "raise_statement"))
}

fn bare_except(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let wide = |clause: &Node<'_>| {
        let named = caught(*clause).map(|caught| caught.text().split_whitespace().next().unwrap_or_default());
        named.is_none_or(|name| name == "BaseException") && !raises_again(*clause)
    };
    let message = "this catches everything, the interpreter's exit included";
    let clauses = code.of_kinds(&["except_clause"]).filter(wide);
    clauses.map(|clause| Problem::at(clause, message, "name the exceptions that are expected here")).collect()
}

/// `except Exception` is for a boundary, which tells what it caught.
fn broad_except(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let silent = |clause: &Node<'_>| {
        let caught = caught(*clause).map(Node::text).unwrap_or_default();
        let (kind, alias) = caught.split_once(" as ").unwrap_or((caught, ""));
        let told = |node: Node<'_>| {
            let logs = node.kind() == "call"
                && matches!(callee(node).0, "exception" | "error" | "critical" | "warning" | "log" | "print_exc" | "capture_exception");
            logs || !alias.is_empty() && node.kind() == "identifier" && node.text() == alias
        };
        kind.trim() == "Exception" && !raises_again(*clause) && !block(*clause).is_some_and(|block| block.descendants().any(told))
    };
    let clauses = code.of_kinds(&["except_clause"]).filter(silent);
    let hint = "name the exceptions that are expected, or log what was caught";
    clauses.map(|clause| Problem::at(clause, "every exception is caught and none is told", hint)).collect()
}

fn swallowed_error(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let hint = "handle it, pass it on, or say in a comment why it does not matter";
    let told = |node: Node<'_>| Problem::at(node, "the error is swallowed", hint);
    match code.language {
        Language::Python => {
            let idle = |clause: &Node<'_>| {
                let nothing = |part: Node<'_>| matches!(part.text(), "pass" | "..." | "continue");
                let commented =
                    clause.descendants().any(Node::comment) || clause.parent().is_some_and(|try_| comment_on_line(try_, clause));
                !commented && block(*clause).is_some_and(|block| block.parts().all(nothing))
            };
            code.of_kinds(&["except_clause"]).filter(idle).map(told).collect()
        }
        Language::Rust => {
            let dropped = |statement: &Node<'_>| {
                let call = statement.parts().next().filter(|call| call.kind() == "call_expression");
                call.is_some_and(|call| callee(call).0 == "ok" && !callee(call).1.is_empty()) && !in_rust_tests(*statement)
            };
            code.of_kinds(&["expression_statement"]).filter(dropped).map(told).collect()
        }
        _ => {
            let empty = |clause: &Node<'_>| clause.field("body").is_some_and(|body| !body.children().any(Node::named));
            let caught = code.of_kinds(&["catch_clause"]).filter(empty);
            let handlers = code.of_kinds(&["call_expression"]).filter(|call| callee(*call).0 == "catch").filter(|call| {
                let handler = call.field("arguments").and_then(|arguments| arguments.parts().next());
                let body = handler.filter(|handler| handler.kind() == "arrow_function").and_then(|handler| handler.field("body"));
                body.is_some_and(|body| body.kind() == "statement_block" && !body.children().any(Node::named))
            });
            caught.chain(handlers).map(told).collect()
        }
    }
}

/// A comment behind the last statement of a clause is laid out as a child of what is around the clause.
fn comment_on_line(around: Node<'_>, clause: &Node<'_>) -> bool {
    let lines = clause.line()..=clause.last_line();
    around.descendants().any(|node| node.comment() && lines.contains(&node.line()))
}

fn generic_error(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    if code.language == Language::Python {
        let raised = code.of_kinds(&["raise_statement"]).filter(|raise| {
            let what = raise.parts().next();
            what.is_some_and(|what| what.text() == "Exception" || what.kind() == "call" && callee(what) == ("Exception", ""))
        });
        let hint = "raise an exception of the project that says what went wrong";
        return raised.map(|raise| Problem::at(raise, "a plain Exception cannot be told from any other", hint)).collect();
    }
    let thrown = code
        .of_kinds(&["throw_statement"])
        .filter(|throw| throw.parts().next().is_some_and(|what| matches!(what.kind(), "string" | "template_string" | "number" | "object")));
    thrown.map(|throw| Problem::at(throw, "what is thrown is no Error and has no stack", "throw an Error or a class of your own")).collect()
}

fn unwrap(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let calls = code
        .of_kinds(&["call_expression"])
        .filter(|call| callee(*call).0 == "unwrap" && call.field("function").is_some_and(|function| function.kind() == "field_expression"));
    let outside = calls.filter(|call| !in_rust_tests(*call));
    let hint = "pass the error on with `?`, or `expect` with the reason why it cannot happen";
    outside
        .filter_map(|call| call.field("function")?.field("field"))
        .map(|name| Problem::at(name, "unwrap ends the program without a word", hint))
        .collect()
}
