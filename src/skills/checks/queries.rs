//! SQL and what asks for it.

use std::sync::LazyLock;

use regex::Regex;

use super::functions::{in_rust_tests, is_function};
use super::{Check, Code, callee, unquoted};
use crate::skills::Language;
use crate::skills::language::CODE;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[
    Check::tree("string-built-sql", CODE, string_built_sql),
    Check::tree("query-in-loop", CODE, query_in_loop),
    Check::tree("select-star", CODE, select_star),
];

static SQL: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(?is)\b(select\b.+\bfrom|insert\s+into|update\b.+\bset|delete\s+from|alter\s+table|drop\s+table)\b"));
static STAR: LazyLock<Regex> = LazyLock::new(|| compile(r"(?is)^\s*select\s+\*\s+from\b"));
/// What statements are held in.
static HOLDER: LazyLock<Regex> = LazyLock::new(|| compile(r"(?i)(^|_)(sql|query|statement|stmt)$"));
/// What statements are given to.
static DATABASE: LazyLock<Regex> = LazyLock::new(|| {
    compile(r"(?i)^_?(\w+_)?(session|db|conn|connection|cursor|cur|database|tx|transaction|pool|client|engine|knex|prisma)$")
});

const TAKES_SQL: &[&str] = &[
    "execute",
    "executemany",
    "exec_driver_sql",
    "text",
    "query",
    "query_as",
    "raw",
    "prepare",
    "fetch",
    "fetchrow",
    "fetchval",
    "scalar",
    "scalars",
    "$queryRawUnsafe",
    "$executeRawUnsafe",
    "unsafe",
    "sql_query",
];
/// Methods that ask a database, whatever they belong to.
const ASKS: &[&str] =
    &["findUnique", "findFirst", "findMany", "findOne", "findById", "findByPk", "fetch_one", "fetch_all", "fetch_optional"];
/// Methods that ask when they belong to something that is called like a database.
const ASKS_OF: &[&str] = &["execute", "scalar", "scalars", "query", "get", "fetch", "fetchrow", "fetchval", "one", "oneOrNone", "refresh"];
const LOOPS: &[&str] = &["for_statement", "for_in_statement", "for_expression"];

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the patterns are constants that the tests of the checks compile")
}

fn string_built_sql(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let built = code.syntax.nodes().filter(|node| built(*node) && SQL.is_match(node.text()) && statement(*node));
    let hint = "keep the statement constant and pass values as parameters";
    built.map(|node| Problem::at(node, "SQL is put together from strings", hint)).collect()
}

/// A text made of parts: interpolated, formatted or added up.
fn built(node: Node<'_>) -> bool {
    let text =
        |node: Option<Node<'_>>| node.is_some_and(|node| matches!(node.kind(), "string" | "template_string" | "concatenated_string"));
    match node.kind() {
        "string" => node.children().any(|child| child.kind() == "interpolation"),
        "concatenated_string" => node.descendants().any(|part| part.kind() == "interpolation"),
        "template_string" => node.children().any(|child| child.kind() == "template_substitution"),
        "binary_operator" | "binary_expression" => {
            let operator = node.field_text("operator");
            let constant = text(node.field("right")) && text(node.field("left"));
            (operator == "%" || operator == "+") && text(node.field("left")) && !constant
        }
        "call" => callee(node).0 == "format" && text(node.field("function").and_then(|function| function.field("object"))),
        "macro_invocation" => node.field_text("macro") == "format" && node.text().contains('{'),
        _ => false,
    }
}

/// True when a text goes where statements go. A template with a tag is not a text: its tag takes the values as parameters.
fn statement(node: Node<'_>) -> bool {
    let Some(parent) = node.parent() else { return false };
    let named = |name: &str| HOLDER.is_match(name);
    match parent.kind() {
        "argument_list" | "arguments" => parent.parent().is_some_and(|call| TAKES_SQL.contains(&callee(call).0)),
        "reference_expression" | "parenthesized_expression" => statement(parent),
        "assignment" => named(parent.field_text("left")),
        "variable_declarator" => named(parent.field_text("name")),
        "let_declaration" => named(parent.field_text("pattern")),
        _ => false,
    }
}

fn query_in_loop(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let kinds = if code.language == Language::Python { &["call"][..] } else { &["call_expression"] };
    let asked = code.of_kinds(kinds).filter(|call| asks(*call) && looped(*call) && !in_rust_tests(*call));
    let hint = "ask once for all of them, with a join or a list of keys, before the loop";
    asked.map(|call| Problem::at(call, "one query for each turn of a loop", hint)).collect()
}

fn asks(call: Node<'_>) -> bool {
    let (method, holder) = callee(call);
    let holder = holder.rsplit(['.', ':']).next().unwrap_or(holder);
    ASKS.contains(&method) || ASKS_OF.contains(&method) && DATABASE.is_match(holder)
}

/// True in the body of a loop over data. A loop over `range` counts, for example tries.
fn looped(call: Node<'_>) -> bool {
    let mut inner = call;
    for above in call.ancestors().take_while(|above| !is_function(*above)) {
        if LOOPS.contains(&above.kind()) {
            let counted = above.field_text("right").starts_with("range(") || above.field_text("value").contains("..");
            let in_body = above.field("body").is_some_and(|body| inner.within(body));
            if in_body && !counted {
                return true;
            }
        }
        inner = above;
    }
    false
}

fn select_star(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let texts = code.of_kinds(&["string", "string_literal", "raw_string_literal", "template_string"]);
    let stars = texts.filter(|text| STAR.is_match(unquoted(text.text().trim_start_matches('r').trim_matches('#'))));
    stars.map(|text| Problem::at(text, "`select *` takes whatever columns there are", "name the columns")).collect()
}
