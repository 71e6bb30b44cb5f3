//! Source text as a tree: parsed by tree-sitter within limits, and laid out flat, so that no walk over it recurses.
//!
//! Called by `validate` once for each file; read by the checks. Never executes or resolves anything.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::language::Language;

/// A longer file is not read; what people write by hand is far below.
pub(super) const SOURCE_BYTES_MAX: usize = 1 << 20;
/// Deeper trees are not looked at: nobody nests like that but who wants to exhaust a reader.
const DEPTH_MAX: usize = 400;
/// A tree with more nodes is not looked at. Dense code has about one node for two bytes.
const NODES_MAX: usize = 1 << 20;
/// A parser that takes longer on one file is stopped; a megabyte of ordinary code takes a tenth of it.
const PARSE_TIME_MAX: Duration = Duration::from_secs(2);

/// Why there is no tree of a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxError {
    #[error("no grammar for {0}")]
    NoGrammar(&'static str),
    #[error("larger than {} KiB", SOURCE_BYTES_MAX / 1024)]
    TooLarge,
    #[error("not parsed within {} s", PARSE_TIME_MAX.as_secs())]
    TooSlow,
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    #[error("more than {NODES_MAX} syntax nodes")]
    TooMany,
}

/// Parses a text as that language.
pub(super) fn parse(language: Language, text: &str) -> Result<tree_sitter::Tree, SyntaxError> {
    let grammar = language.grammar().ok_or(SyntaxError::NoGrammar(language.as_str()))?;
    if text.len() > SOURCE_BYTES_MAX {
        return Err(SyntaxError::TooLarge);
    }
    let mut parser = tree_sitter::Parser::new();
    parser.set_language(&grammar).expect("a test loads every grammar into this parser");
    let started = Instant::now();
    let mut watch = |_: &tree_sitter::ParseState| {
        if started.elapsed() > PARSE_TIME_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = tree_sitter::ParseOptions::new().progress_callback(&mut watch);
    let mut rest = |offset: usize, _| text.as_bytes().get(offset..).unwrap_or_default();
    parser.parse_with_options(&mut rest, None, Some(options)).ok_or(SyntaxError::TooSlow)
}

/// True when the text is complete in that language.
pub(super) fn parses(language: Language, text: &str) -> bool {
    parse(language, text).is_ok_and(|tree| !tree.root_node().has_error())
}

/// The tree of a text, its nodes in the order of the text, each before its children.
pub(super) struct Syntax<'t> {
    text: &'t str,
    entries: Vec<Entry<'t>>,
}

struct Entry<'t> {
    node: tree_sitter::Node<'t>,
    /// Asked for by every check of every node, and costly to ask the grammar for.
    kind: &'t str,
    parent: Option<usize>,
    /// Where the nodes below it end.
    end: usize,
    field: Option<&'t str>,
}

impl<'t> Syntax<'t> {
    /// Lays a tree out.
    pub(super) fn of(tree: &'t tree_sitter::Tree, text: &'t str) -> Result<Self, SyntaxError> {
        let mut cursor = tree.walk();
        let mut entries: Vec<Entry<'t>> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        loop {
            if entries.len() >= NODES_MAX {
                return Err(SyntaxError::TooMany);
            }
            if open.len() >= DEPTH_MAX {
                return Err(SyntaxError::TooDeep);
            }
            let here = entries.len();
            let node = cursor.node();
            let (kind, parent, field) = (node.kind(), open.last().copied(), cursor.field_name());
            entries.push(Entry { node, kind, parent, end: here + 1, field });
            if cursor.goto_first_child() {
                open.push(here);
                continue;
            }
            while !cursor.goto_next_sibling() {
                let Some(closed) = open.pop() else { return Ok(Self { text, entries }) };
                entries[closed].end = entries.len();
                cursor.goto_parent();
            }
        }
    }

    /// The whole text.
    pub(super) fn text(&self) -> &str {
        self.text
    }

    /// The node of the whole text.
    pub(super) fn root(&self) -> Node<'_> {
        Node { syntax: self, index: 0 }
    }

    /// Every node.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        (0..self.entries.len()).map(|index| Node { syntax: self, index })
    }

    /// Every node of one of these kinds.
    pub(super) fn of_kinds<'s>(&'s self, kinds: &'s [&str]) -> impl Iterator<Item = Node<'s>> {
        self.nodes().filter(|node| kinds.contains(&node.kind()))
    }

    /// The first place at which the text is not what the grammar expects.
    pub(super) fn first_error(&self) -> Option<Node<'_>> {
        if !self.entries.first()?.node.has_error() {
            return None;
        }
        let broken = |node: &Node<'_>| node.raw().is_error() || node.raw().is_missing();
        self.nodes().find(broken).or_else(|| Some(self.root()))
    }
}

/// One node of a [`Syntax`].
#[derive(Clone, Copy)]
pub(super) struct Node<'s> {
    syntax: &'s Syntax<'s>,
    index: usize,
}

impl<'s> Node<'s> {
    fn entry(self) -> &'s Entry<'s> {
        &self.syntax.entries[self.index]
    }

