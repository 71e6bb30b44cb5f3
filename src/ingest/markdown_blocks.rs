//! Markdown as a flat list of blocks with their places: what both the structured and the prose reader walk over.
//!
//! Code blocks, HTML and images are left out: examples are no demands.

use std::ops::Range;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

use super::draft::Text;
use super::limits::DEPTH_MAX;
use super::source::Source;
use crate::model::Finding;

/// A block of a Markdown text.
#[derive(Debug, PartialEq)]
pub(super) enum Block {
    /// A heading of level 1 to 6.
    Heading {
        /// 1 to 6.
        level: u8,
        /// Its text.
        text: Text,
    },
    /// A paragraph; `depth` counts the lists around it.
    Paragraph {
        /// How many lists it stands in.
        depth: usize,
        /// Its text on one line.
        text: Text,
    },
    /// The first line of a list item.
    Item {
        /// How many lists it stands in, 1 for the outermost.
        depth: usize,
        /// Which list it belongs to, counted through the document.
        list: usize,
        /// Its number in a numbered list.
        number: Option<u64>,
        /// Its text on one line, up to the next block inside it.
        text: Text,
    },
    /// A table with its header row.
    Table {
        /// The header's cells.
        header: Vec<Text>,
        /// The rows' cells.
        rows: Vec<Vec<Text>>,
    },
}

/// The blocks of a text; an error when something is nested too deep.
pub(super) fn blocks(source: &Source<'_>) -> Result<Vec<Block>, Finding> {
    refuse_deep_nesting(source)?;
    let mut walk = Walk { source, blocks: Vec::new(), lists: Vec::new(), lists_seen: 0, inline: None, table: None, muted: 0, quoted: 0 };
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    for (event, range) in Parser::new_ext(source.text, options).into_offset_iter() {
        walk.take(event, &range);
        if walk.lists.len() + walk.quoted > DEPTH_MAX {
            return Err(too_deep(source, range.start));
        }
    }
    walk.flush();
    Ok(walk.blocks)
}

/// Refuses lines that open many containers at once before the parser spends time on them.
fn refuse_deep_nesting(source: &Source<'_>) -> Result<(), Finding> {
    let mut offset = 0;
    for line in source.text.split_inclusive('\n') {
        let markers = line.chars().take_while(|c| matches!(c, '>' | ' ' | '\t' | '-' | '*' | '+'));
        let quotes = markers.clone().filter(|c| *c == '>').count();
        let bullets =
            line.split(' ').take_while(|word| matches!(*word, "" | ">" | "-" | "*" | "+")).filter(|word| !word.is_empty()).count();
        let brackets = line.bytes().take(100_000).filter(|byte| *byte == b'[').count();
        if quotes > DEPTH_MAX || bullets > DEPTH_MAX || brackets > 2_000 {
            return Err(too_deep(source, offset));
        }
        offset += line.len();
    }
    Ok(())
}

fn too_deep(source: &Source<'_>, offset: usize) -> Finding {
    let message = format!("lists, quotes or brackets are nested more than {DEPTH_MAX} deep");
    Finding::error("nested-too-deep", message, Some(source.position(offset)), "flatten the structure")
}

/// A list around the current place.
struct List {
    id: usize,
    next: Option<u64>,
}

/// Where the walk over the events is.
struct Walk<'s, 'a> {
    source: &'s Source<'a>,
    blocks: Vec<Block>,
    lists: Vec<List>,
    lists_seen: usize,
    /// The block whose text is being collected.
    inline: Option<Inline>,
    table: Option<(Vec<Text>, Vec<Vec<Text>>)>,
    /// How many code blocks, HTML blocks or images are open: their text is not read.
    muted: usize,
    quoted: usize,
}

/// A block whose text is being collected.
struct Inline {
    kind: Kind,
    text: String,
    start: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Heading(u8),
    Paragraph,
    Item(usize, Option<u64>),
}

