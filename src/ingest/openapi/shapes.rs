//! Schemas as shapes: what a JSON value may look like, `allOf` merged, references kept by name.
//!
//! Objects without a name of their own get one from where they stand, so that every object with properties is a named schema.

use serde_json::Value;

use super::merge;
use super::reader::{Reader, SCHEMAS, looping, unescape};
use super::tree::Node;
use crate::ingest::names;
use crate::model::shape::Property;
use crate::model::{Finding, Shape, ShapeKind};

/// Most schemas that `allOf` and local references may copy into others.
const COPIES_MAX: usize = 10_000;
/// Most schemas that are copied into each other; each costs some levels of the stack.
const EXPANDING_MAX: usize = 64;
/// Most names that stand for each other, and most alternatives within alternatives.
const ALIASES_MAX: usize = 4;

/// Keywords beside `$ref` that only describe.
const ANNOTATIONS: &[&str] = &["$ref", "description", "summary", "title", "deprecated", "example", "examples", "xml", "externalDocs"];

/// A shape, and the names that it requires but does not describe.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) shape: Shape,
    pub(super) required: Vec<String>,
}

impl Draft {
    fn of(kind: ShapeKind) -> Self {
        Self { shape: Shape::of(kind), required: Vec::new() }
    }
}

impl<'a> Reader<'a> {
    /// The shape of the component schema of that name; none when there is none or when it contains itself through `allOf`.
    pub(super) fn component(&mut self, name: &str) -> Option<Shape> {
        if let Some(shape) = self.components.get(name) {
            return Some(shape.clone());
        }
        let node = self.root.get("components")?.get("schemas")?.get(name)?;
        let pointer = format!("{SCHEMAS}{name}");
        if self.expanding.contains(&pointer) {
            self.find(looping(&pointer, node.position));
            return None;
        }
        if !self.may_expand(node) {
            return None;
        }
        self.expanding.push(pointer);
        let draft = self.draft(node, name);
        let shape = Self::finish(draft);
        self.expanding.pop();
        self.components.insert(name.to_owned(), shape.clone());
        Some(shape)
    }

    /// False, with a finding, when too many schemas are being copied into each other already.
    fn may_expand(&mut self, node: &Node) -> bool {
        if self.expanding.len() < EXPANDING_MAX {
            return true;
        }
        let message = format!("schemas are composed of each other more than {EXPANDING_MAX} deep");
        self.find(Finding::error("too-deep", message, Some(node.position), "compose fewer schemas"));
        false
    }

    /// The shape of a schema inside something else; an object with properties becomes a schema named after `hint`.
    pub(super) fn shape(&mut self, node: &'a Node, hint: &str) -> Shape {
        if let Some(shape) = self.inline.get(&node.position) {
            return shape.clone();
        }
        let draft = self.draft(node, hint);
        let shape = Self::finish(draft);
        let shape = self.named(shape, hint, node);
        self.inline.insert(node.position, shape.clone());
        shape
    }

    /// Replaces an object with properties by a reference to a new schema.
    pub(super) fn named(&mut self, shape: Shape, hint: &str, node: &Node) -> Shape {
        match &shape.kind {
            ShapeKind::Object(object) if !object.properties.is_empty() => {}
            _ => return shape,
        }
        let mut outer = Shape::of(ShapeKind::Any);
        outer.nullable = shape.nullable;
        outer.default.clone_from(&shape.default);
        outer.read_only = shape.read_only;
        outer.write_only = shape.write_only;
        let inner = Shape { nullable: false, default: None, read_only: false, write_only: false, ..shape };
        outer.kind = ShapeKind::Reference(self.hoist(hint, inner, node.position));
        outer
    }