    fn raw(self) -> tree_sitter::Node<'s> {
        self.entry().node
    }

    fn at(self, index: usize) -> Self {
        Self { syntax: self.syntax, index }
    }

    /// What the grammar calls it.
    pub(super) fn kind(self) -> &'s str {
        self.entry().kind
    }

    /// True for what the grammar names; false for punctuation and keywords.
    pub(super) fn named(self) -> bool {
        self.raw().is_named()
    }

    /// Its source text.
    pub(super) fn text(self) -> &'s str {
        self.syntax.text.get(self.raw().byte_range()).unwrap_or_default()
    }

    /// Its line, from 1.
    pub(super) fn line(self) -> usize {
        self.raw().start_position().row + 1
    }

    /// The line on which it ends, from 1.
    pub(super) fn last_line(self) -> usize {
        let end = self.raw().end_position();
        // A node that takes the line's end with it ends at the start of the next line.
        if end.column == 0 && end.row > self.raw().start_position().row { end.row } else { end.row + 1 }
    }

    /// Its column, in characters from 1.
    pub(super) fn column(self) -> usize {
        let start = self.raw().start_byte();
        let prefix = self.syntax.text.get(start - self.raw().start_position().column..start).unwrap_or_default();
        prefix.chars().count() + 1
    }

    /// How many lines it covers.
    pub(super) fn lines(self) -> usize {
        self.last_line() - self.line() + 1
    }

    /// The node above it.
    pub(super) fn parent(self) -> Option<Self> {
        self.entry().parent.map(|index| self.at(index))
    }

    /// The nodes above it, nearest first.
    pub(super) fn ancestors(self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), |node| node.parent())
    }

    /// What stands directly below it.
    pub(super) fn children(self) -> impl Iterator<Item = Self> {
        let end = self.entry().end;
        let first = (self.index + 1 < end).then(|| self.at(self.index + 1));
        std::iter::successors(first, move |node| {
            let next = node.entry().end;
            (next < end).then(|| node.at(next))
        })
    }

    /// What stands directly below it, without punctuation and comments.
    pub(super) fn parts(self) -> impl Iterator<Item = Self> {
        self.children().filter(|node| node.named() && !node.comment())
    }

    /// Everything below it.
    pub(super) fn descendants(self) -> impl Iterator<Item = Self> {
        (self.index + 1..self.entry().end).map(move |index| self.at(index))
    }

    /// The child in that field of the grammar.
    pub(super) fn field(self, name: &str) -> Option<Self> {
        self.children().find(|child| child.entry().field == Some(name))
    }

    /// The text of the child in that field; empty when there is none.
    pub(super) fn field_text(self, name: &str) -> &'s str {
        self.field(name).map(Self::text).unwrap_or_default()
    }

    /// What stands before it below the same node, nearest first.
    pub(super) fn before(self) -> impl Iterator<Item = Self> {
        let all: Vec<Self> = self.parent().into_iter().flat_map(Self::children).take_while(|sibling| sibling.index != self.index).collect();
        all.into_iter().rev()
    }

    /// True for comments of every language.
    pub(super) fn comment(self) -> bool {
        // Rust lays out the text of a documentation comment as a `doc_comment` within it.
        matches!(self.kind(), "comment" | "line_comment" | "block_comment")
    }

    /// True when that node is this one or stands above it.
    pub(super) fn within(self, above: Self) -> bool {
        (above.index..above.entry().end).contains(&self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grammar_loads_and_reads_its_language() {
        for (language, text) in [
            (Language::Python, "def f(x: int) -> int:\n    return x\n"),
            (Language::JavaScript, "export const f = (x) => <p>{x}</p>;\n"),
            (Language::TypeScript, "export function f<T>(x: T): T { return x; }\n"),
            (Language::Tsx, "export const F = ({ x }: { x: string }) => <p>{x}</p>;\n"),
            (Language::Rust, "pub fn f(x: u8) -> u8 { x }\n"),
            (Language::Css, "a { color: red; }\n"),
            (Language::Html, "<!doctype html><html lang=\"en\"><p>x</p></html>\n"),
        ] {
            let tree = parse(language, text).unwrap();
            let syntax = Syntax::of(&tree, text).unwrap();
            assert!(syntax.first_error().is_none(), "{}", language.as_str());
        }
    }

    #[test]
    fn the_flat_tree_has_the_nodes_of_the_tree_in_its_order() {
        let text = "x = [1, (2, 3)]\ny = 4\n";
        let tree = parse(Language::Python, text).unwrap();
        let syntax = Syntax::of(&tree, text).unwrap();
        let numbers: Vec<&str> = syntax.of_kinds(&["integer"]).map(Node::text).collect();
        assert_eq!(numbers, ["1", "2", "3", "4"]);
        let pair = syntax.of_kinds(&["tuple"]).next().unwrap();
        assert_eq!(pair.parts().map(Node::text).collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!(pair.parent().map(Node::kind), Some("list"));
        assert_eq!(pair.before().map(Node::text).collect::<Vec<_>>(), [",", "1", "["]);
        assert!(pair.ancestors().all(|above| pair.within(above)) && !syntax.root().within(pair));
        assert_eq!((pair.line(), pair.column(), pair.lines()), (1, 9, 1));
    }

    #[test]
    fn what_is_too_large_or_too_deep_is_not_looked_at() {
        let check = |text: &str, expected: SyntaxError| {
            let found = parse(Language::Python, text).and_then(|tree| Syntax::of(&tree, text).map(|_| ()));
            assert_eq!(found, Err(expected));
        };
        check(&"#".repeat(SOURCE_BYTES_MAX + 1), SyntaxError::TooLarge);
        check(&format!("x = {}{}\n", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX)), SyntaxError::TooDeep);
        assert_eq!(parse(Language::Other, "").err(), Some(SyntaxError::NoGrammar("other")));
    }
}