impl Walk<'_, '_> {
    fn take(&mut self, event: Event<'_>, range: &Range<usize>) {
        match event {
            Event::Start(tag) => self.start(&tag, range),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.add(&text, range),
            Event::Code(code) => self.add(&CowStr::from(format!("`{code}`")), range),
            Event::SoftBreak | Event::HardBreak => self.add(&CowStr::from(" "), range),
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>, range: &Range<usize>) {
        match tag {
            Tag::Heading { level, .. } => self.open(Kind::Heading(*level as u8), range.start),
            // The first paragraph of an item is the item's own text.
            Tag::Paragraph if matches!(&self.inline, Some(Inline { kind: Kind::Item(..), text, .. }) if text.is_empty()) => {}
            Tag::Paragraph => self.open(Kind::Paragraph, range.start),
            Tag::List(first) => {
                self.flush();
                self.lists.push(List { id: self.lists_seen, next: *first });
                self.lists_seen += 1;
            }
            Tag::Item => {
                let Some(list) = self.lists.last_mut() else { return };
                let (id, number) = (list.id, list.next);
                list.next = number.map(|number| number.saturating_add(1));
                self.open(Kind::Item(id, number), range.start);
            }
            Tag::CodeBlock(_) | Tag::HtmlBlock => {
                self.flush();
                self.muted += 1;
            }
            Tag::Image { .. } => self.muted += 1,
            Tag::BlockQuote(_) => {
                self.flush();
                self.quoted += 1;
            }
            Tag::Table(_) => {
                self.flush();
                self.table = Some((Vec::new(), Vec::new()));
            }
            Tag::TableRow => {
                if let Some((_, rows)) = &mut self.table {
                    rows.push(Vec::new());
                }
            }
            Tag::TableCell => self.cell(range),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) | TagEnd::Paragraph | TagEnd::Item => self.flush(),
            TagEnd::List(_) => {
                self.flush();
                self.lists.pop();
            }
            TagEnd::CodeBlock | TagEnd::HtmlBlock | TagEnd::Image => self.muted = self.muted.saturating_sub(1),
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.quoted = self.quoted.saturating_sub(1);
            }
            TagEnd::Table => {
                if let Some((header, rows)) = self.table.take() {
                    self.blocks.push(Block::Table { header, rows });
                }
            }
            _ => {}
        }
    }

    /// A cell's text is taken from the source, so that patterns keep their characters.
    fn cell(&mut self, range: &Range<usize>) {
        let raw = self.source.text.get(range.clone()).unwrap_or_default();
        let inner = raw.trim_start_matches('|');
        let start = range.start + (raw.len() - inner.len()) + (inner.len() - inner.trim_start().len());
        let inner = inner.trim();
        let inner = if inner.ends_with("\\|") { inner } else { inner.trim_end_matches('|').trim_end() };
        let text = Text::new(inner.replace("\\|", "|"), self.source.position(start));
        if let Some((header, rows)) = &mut self.table {
            rows.last_mut().unwrap_or(header).push(text);
        }
    }

    fn open(&mut self, kind: Kind, start: usize) {
        self.flush();
        self.inline = Some(Inline { kind, text: String::new(), start });
    }

    fn add(&mut self, text: &CowStr<'_>, range: &Range<usize>) {
        if self.muted > 0 || self.table.is_some() {
            return;
        }
        if self.inline.is_none() {
            self.inline = Some(Inline { kind: Kind::Paragraph, text: String::new(), start: range.start });
        }
        if let Some(inline) = &mut self.inline {
            if inline.text.is_empty() {
                inline.start = range.start;
            }
            inline.text.push_str(text);
        }
    }

    fn flush(&mut self) {
        let Some(Inline { kind, text, start }) = self.inline.take() else { return };
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.is_empty() {
            return;
        }
        let text = Text::new(words, self.source.position(start));
        let depth = self.lists.len();
        self.blocks.push(match kind {
            Kind::Heading(level) => Block::Heading { level, text },
            Kind::Paragraph => Block::Paragraph { depth, text },
            Kind::Item(list, number) => Block::Item { depth, list, number, text },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let source = Source::new(text, String::new());
        let blocks = blocks(&source).expect("shallow");
        blocks.iter().map(shown).collect()
    }

    fn shown(block: &Block) -> String {
        let text = |text: &Text| format!("{}@{}", text.text, text.position);
        match block {
            Block::Heading { level, text: heading } => format!("h{level} {}", text(heading)),
            Block::Paragraph { depth, text: paragraph } => format!("p{depth} {}", text(paragraph)),
            Block::Item { depth, list, number, text: item } => format!("i{depth}/{list} {number:?} {}", text(item)),
            Block::Table { header, rows } => {
                let row = |cells: &Vec<Text>| cells.iter().map(text).collect::<Vec<_>>().join(" ");
                format!("t {} / {}", row(header), rows.iter().map(row).collect::<Vec<_>>().join(" / "))
            }
        }
    }

    #[test]
    fn blocks_keep_their_places() {
        assert_eq!(read("# A *b*\n\none\ntwo\n"), ["h1 A b@1:3", "p0 one two@3:1"]);
        assert_eq!(
            read("1. x\n   - y `z`\n\n   more\n2. w\n"),
            ["i1/0 Some(1) x@1:4", "i2/1 None y `z`@2:6", "p1 more@4:4", "i1/0 Some(2) w@5:4"]
        );
    }

    #[test]
    fn cells_are_taken_as_written() {
        assert_eq!(read("| a | b |\n| --- | --- |\n| `x\\|y` | *z* |\n| | q\\| |\n"), ["t a@1:3 b@1:7 / `x|y`@3:3 *z*@3:12 / @4:3 q|@4:5"]);
    }

    #[test]
    fn code_is_left_out() {
        assert_eq!(read("a\n\n```\n- b\n```\n\n- c\n  ```\n  1. d\n  ```\n"), ["p0 a@1:1", "i1/0 None c@7:3"]);
        assert_eq!(read("<div>\nx\n</div>\n\ny\n"), ["p0 y@5:1"]);
    }

    #[test]
    fn deep_nesting_is_refused() {
        for text in ["> ".repeat(10_000), "- ".repeat(10_000) + "x", ">".repeat(10_000), "[".repeat(10_000)] {
            let finding = blocks(&Source::new(&text, String::new())).expect_err("too deep");
            assert_eq!(finding.code, "nested-too-deep");
        }
    }
}
