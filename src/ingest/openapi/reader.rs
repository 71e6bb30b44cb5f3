//! What every part of the OpenAPI reader shares: the tree, the findings, the named shapes, and references.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::tree::{Entry, Node, shorten};
use crate::ingest::limits::NAME_CHARS_MAX;
use crate::ingest::names;
use crate::model::{Finding, Position, Schema, SchemaRole, Severity, Shape};

/// Where named schemas stand.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// The state of reading one document.
pub(super) struct Reader<'a> {
    pub(super) root: &'a Node,
    /// True for OpenAPI 3.1, where a schema is JSON Schema and keywords beside `$ref` count.
    pub(super) modern: bool,
    pub(super) findings: Vec<Finding>,
    /// Shapes of components that are read completely.
    pub(super) components: BTreeMap<String, Shape>,
    /// Components and pointers whose shape is being read right now, outermost first.
    pub(super) expanding: Vec<String>,
    /// Shapes of inline schemas, by their place, so that a shared one is named once.
    pub(super) inline: HashMap<Position, Shape>,
    /// Inline objects that got a name, in the order in which they were met.
    pub(super) hoisted: Vec<Schema>,
    /// Names of schemas that are taken, in lower case, so that no two differ in case only.
    pub(super) names: BTreeSet<String>,
    /// Schemas that were copied into others, against explosive growth.
    pub(super) copies: usize,
    /// What references were found to name, so that a name in many places is looked up once.
    targets: HashMap<&'a str, &'a Node>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(root: &'a Node, modern: bool) -> Self {
        Self {
            root,
            modern,
            findings: Vec::new(),
            components: BTreeMap::new(),
            expanding: Vec::new(),
            inline: HashMap::new(),
            hoisted: Vec::new(),
            names: BTreeSet::new(),
            copies: 0,
            targets: HashMap::new(),
        }
    }

    /// Adds a finding unless the same one is there: shared parts are read more than once.
    pub(super) fn find(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    pub(super) fn failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The value that a node stands for, `$ref` followed. None, with a finding, where it leads nowhere.
    pub(super) fn resolve(&mut self, node: &'a Node) -> Option<&'a Node> {
        self.resolve_named(node).map(|(target, _)| target)
    }

    /// As [`Self::resolve`], with the last name on the way, which is a good name for what stands there.
    pub(super) fn resolve_named(&mut self, node: &'a Node) -> Option<(&'a Node, Option<String>)> {
        let mut current = node;
        let mut name = None;
        let mut seen = Vec::new();
        while let Some(pointer) = current.text_at("$ref") {
            if seen.contains(&pointer) {
                self.find(looping(pointer, node.position));
                return None;
            }
            seen.push(pointer);
            current = self.target(pointer, node.position)?;
            name = pointer.rsplit('/').next().map(unescape);
        }
        Some((current, name))
    }

    /// The node that a local reference names. References to files and addresses are findings and never opened.
    pub(super) fn target(&mut self, pointer: &'a str, position: Position) -> Option<&'a Node> {
        if let Some(known) = self.targets.get(pointer) {
            return Some(known);
        }
        let found = self.follow(pointer, position)?;
        self.targets.insert(pointer, found);
        Some(found)
    }

    fn follow(&mut self, pointer: &str, position: Position) -> Option<&'a Node> {
        let Some(path) = pointer.strip_prefix('#') else {
            self.find(Finding::error(
                "foreign-reference",
                format!("`{}` refers to another file or address, which is never fetched", shorten(pointer)),
                Some(position),
                "put what it names under components in this document",
            ));
            return None;
        };
        let mut current = self.root;
        for segment in path.split('/').skip(1) {
            let key = unescape(segment);
            let next = match current.get(&key) {
                Some(next) => Some(next),
                None => key.parse::<usize>().ok().and_then(|index| current.items().get(index)),
            };
            let Some(next) = next else {
                self.find(Finding::error(
                    "dangling-reference",
                    format!("`{}` names nothing in this document", shorten(pointer)),
                    Some(position),
                    "correct the reference, or add what it names",
                ));
                return None;
            };
            current = next;
        }
        if path.is_empty() || !path.starts_with('/') {
            self.find(Finding::error(
                "dangling-reference",
                format!("`{}` names nothing in this document", shorten(pointer)),
                Some(position),
                "write references as `#/components/…`",
            ));
            return None;
        }
        Some(current)
    }

    /// Checks a name that will travel over the wire: any text, but neither empty nor endless nor with control characters.
    pub(super) fn check_name(&mut self, kind: &str, entry: &Entry) -> bool {
        let reason = if entry.key.is_empty() {
            "is empty".to_owned()
        } else if entry.key.chars().count() > NAME_CHARS_MAX {
            format!("has more than {NAME_CHARS_MAX} characters")
        } else if entry.key.chars().any(char::is_control) {
            "contains control characters".to_owned()
        } else {
            return true;
        };
        let message = format!("the name of the {kind} `{}` {reason}", shorten(&entry.key));
        self.find(Finding::error("unusable-name", message, Some(entry.position), "choose a short, printable name"));
        false
    }

    /// Gives an inline object a name of its own and remembers it as a schema.
    pub(super) fn hoist(&mut self, hint: &str, mut shape: Shape, position: Position) -> String {
        let base = names::class(hint);
        let mut name = base.clone();
        let mut number = 2_u32;
        while !self.names.insert(name.to_lowercase()) {
            name = format!("{base}{number}");
            number += 1;
        }
        let description = shape.description.take().unwrap_or_default();
        self.hoisted.push(Schema {
            name: name.clone(),
            class: name.clone(),
            description,
            shape,
            role: SchemaRole::Value,
            entity: None,
            position: Some(position),
        });
        name
    }
}

pub(super) fn looping(pointer: &str, position: Position) -> Finding {
    Finding::error(
        "looping-reference",
        format!("`{}` leads back to itself", shorten(pointer)),
        Some(position),
        "let one of the references on the way name a schema with a type",
    )
}

/// A segment of a JSON pointer in a URI fragment as plain text.
pub(super) fn unescape(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|digits| str::from_utf8(digits).ok()).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let (b'%', Some(byte)) = (first, code) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_unescaped() {
        assert_eq!(unescape("~1pets~1%7Bid%7D"), "/pets/{id}");
        assert_eq!(unescape("a~01%2"), "a~1%2");
    }
}