    /// Required names that nothing describes become properties of any value.
    fn finish(draft: Draft) -> Shape {
        let Draft { mut shape, required } = draft;
        if let ShapeKind::Object(object) = &mut shape.kind {
            for name in required {
                match object.properties.iter_mut().find(|property| property.name == name) {
                    Some(property) => property.required = true,
                    None => object.properties.push(Property {
                        ident: names::ident(&name),
                        name,
                        required: true,
                        shape: Shape::of(ShapeKind::Any),
                    }),
                }
            }
            let mut taken = std::collections::BTreeSet::new();
            for property in &mut object.properties {
                property.ident = names::unique(names::ident(&property.name), &mut taken);
            }
        }
        shape
    }

    fn draft(&mut self, node: &'a Node, hint: &str) -> Draft {
        if !node.is_map() {
            if node.boolean() != Some(true) {
                let message = "this is not a schema".to_owned();
                self.find(Finding::error("malformed-schema", message, Some(node.position), "write a mapping with a `type`"));
            }
            return Draft::of(ShapeKind::Any);
        }
        let mut draft = match node.get("$ref") {
            Some(reference) => {
                let target = self.referred(reference, hint);
                let constrained = self.modern && node.entries().iter().any(|entry| !ANNOTATIONS.contains(&entry.key.as_str()));
                if !constrained {
                    return Draft { shape: annotated(target.shape, node), required: target.required };
                }
                let own = self.keywords(node, hint);
                self.merged(target, own, node)
            }
            None => self.keywords(node, hint),
        };
        for member in node.get("allOf").map(Node::items).unwrap_or_default() {
            let other = self.draft(member, hint);
            draft = self.merged(draft, other, node);
        }
        for keyword in ["oneOf", "anyOf"] {
            if let Some(variants) = node.get(keyword) {
                let other = self.alternatives(variants, node, hint);
                draft = self.merged(draft, other, node);
            }
        }
        draft.shape = annotated(draft.shape, node);
        draft.shape.nullable |= node.flag("nullable");
        draft
    }

    /// What a `$ref` stands for: components stay references, anything else is copied.
    fn referred(&mut self, reference: &'a Node, hint: &str) -> Draft {
        let Some(pointer) = reference.text() else {
            let message = "`$ref` is not a text".to_owned();
            self.find(Finding::error("malformed-schema", message, Some(reference.position), "write `$ref: '#/components/…'`"));
            return Draft::of(ShapeKind::Any);
        };
        let Some(target) = self.target(pointer, reference.position) else { return Draft::of(ShapeKind::Any) };
        if let Some(name) = pointer.strip_prefix(SCHEMAS).filter(|name| !name.contains('/')) {
            let mut chain = vec![pointer];
            let mut current = target;
            while let Some(next) = current.text_at("$ref") {
                if chain.contains(&next) {
                    self.find(looping(next, current.position));
                    return Draft::of(ShapeKind::Any);
                }
                let Some(node) = self.target(next, current.position) else { return Draft::of(ShapeKind::Any) };
                chain.push(next);
                current = node;
            }
            return Draft::of(ShapeKind::Reference(unescape(name)));
        }
        self.copies += 1;
        if self.expanding.iter().any(|open| open == pointer) || self.copies > COPIES_MAX {
            self.find(looping(pointer, reference.position));
            return Draft::of(ShapeKind::Any);
        }
        if !self.may_expand(reference) {
            return Draft::of(ShapeKind::Any);
        }
        self.expanding.push(pointer.to_owned());
        let draft = self.draft(target, hint);
        self.expanding.pop();
        draft
    }

