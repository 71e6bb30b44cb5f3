//! Documentation of what a module offers.

use super::functions::{functions, in_rust_tests};
use super::structure::docstring;
use super::{Check, Code};
use crate::skills::Language;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] =
    &[Check::tree("public-docs", &[Language::Python, Language::TypeScript, Language::Rust], public_docs).with(&[("lines_min", 6)])];

/// Shorter ones say what they do by their names and types.
fn public_docs(code: &Code<'_>, parameters: &Parameters) -> Vec<Problem> {
    let least = parameters.get("lines_min");
    let undocumented: Vec<(Node<'_>, &str)> = match code.language {
        Language::Python => python(code),
        Language::Rust => rust(code),
        _ => script(code),
    };
    let told = |(node, name): (Node<'_>, &str)| {
        Problem::at(node, format!("{name} is public and undocumented"), "say in a sentence what it is for, then limits and errors")
    };
    undocumented.into_iter().filter(|(node, _)| node.lines() >= least).map(told).collect()
}

/// Functions and classes of the module itself; methods speak through their class.
fn python<'a>(code: &Code<'a>) -> Vec<(Node<'a>, &'a str)> {
    let top = |node: &Node<'_>| {
        let whole = node.parent().filter(|parent| parent.kind() == "decorated_definition").unwrap_or(*node);
        whole.parent().is_some_and(|parent| parent.kind() == "module")
    };
    let all = code.of_kinds(&["function_definition", "class_definition"]).filter(top);
    let bare = all.filter(|node| node.field("body").is_some_and(|body| docstring(body).is_none()));
    bare.map(|node| (node, node.field_text("name"))).filter(|(_, name)| !name.starts_with('_')).collect()
}

fn rust<'a>(code: &Code<'a>) -> Vec<(Node<'a>, &'a str)> {
    let offered = |node: &Node<'_>| node.children().any(|child| child.kind() == "visibility_modifier" && child.text() == "pub");
    let documented = |node: &Node<'_>| {
        let above = node.before().take_while(|node| node.comment() || node.kind() == "attribute_item");
        let doc = |node: Node<'_>| node.text().starts_with("///") || node.text().starts_with("/**") || node.text().starts_with("#[doc");
        above.into_iter().any(doc)
    };
    // A method of a trait's implementation is documented by the trait and carries no `pub`.
    let items =
        code.of_kinds(&["function_item", "struct_item", "enum_item", "trait_item"]).filter(|node| offered(node) && !documented(node));
    items.filter(|node| !in_rust_tests(*node)).map(|node| (node, node.field_text("name"))).collect()
}

fn script<'a>(code: &Code<'a>) -> Vec<(Node<'a>, &'a str)> {
    let documented = |node: Node<'_>| node.before().next().is_some_and(|before| before.comment() && before.text().starts_with("/**"));
    let exported = functions(code).map(|function| function.node).chain(code.of_kinds(&["class_declaration"]));
    let bare = exported.filter_map(|node| {
        let export = node.parent().filter(|parent| parent.kind() == "export_statement")?;
        (!documented(export)).then(|| (node, node.field_text("name")))
    });
    bare.filter(|(_, name)| !name.is_empty()).collect()
}
