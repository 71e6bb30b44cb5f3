//! Elements of pages, in HTML and in JSX alike.

use super::Code;
use crate::skills::Language;
use crate::skills::syntax::Node;

const KINDS: &[&str] = &["element", "script_element", "style_element", "jsx_element", "jsx_self_closing_element"];

/// An element with its tag and attributes.
pub(super) struct Element<'s> {
    pub(super) node: Node<'s>,
    pub(super) tag: &'s str,
    attributes: Vec<(&'s str, Option<Node<'s>>)>,
    /// True when attributes come from elsewhere (`{...props}`), so that none can be said to be missing.
    pub(super) spread: bool,
}

/// Every element of a file.
pub(super) fn elements<'a>(code: &Code<'a>) -> impl Iterator<Item = Element<'a>> {
    code.of_kinds(KINDS).filter_map(element)
}

/// The element that a node is.
pub(super) fn element(node: Node<'_>) -> Option<Element<'_>> {
    let opening = match node.kind() {
        "jsx_self_closing_element" => node,
        "jsx_element" => node.field("open_tag")?,
        _ => node.children().find(|child| ["start_tag", "self_closing_tag"].contains(&child.kind()))?,
    };
    let tag = opening.field("name").or_else(|| opening.children().find(|child| child.kind() == "tag_name"))?;
    let attribute = |node: Node<'_>| ["jsx_attribute", "attribute"].contains(&node.kind());
    let attributes = opening.parts().filter(|part| attribute(*part)).filter_map(|part| {
        let mut parts = part.parts();
        Some((parts.next()?.text(), parts.next()))
    });
    let attributes = attributes.collect();
    let spread = opening.parts().any(|part| part.kind() == "jsx_expression");
    Some(Element { node, tag: tag.text(), attributes, spread })
}

impl<'s> Element<'s> {
    /// The value of an attribute without quotes and braces, empty when it has none; names are compared without case.
    pub(super) fn value(&self, name: &str) -> Option<&'s str> {
        let (_, value) = self.attributes.iter().find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(value.map_or("", |value| value.text().trim_matches(['"', '\'', '{', '}', '`']).trim()))
    }

    /// True when it has an attribute of one of these names that is not empty, or may have one.
    pub(super) fn states(&self, names: &[&str]) -> bool {
        self.spread || names.iter().any(|name| self.value(name).is_some_and(|value| !value.is_empty()))
    }

    /// The node of an attribute's value.
    pub(super) fn value_node(&self, name: &str) -> Option<Node<'s>> {
        self.attributes.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).and_then(|(_, value)| *value)
    }

    /// True for elements of the language, false for components, whose names begin with a capital.
    pub(super) fn native(&self) -> bool {
        self.tag.starts_with(|c: char| c.is_ascii_lowercase()) && !self.tag.contains('.')
    }

    /// True when there is something in it that can be read aloud, or that may become so.
    pub(super) fn readable(&self) -> bool {
        self.node.descendants().any(|node| match node.kind() {
            "jsx_text" | "text" => !node.text().trim().is_empty(),
            "jsx_expression" => {
                let content = node.parent().is_some_and(|parent| parent.kind() == "jsx_element");
                content && node.parts().next().is_some()
            }
            kind if KINDS.contains(&kind) => element(node).is_some_and(|inner| {
                let pictured = inner.tag.eq_ignore_ascii_case("img") && inner.states(&["alt"]);
                let component = !inner.native() && !inner.tag.contains("Icon") && !inner.tag.contains("Svg");
                pictured || component || inner.states(&["aria-label", "title"])
            }),
            _ => false,
        })
    }

    /// The elements around it, nearest first.
    pub(super) fn around(&self) -> impl Iterator<Item = Element<'s>> {
        self.node.ancestors().filter_map(element)
    }
}

/// True for a file that holds JSX or is HTML.
pub(super) fn marked_up(code: &Code<'_>) -> bool {
    code.language == Language::Html || elements(code).next().is_some()
}
