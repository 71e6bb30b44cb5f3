//! Types where others read them: on what a module offers.

use super::functions::{Function, functions};
use super::{Check, Code};
use crate::skills::Language;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[
    Check::tree("type-annotations", &[Language::Python, Language::TypeScript, Language::Tsx], type_annotations),
    Check::tree("explicit-any", &[Language::TypeScript, Language::Tsx], explicit_any),
];

fn type_annotations(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let offered = functions(code).filter(|function| function.public(code.language) || function.name == "__init__" && !function.nested());
    let check = if code.language == Language::Python { python } else { script };
    offered.flat_map(|function| check(&function)).collect()
}

fn python(function: &Function<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let takes_self = function.method() && !function.decorators().iter().any(|decorator| decorator.text() == "@staticmethod");
    let parameters = function.node.field("parameters").into_iter().flat_map(Node::parts);
    for parameter in parameters.skip(usize::from(takes_self)) {
        let name = match parameter.kind() {
            "identifier" | "list_splat_pattern" | "dictionary_splat_pattern" => parameter.text(),
            "default_parameter" => parameter.field_text("name"),
            _ => continue,
        };
        let message = format!("parameter {name} of {} has no type", function.title());
        problems.push(Problem::at(parameter, message, "annotate it"));
    }
    if function.node.field("return_type").is_none() && function.name != "__init__" {
        let message = format!("{} does not say what it returns", function.title());
        problems.push(Problem::at(function.node, message, "annotate the return type, `-> None` when there is nothing"));
    }
    problems
}

fn script(function: &Function<'_>) -> Vec<Problem> {
    if function.node.kind() != "function_declaration" {
        return Vec::new();
    }
    let parameters = function.node.field("parameters").into_iter().flat_map(Node::parts);
    let untyped = parameters.filter(|parameter| {
        let takes = ["required_parameter", "optional_parameter"].contains(&parameter.kind());
        takes && parameter.field("type").is_none() && parameter.field("value").is_none()
    });
    let told = |parameter: Node<'_>| {
        Problem::at(parameter, format!("parameter {} of {} has no type", parameter.text(), function.title()), "annotate it")
    };
    untyped.map(told).collect()
}

fn explicit_any(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let any = code.of_kinds(&["predefined_type"]).filter(|node| node.text() == "any");
    any.map(|node| Problem::at(node, "`any` switches the type checker off", "name the type, or take `unknown` and narrow it")).collect()
}
