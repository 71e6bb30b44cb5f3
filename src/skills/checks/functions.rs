//! What a function is, in each language.

use super::Code;
use crate::skills::Language;
use crate::skills::syntax::Node;

/// A function with a body.
pub(super) struct Function<'s> {
    pub(super) node: Node<'s>,
    pub(super) name: &'s str,
    pub(super) body: Node<'s>,
}

const KINDS: &[&str] = &[
    "function_definition",
    "function_item",
    "function_declaration",
    "generator_function_declaration",
    "function_expression",
    "arrow_function",
    "method_definition",
];

/// True when a function begins there.
pub(super) fn is_function(node: Node<'_>) -> bool {
    KINDS.contains(&node.kind())
}

/// Every function of a file, those within others included. A function without a name of its own has that of the variable, property or
/// field that holds it, or none.
pub(super) fn functions<'a>(code: &Code<'a>) -> impl Iterator<Item = Function<'a>> {
    let function = |node: Node<'a>| {
        let body = node.field("body")?;
        Some(Function { node, name: name(node), body })
    };
    code.of_kinds(KINDS).filter_map(function)
}

fn name(node: Node<'_>) -> &str {
    let own = node.field_text("name");
    if !own.is_empty() {
        return own;
    }
    let holder = node
        .parent()
        .filter(|parent| ["variable_declarator", "pair", "public_field_definition", "field_definition"].contains(&parent.kind()));
    holder
        .map(|holder| [holder.field_text("name"), holder.field_text("key"), holder.field_text("property")])
        .and_then(|names| names.into_iter().find(|name| !name.is_empty()))
        .unwrap_or_default()
}

impl<'s> Function<'s> {
    /// How people call it.
    pub(super) fn title(&self) -> &'s str {
        if self.name.is_empty() { "this function" } else { self.name }
    }

    /// The function itself, and what stands around it as a part of it: decorators, `export`.
    pub(super) fn whole(&self) -> Node<'s> {
        self.node.parent().filter(|parent| ["decorated_definition", "export_statement"].contains(&parent.kind())).unwrap_or(self.node)
    }

    /// Everything in its body but what belongs to functions within it.
    pub(super) fn own_nodes(&self) -> impl Iterator<Item = Node<'s>> {
        let mut within: Option<Node<'s>> = None;
        self.body.descendants().filter(move |node| {
            if within.is_some_and(|inner| node.within(inner)) {
                return false;
            }
            within = is_function(*node).then_some(*node);
            within.is_none()
        })
    }

    /// The decorators or attributes above it.
    pub(super) fn decorators(&self) -> Vec<Node<'s>> {
        let whole = self.whole();
        let inside = whole.children().filter(|child| child.kind() == "decorator");
        let above = whole.before().take_while(|node| node.comment() || node.kind() == "attribute_item");
        inside.chain(above.filter(|node| node.kind() == "attribute_item")).collect()
    }

    /// True for a function of a class or an implementation.
    pub(super) fn method(&self) -> bool {
        let around = self
            .whole()
            .ancestors()
            .find(|node| is_function(*node) || ["class_definition", "class_body", "impl_item"].contains(&node.kind()));
        around.is_some_and(|node| !is_function(node))
    }

    /// True when it stands in another function.
    pub(super) fn nested(&self) -> bool {
        self.node.ancestors().any(is_function)
    }

    /// True when others than its module may call it, by the rules of its language.
    pub(super) fn public(&self, language: Language) -> bool {
        match language {
            Language::Python => {
                let class = self.node.ancestors().find(|node| node.kind() == "class_definition");
                !self.name.starts_with('_') && !self.nested() && class.is_none_or(|class| !class.field_text("name").starts_with('_'))
            }
            Language::Rust => self.node.children().any(|child| child.kind() == "visibility_modifier" && child.text() == "pub"),
            _ => self.node.ancestors().take(3).any(|node| node.kind() == "export_statement"),
        }
    }
}

/// True when a node stands in the tests of a Rust file.
pub(super) fn in_rust_tests(node: Node<'_>) -> bool {
    let test = |above: Node<'_>| {
        let guarded = ["mod_item", "function_item"].contains(&above.kind());
        guarded
            && above.before().take_while(|node| node.comment() || node.kind() == "attribute_item").any(|node| {
                node.kind() == "attribute_item"
                    && (node.text().contains("test]") || node.text().contains("cfg(test)") || node.text().contains("test("))
            })
    };
    std::iter::once(node).chain(node.ancestors()).any(test)
}
