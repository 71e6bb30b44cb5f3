//! What comes from outside: whether it is described before it is used, and what must never be done with it.

use super::endpoints::{Handler, handlers};
use super::{Check, Code, callee, keyword};
use crate::skills::Language;
use crate::skills::language::{CODE, SCRIPTS};
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[
    Check::tree("input-model", &[Language::Python], input_model),
    Check::tree("input-limits", &[Language::Python], input_limits),
    Check::tree("input-schema", SCRIPTS, input_schema),
    Check::tree("unsafe-call", CODE, unsafe_call),
];

/// Annotations behind which anything may come.
const SHAPELESS: &[&str] = &["dict", "Dict", "Any", "object", "Mapping", "list", "List", "typing.Any"];
/// Names of models that describe what comes in.
const INCOMING: &[&str] = &["Create", "Update", "Patch", "Input", "Payload", "Request", "In"];

fn input_model(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let changing = handlers(code).filter(|handler| matches!(handler.method, "post" | "put" | "patch"));
    let hint = "describe the body as a Pydantic model with the types and limits of its fields";
    let found = changing.flat_map(|Handler { function, .. }| {
        let typed = function.field("parameters").into_iter().flat_map(Node::parts);
        let shapeless = typed.filter(|parameter| {
            let annotation = parameter.field_text("type");
            SHAPELESS.contains(&annotation.split('[').next().unwrap_or(annotation).trim())
        });
        let raw = function.descendants().filter(|node| node.kind() == "call" && matches!(callee(*node), ("json" | "body", "request")));
        let shapeless = shapeless.map(|parameter| (parameter, format!("`{}` takes whatever comes", parameter.text())));
        shapeless.chain(raw.map(|call| (call, "the body is read without a model".to_owned()))).collect::<Vec<_>>()
    });
    found.map(|(node, message)| Problem::at(node, message, hint)).collect()
}

/// A text without limits in a model of what comes in.
fn input_limits(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let incoming = |class: &Node<'_>| {
        let name = class.field_text("name");
        let model = class.field_text("superclasses").contains("Model") || class.field_text("superclasses").contains("Payload");
        // Limits may be set for all texts of a model at once.
        model && INCOMING.iter().any(|end| name.ends_with(end)) && !class.text().contains("str_max_length")
    };
    let fields = code.of_kinds(&["class_definition"]).filter(incoming).filter_map(|class| class.field("body")).flat_map(Node::parts);
    let fields = fields.filter_map(|statement| {
        let assignment = if statement.kind() == "expression_statement" { statement.parts().next()? } else { statement };
        (assignment.kind() == "assignment").then_some(assignment)
    });
    let unlimited = fields.filter(|field| {
        let text = matches!(field.field_text("type"), "str" | "str | None" | "Optional[str]" | "list[str]" | "bytes");
        let default = field.field("right").filter(|right| right.kind() == "call").map(Node::text).unwrap_or_default();
        text && !["max_length", "pattern", "regex"].iter().any(|limit| default.contains(limit))
    });
    let told = |field: Node<'_>| {
        let message = format!("{} may be of any length", field.field_text("left"));
        Problem::at(field, message, "state its limits: Field(max_length=…), a pattern, or a type that has them")
    };
    unlimited.map(told).collect()
}

/// A handler that reads the body in a file in which nothing is checked.
fn input_schema(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let text = code.syntax.text().to_ascii_lowercase();
    if ["parse(", "validate", "schema", "zod", "joi", "yup", "ajv", "superstruct", "valibot"].iter().any(|sign| text.contains(sign)) {
        return Vec::new();
    }
    let reads = code.of_kinds(&["member_expression"]).find(|node| matches!(node.text(), "req.body" | "request.body" | "ctx.request.body"));
    let hint = "check it against a schema before it is used, and use what the schema returns";
    reads.map(|node| Problem::at(node, "the body is used as it came", hint)).into_iter().collect()
}

fn unsafe_call(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let told = |(node, what): (Node<'_>, &str)| {
        Problem::at(node, format!("{what} runs or trusts whatever it is given"), "parse the input instead, or pass arguments as a list")
    };
    match code.language {
        Language::Python => code.of_kinds(&["call"]).filter_map(|call| Some((call, python(call)?))).map(told).collect(),
        Language::Rust => Vec::new(),
        _ => {
            let calls = code.of_kinds(&["call_expression", "new_expression"]).filter_map(|call| match callee(call) {
                ("eval", "") => Some((call, "eval")),
                ("Function", "") if call.kind() == "new_expression" => Some((call, "new Function")),
                _ => None,
            });
            let markup = code.of_kinds(&["assignment_expression"]).filter(|node| node.field_text("left").ends_with(".innerHTML"));
            let literal = |node: &Node<'_>| node.field("right").is_some_and(|right| right.kind() == "string");
            let markup = markup.filter(|node| !literal(node)).map(|node| (node, "innerHTML"));
            let attributes = code.of_kinds(&["property_identifier"]).filter(|node| node.text() == "dangerouslySetInnerHTML");
            calls.chain(markup).chain(attributes.map(|node| (node, "dangerouslySetInnerHTML"))).map(told).collect()
        }
    }
}

fn python(call: Node<'_>) -> Option<&'static str> {
    match callee(call) {
        ("eval", "") => Some("eval"),
        ("exec", "") => Some("exec"),
        ("load" | "loads", "pickle" | "marshal" | "dill") => Some("pickle"),
        ("load", "yaml") if !call.text().contains("Safe") => Some("yaml.load"),
        ("system", "os") => Some("os.system"),
        (_, "subprocess") if keyword(call, "shell").is_some_and(|value| value.text() == "True") => Some("a shell"),
        _ => None,
    }
}
