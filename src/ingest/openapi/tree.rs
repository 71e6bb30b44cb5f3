//! YAML or JSON text as a tree in which every value knows where it stands.
//!
//! JSON is read by the same parser, as the subset of YAML that it is. Called by the OpenAPI reader only; knows nothing of
//! OpenAPI. It never recurses into foreign input without a bound: depth, values and aliases are limited.

use std::collections::HashMap;

use super::scalars::resolve_plain;
use serde_json::{Number, Value};
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span};

use crate::ingest::limits::{DEPTH_MAX, NODES_MAX};
use crate::model::{Finding, Position};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) position: Position,
    /// How many values it consists of, itself included.
    size: usize,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key, its place, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) position: Position,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn new(content: Content, position: Position) -> Self {
        let size = 1 + match &content {
            Content::List(items) => items.iter().map(|item| item.size).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.value.size).sum(),
            _ => 0,
        };
        Self { content, position, size }
    }

    /// The value under that key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of that key.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries of a map; none of anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.content {
            Content::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<&Number> {
        match &self.content {
            Content::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.content, Content::Map(_))
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    /// The text under that key.
    pub(super) fn text_at(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::text)
    }

    /// True when that key holds `true`.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.get(key).and_then(Node::boolean) == Some(true)
    }

    /// The same value without places.
    pub(super) fn value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Node::value).collect()),
            Content::Map(entries) => Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.value())).collect()),
        }
    }
}

/// Reads one document. Fails on malformed text, duplicate keys, a second document, and anything beyond the limits.
pub(super) fn parse(text: &str) -> Result<Node, Finding> {
    let mut options = Options::default();
    options.emit_comments = false;
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| malformed(&error))?;
        builder.take(event, &span)?;
    }
    builder.root.ok_or_else(|| Finding::error("empty-document", "the document is empty", None, "submit an OpenAPI document"))
}

/// A list or map that is still open.
struct Open {
    anchor: usize,
    position: Position,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    /// `seen` holds the line of every key, so that a mapping of many keys is read in one pass.
    Map {
        entries: Vec<Entry>,
        key: Option<(String, Position)>,
        seen: HashMap<String, u32>,
    },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Finding> {
        let position = place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                if self.expects_key() {
                    return self.set_key(text.into_owned(), position);
                }
                let content = if plain { resolve_plain(&text) } else { Content::Text(text.into_owned()) };
                self.put(Node::new(content, position), anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(Open { anchor, position, kind: OpenKind::List(Vec::new()) }),
            Event::MappingStart(_, anchor, _) => {
                let kind = OpenKind::Map { entries: Vec::new(), key: None, seen: HashMap::new() };
                self.open(Open { anchor, position, kind })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => {
                let Some(target) = self.anchors.get(&id) else {
                    return Err(Finding::error(
                        "looping-alias",
                        "an alias refers to a value that contains it",
                        Some(position),
                        "write the value out",
                    ));
                };
                if let (true, Content::Text(text)) = (self.expects_key(), &target.content) {
                    let text = text.clone();
                    return self.set_key(text, position);
                }
                // Counted before it is copied, so that a bomb costs nothing.
                let size = target.size;
                self.count(size, position)?;
                let copy = self.anchors[&id].clone();
                self.put(copy, 0)
            }
            Event::DocumentStart(..) if self.root.is_some() => Err(Finding::error(
                "several-documents",
                "a second document begins here",
                Some(position),
                "submit one document, without a `---` in its middle",
            )),
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize, position: Position) -> Result<(), Finding> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            return Err(Finding::error(
                "too-many-values",
                format!("the document has more than {NODES_MAX} values, aliases written out"),
                Some(position),
                "split the document, or write aliases of large values only once",
            ));
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: OpenKind::Map { key: None, .. }, .. }))
    }

    fn set_key(&mut self, text: String, position: Position) -> Result<(), Finding> {
        if let Some(Open { kind: OpenKind::Map { key, seen, .. }, .. }) = self.open.last_mut() {
            if let Some(first) = seen.insert(text.clone(), position.line) {
                return Err(Finding::error(
                    "duplicate-key",
                    format!("the key `{}` stands twice in one mapping, first on line {first}", shorten(&text)),
                    Some(position),
                    "remove or rename one of them",
                ));
            }
            *key = Some((text, position));
        }
        Ok(())
    }

    fn open(&mut self, open: Open) -> Result<(), Finding> {
        if self.expects_key() {
            return Err(Finding::error("unusable-key", "a key is a list or a mapping", Some(open.position), "use a plain text as the key"));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Finding::error(
                "too-deep",
                format!("values are nested more than {DEPTH_MAX} deep"),
                Some(open.position),
                "name inner schemas under components/schemas and refer to them",
            ));
        }
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Finding> {
        let Some(Open { anchor, position, kind }) = self.open.pop() else { return Ok(()) };
        let content = match kind {
            OpenKind::List(items) => Content::List(items),
            OpenKind::Map { entries, .. } => Content::Map(merge_keys(entries)),
        };
        self.put(Node::new(content, position), anchor)
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Finding> {
        self.count(1, node.position)?;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some(Open { kind: OpenKind::List(items), .. }) => items.push(node),
            Some(Open { kind: OpenKind::Map { entries, key, .. }, .. }) => match key.take() {
                Some((key, position)) => entries.push(Entry { key, position, value: node }),
                None => {
                    return Err(Finding::error("unusable-key", "a key is not a text", Some(node.position), "use a plain text as the key"));
                }
            },
            None => self.root = Some(node),
        }
        Ok(())
    }
}