    /// Both at once. Only a lone reference stays one; otherwise what it names is copied in.
    fn merged(&mut self, left: Draft, right: Draft, node: &Node) -> Draft {
        let mut required = left.required;
        required.extend(right.required);
        if matches!(left.shape.kind, ShapeKind::Any) && required.is_empty() {
            let nullable = right.shape.nullable;
            let shape = merge::annotations(Shape { nullable, ..right.shape }, &left.shape);
            return Draft { shape, required };
        }
        if matches!(right.shape.kind, ShapeKind::Any) && required.is_empty() {
            return Draft { shape: merge::annotations(left.shape, &right.shape), required };
        }
        self.copies += 1;
        if self.copies > COPIES_MAX {
            let message = format!("`allOf` copies more than {COPIES_MAX} schemas");
            self.find(Finding::error("too-many-copies", message, Some(node.position), "compose fewer schemas"));
            return Draft { shape: left.shape, required };
        }
        let left = self.written_out(left.shape, 0);
        let right = self.written_out(right.shape, 0);
        let mut conflicts = Vec::new();
        let shape = merge::both(left, right, "", &mut conflicts);
        for what in conflicts {
            let message = format!("the parts of this schema disagree about {what}; the first one was taken");
            self.find(Finding::warning("conflicting-all-of", message, Some(node.position), "let the parts agree, or use `oneOf`"));
        }
        let shape = self.rewritten(shape, node);
        Draft { shape, required }
    }

    /// The shape that a reference names, with what was said beside the reference; variants are written out as well.
    fn written_out(&mut self, shape: Shape, depth: usize) -> Shape {
        if depth > ALIASES_MAX {
            return shape;
        }
        match &shape.kind {
            ShapeKind::Reference(name) => match self.named_shape(name) {
                Some(target) => {
                    let target = self.written_out(target, depth + 1);
                    merge::annotations(target, &shape)
                }
                None => Shape::of(ShapeKind::Any),
            },
            ShapeKind::OneOf { variants, discriminator } => {
                let variants = variants.iter().map(|variant| self.written_out(variant.clone(), depth + 1)).collect();
                let kind = ShapeKind::OneOf { variants, discriminator: discriminator.clone() };
                Shape { kind, ..shape }
            }
            _ => shape,
        }
    }

    /// Names the inline objects that merging made inside variants.
    fn rewritten(&mut self, shape: Shape, node: &Node) -> Shape {
        let ShapeKind::OneOf { variants, discriminator } = shape.kind else { return shape };
        let hint =
            self.expanding.last().map_or_else(|| "Variant".to_owned(), |pointer| format!("{}Variant", pointer.trim_start_matches(SCHEMAS)));
        let variants = variants.into_iter().map(|variant| self.named(variant, &hint, node)).collect();
        Shape { kind: ShapeKind::OneOf { variants, discriminator }, ..shape }
    }

    /// `oneOf` or `anyOf`; a lone `null` among the variants means nullable.
    fn alternatives(&mut self, list: &'a Node, node: &'a Node, hint: &str) -> Draft {
        let mut nullable = false;
        let mut variants = Vec::new();
        for (index, member) in list.items().iter().enumerate() {
            if member.text_at("type") == Some("null") {
                nullable = true;
                continue;
            }
            let title = member.text_at("title").map_or_else(|| format!("{hint}Variant{}", index + 1), str::to_owned);
            variants.push(self.shape(member, &title));
        }
        let discriminator = node.get("discriminator").and_then(|node| node.text_at("propertyName")).map(str::to_owned);
        let mut draft = match variants.len() {
            0 => Draft::of(ShapeKind::Any),
            1 => Draft { shape: variants.remove(0), required: Vec::new() },
            _ => Draft::of(ShapeKind::OneOf { variants, discriminator }),
        };
        draft.shape.nullable |= nullable;
        draft
    }
}

/// What a node says about a shape besides its type.
fn annotated(mut shape: Shape, node: &Node) -> Shape {
    if let Some(text) = node.text_at("description").or_else(|| node.text_at("title")) {
        shape.description = Some(text.trim().to_owned());
    }
    if let Some(value) = node.get("default") {
        shape.default = Some(value.value());
    }
    let example = node.get("example").or_else(|| node.get("examples").and_then(|list| list.items().first()));
    if let Some(value) = example {
        shape.example = Some(value.value());
    }
    shape.read_only |= node.flag("readOnly");
    shape.write_only |= node.flag("writeOnly");
    if shape.default == Some(Value::Null) {
        shape.default = None;
    }
    shape
}
