//! Operations over HTTP: what they answer, and what they are called.

use std::sync::LazyLock;

use regex::Regex;

use super::{Check, Code, callee, keyword, positional, unquoted};
use crate::skills::Language;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[
    Check::tree("endpoint-status", &[Language::Python], endpoint_status),
    Check::tree("endpoint-response", &[Language::Python], endpoint_response),
    Check::tree("endpoint-path-verb", &[Language::Python, Language::JavaScript, Language::TypeScript], endpoint_path_verb),
];

/// Names of handlers that make something, by their first word.
const MAKES: &[&str] = &["create", "add", "register", "insert", "new", "make", "upload", "store", "post"];
const METHODS: &[&str] = &["get", "post", "put", "patch", "delete"];
static VERB: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:(?:get|create|update|delete|fetch|remove|add|insert)(?:[A-Z_-].*|$)|list[A-Z_-].*)")
        .expect("the pattern is a constant that the tests of the checks compile")
});

/// A function that FastAPI calls for an operation.
pub(super) struct Handler<'s> {
    pub(super) function: Node<'s>,
    /// The call that registers it.
    pub(super) route: Node<'s>,
    /// In lower case.
    pub(super) method: &'s str,
}

/// Every handler of a Python file.
pub(super) fn handlers<'a>(code: &Code<'a>) -> impl Iterator<Item = Handler<'a>> {
    let of = |decorated: Node<'a>| {
        let function = decorated.field("definition").filter(|node| node.kind() == "function_definition")?;
        let route = decorated.children().filter(|child| child.kind() == "decorator").find_map(route)?;
        Some(Handler { function, route, method: callee(route).0 })
    };
    code.of_kinds(&["decorated_definition"]).filter_map(of)
}

/// The call in a decorator such as `@router.post("/books")`.
fn route(decorator: Node<'_>) -> Option<Node<'_>> {
    let call = decorator.parts().next().filter(|call| call.kind() == "call")?;
    let (method, holder) = callee(call);
    let holder = holder.rsplit('.').next().unwrap_or(holder);
    let routes = holder.ends_with("router") || holder.ends_with("app") || holder == "api";
    let path = positional(call).next().or_else(|| keyword(call, "path"))?;
    let path = unquoted(path.text());
    (METHODS.contains(&method) && routes && (path.is_empty() || path.starts_with('/'))).then_some(call)
}

fn endpoint_status(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let silent = handlers(code).filter(|handler| {
        let name = handler.function.field_text("name");
        let makes = handler.method == "post" && MAKES.contains(&name.split('_').next().unwrap_or(name));
        let returned = handler.function.field_text("return_type");
        let removes = handler.method == "delete" && (returned.is_empty() || returned == "None");
        (makes || removes) && keyword(handler.route, "status_code").is_none()
    });
    let told = |handler: Handler<'_>| {
        let code = if handler.method == "post" { "201" } else { "204" };
        let message = format!("{} answers 200 because it states nothing else", handler.function.field_text("name"));
        Problem::at(handler.route, message, format!("state it: status_code={code}"))
    };
    silent.map(told).collect()
}

fn endpoint_response(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let silent = handlers(code).filter(|Handler { function, route, .. }| {
        let stated = ["response_model", "response_class"].iter().any(|name| keyword(*route, name).is_some());
        let empty = keyword(*route, "status_code").is_some_and(|code| code.text().contains("204") || code.text().contains("30"));
        !stated && !empty && function.field("return_type").is_none()
    });
    let told = |handler: Handler<'_>| {
        let message = format!("{} does not say what it answers", handler.function.field_text("name"));
        Problem::at(handler.function, message, "annotate the return type with the model, or state response_model")
    };
    silent.map(told).collect()
}

/// The method says what is done; the path names what it is done to.
fn endpoint_path_verb(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let paths: Vec<Node<'_>> = if code.language == Language::Python {
        handlers(code).filter_map(|handler| positional(handler.route).next()).collect()
    } else {
        let routes = code.of_kinds(&["call_expression"]).filter(|call| {
            let (method, holder) = callee(*call);
            METHODS.contains(&method) && (holder.ends_with("outer") || holder == "app" || holder == "server")
        });
        routes.filter_map(|call| positional(call).next()).filter(|path| path.kind() == "string").collect()
    };
    let verbs = paths.into_iter().filter_map(|path| {
        let segment = unquoted(path.text()).split('/').find(|segment| VERB.is_match(segment))?;
        Some(Problem::at(path, format!("`{segment}` names an action"), "name the resource; the method says what is done to it"))
    });
    verbs.collect()
}