/// Writes out `<<: *base`, which documents made for YAML 1.1 use; own keys win.
fn merge_keys(entries: Vec<Entry>) -> Vec<Entry> {
    if !entries.iter().any(|entry| entry.key == "<<" && (entry.value.is_map() || !entry.value.items().is_empty())) {
        return entries;
    }
    let (bases, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.key == "<<");
    for base in bases {
        let sources = if base.value.is_map() { vec![base.value] } else { base.value.items().to_vec() };
        for entry in sources.iter().flat_map(Node::entries) {
            if !own.iter().any(|known| known.key == entry.key) {
                own.push(entry.clone());
            }
        }
    }
    own
}

fn place(span: &Span) -> Position {
    let limited = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: limited(span.start.line()), column: limited(span.start.col().saturating_add(1)) }
}

fn malformed(error: &ScanError) -> Finding {
    let marker = error.marker();
    let limited = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let position = Position { line: limited(marker.line()), column: limited(marker.col().saturating_add(1)) };
    let text = error.kind().to_string();
    if text.contains("depth") || text.contains("nest") || text.contains("recursion") {
        return Finding::error(
            "too-deep",
            format!("values are nested too deep: {text}"),
            Some(position),
            "name inner schemas and refer to them",
        );
    }
    Finding::error("malformed", format!("neither YAML nor JSON: {text}"), Some(position), "check the indentation and quoting at this place")
}

/// At most 60 characters of a foreign text, for messages.
pub(super) fn shorten(text: &str) -> String {
    let clean: String = text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect();
    match clean.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        parse(text).expect("a readable document").value()
    }

    fn code(text: &str) -> String {
        parse(text).expect_err("a defect").code
    }

    #[test]
    fn yaml_and_json_read_the_same() {
        let expected = json!({"a": [1, -2, 1.5, "no", true, null, "1.10"], "b": {"c d": "x\u{1f600}"}});
        assert_eq!(value("a: [1, -2, 1.5, no, true, ~, '1.10']\nb:\n  c d: x\u{1f600}\n"), expected);
        assert_eq!(value("{\"a\": [1, -2, 1.5, \"no\", true, null, \"1.10\"],\n\t\"b\": {\"c d\": \"x\\ud83d\\ude00\"}}"), expected);
    }

    #[test]
    fn places_are_those_of_the_source() {
        let root = parse("a: 1\nb:\n  - x\n  - y: 2\n").expect("readable");
        assert_eq!(root.entry("b").expect("b").position, Position { line: 2, column: 1 });
        assert_eq!(root.get("b").expect("b").items()[1].get("y").expect("y").position, Position { line: 4, column: 8 });
    }

    #[test]
    fn merge_keys_are_written_out_and_own_keys_win() {
        assert_eq!(value("base: &b {x: 1, y: 2}\nown:\n  <<: *b\n  y: 3\n")["own"], json!({"y": 3, "x": 1}));
    }

    #[test]
    fn defects_are_named() {
        assert_eq!(code(""), "empty-document");
        assert_eq!(code("a: 1\na: 2\n"), "duplicate-key");
        assert_eq!(code("a: [1, 2\nb: }"), "malformed");
        assert_eq!(code("a: 1\n---\nb: 2\n"), "several-documents");
        assert_eq!(code("? [a, b]\n: 1\n"), "unusable-key");
        assert_eq!(code("a: &a [*a]\n"), "looping-alias");
    }

    #[test]
    fn an_alias_bomb_stops_at_the_limit() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            text += &["a", &level.to_string(), ": &a", &level.to_string(), " [", &vec![before; 10].join(", "), "]\n"].concat();
        }
        assert_eq!(code(&text), "too-many-values");
    }

    #[test]
    fn ten_thousand_levels_are_refused() {
        assert_eq!(code(&"[".repeat(10_000)), "too-deep");
        assert_eq!(code(&"{\"a\":".repeat(10_000)), "too-deep");
        let block: String = (0..10_000).map(|level| " ".repeat(level) + "a:\n").collect();
        assert_eq!(code(&block), "too-deep");
    }
}
