//! Reads requirement documents in prose: what they demand becomes statements, what they list as steps becomes tasks.
//!
//! Headings decide what kind of text follows. Code, tables, examples, background and what is out of scope demand nothing;
//! one finding says how much was passed over.

use std::collections::BTreeSet;

use super::draft::{Draft, Text};
use super::markdown_blocks::{Block, blocks};
use super::prose_section::{Section, Standing};
use super::prose_tasks::{self, Step};
use super::source::Source;
use super::{Ingested, assemble, prose_sentences};
use crate::model::spec::{StatedTask, StatementOrigin};
use crate::model::{Finding, Position, SpecFormat};

/// Titles of first headings that name a part, not the document.
const PART_TITLES: [&str; 8] = ["overview", "introduction", "summary", "context", "background", "goals", "features", "requirements"];
/// Longest label before a colon within an item.
const LABEL_BYTES_MAX: usize = 40;
/// Title of a document that has none and came without a name.
const UNTITLED: &str = "Untitled specification";

/// Reads one document in prose. `name` is its file name, which titles a document without a title.
pub(super) fn read(source: &Source<'_>, name: Option<&str>) -> Ingested {
    let without_tags = without_tag_lines(source.text);
    let plain = Source::new(&without_tags, source.content_hash.clone());
    let blocks = match blocks(&plain) {
        Ok(blocks) => blocks,
        Err(finding) => return Ingested::refused(finding),
    };
    let mut reader = Reader { planned: prose_tasks::planned_lists(&blocks), ..Reader::default() };
    for block in blocks {
        reader.take(block);
    }
    reader.finish(source, name)
}

/// The text with lines that hold nothing but a tag (`<context>`) blanked: Markdown would take what follows them for HTML.
fn without_tag_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let tag = line.trim().strip_prefix('<').and_then(|line| line.strip_suffix('>'));
        let lone = tag.is_some_and(|tag| !tag.is_empty() && tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-')));
        if lone {
            out.extend(line.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        } else {
            out.push_str(line);
        }
    }
    out
}

#[derive(Default)]
struct Reader {
    draft: Draft,
    section: Section,
    /// Lists that state dependencies. Where there are some, they are the plan; other lists restate it and are demands only.
    planned: BTreeSet<usize>,
    tasks: Vec<StatedTask>,
    /// The steps of the list of tasks being read.
    steps: Vec<Step>,
    /// The list that is being read as tasks.
    list: Option<usize>,
    /// The last item at each depth that ended with a colon: a label for what stands below it.
    labels: Vec<Option<String>>,
    /// A heading such as `FR-3: Export` that demands something itself, unless text below it does.
    pending: Option<Text>,
    /// Sentences and rows that demand nothing.
    passed_over: usize,
    first_heading: bool,
    structured_heading: Option<Position>,
}

impl Reader {
    fn take(&mut self, block: Block) {
        match block {
            Block::Heading { level, text } => self.heading(level, text),
            Block::Paragraph { depth, text } => self.paragraph(depth, &text),
            Block::Item { depth, list, number, text } => self.item(depth, list, number, &text),
            Block::Table { rows, .. } => {
                self.end_list();
                self.passed_over += rows.len();
            }
        }
    }

    fn heading(&mut self, level: u8, text: Text) {
        self.end_list();
        self.settle_heading();
        let lower = text.text.to_lowercase();
        if level <= 2 && ["entities", "endpoints"].contains(&lower.as_str()) {
            self.structured_heading = Some(text.position);
        }
        let first = !std::mem::replace(&mut self.first_heading, true);
        if first && level == 1 && !PART_TITLES.contains(&lower.trim_end_matches(':')) {
            self.draft.title = text.text;
            return;
        }
        self.section.enter(level, &text.text);
        self.labels.clear();
        if numbered_demand(&text.text) && self.section.standing() == Standing::Demand {
            self.pending = Some(text);
        }
    }

    /// A heading that demands something by itself is a statement when nothing below it was.
    fn settle_heading(&mut self) {
        let Some(heading) = self.pending.take() else { return };
        let answered = self.draft.statements.last().is_some_and(|last| last.position > heading.position);
        if !answered {
            self.draft.state(&heading.text, &self.section.title, self.section.origin(), heading.position);
        }
    }

    fn paragraph(&mut self, depth: usize, text: &Text) {
        if depth > 0
            && self.list.is_some()
            && let Some(step) = self.steps.last_mut()
        {
            step.add(&text.text);
            return;
        }
        if depth == 0 {
            self.section.label(None);
        }
        if self.draft.summary.is_empty() && (self.section.introduces() || self.section.title.is_empty()) {
            self.draft.summary.clone_from(&text.text);
        }
        for sentence in prose_sentences::sentences(&text.text) {
            let origin = self.origin_of(sentence);
            let demands = match self.section.standing() {
                Standing::Nothing => false,
                Standing::Background => prose_sentences::demands_strictly(sentence),
                Standing::Demand => origin == StatementOrigin::UserStory || prose_sentences::demands(sentence),
            };
            self.state_if(demands && !sentence.ends_with(':'), sentence, origin, text.position);
        }
        if depth == 0 {
            let label = text.text.strip_suffix(':').map(|text| text.rsplit(['.', '!']).next().unwrap_or(text));
            self.section.label(label);
        }
    }

    fn item(&mut self, depth: usize, list: usize, number: Option<u64>, text: &Text) {
        if self.list.is_some_and(|current| current != list) {
            match self.steps.last_mut() {
                Some(step) if depth > 1 => {
                    step.add(&text.text);
                    return;
                }
                // Text between two items splits a list for Markdown, but the numbers go on.
                Some(step) if number == Some(step.number + 1) => self.list = Some(list),
                _ => self.end_list(),
            }
        }
        self.labels.truncate(depth);
        self.labels.resize(depth, None);
        let label = text.text.strip_suffix(':').map(str::to_owned);
        let above = depth.checked_sub(2).and_then(|above| self.labels.get(above).cloned().flatten());
        self.labels[depth - 1].clone_from(&label);
        if let Some(number) = number.filter(|_| self.list == Some(list) || self.lists_tasks(list, above.as_deref())) {
            self.list = Some(list);
            self.steps.push(Step::new(number, text.clone()));
            return;
        }
        if self.section.tech_stack() {
            self.draft.choose(text);
            return;
        }
        let origin = self.origin_of(&text.text);
        let explains = ["why:", "rationale:", "example:", "note:", "e.g."].iter().any(|word| text.text.to_lowercase().starts_with(word));
        // Below an item that is a sentence of its own stand explanations; below a label stand the demands themselves.
        // `Future work: …` is a label and what it holds on one line.
        let own = text.text.split_once(": ").map(|(own, _)| own).filter(|own| own.len() <= LABEL_BYTES_MAX);
        let demands = match self.section.standing_below(&[above.as_deref(), own]) {
            Standing::Nothing => false,
            Standing::Background => prose_sentences::demands_strictly(&text.text),
            Standing::Demand => depth == 1 || above.is_some() || prose_sentences::demands(&text.text),
        };
        self.state_if(demands && label.is_none() && !explains, &text.text, origin, text.position);
    }

    /// True when a numbered list that begins here lists tasks.
    fn lists_tasks(&self, list: usize, label: Option<&str>) -> bool {
        if self.section.standing_below(&[label]) == Standing::Nothing {
            return false;
        }
        if self.planned.is_empty() { self.section.plans(label) } else { self.planned.contains(&list) }
    }

    fn origin_of(&self, sentence: &str) -> StatementOrigin {
        match prose_sentences::origin(sentence) {
            StatementOrigin::UserStory => StatementOrigin::UserStory,
            _ => self.section.origin(),
        }
    }

    fn state_if(&mut self, demands: bool, text: &str, origin: StatementOrigin, position: Position) {
        if demands {
            self.draft.state(text, &self.section.title, origin, position);
        } else {
            self.passed_over += 1;
        }
    }

    fn end_list(&mut self) {
        self.list = None;
        let steps = std::mem::take(&mut self.steps);
        if !steps.is_empty() {
            let section = self.section.title.clone();
            self.tasks.extend(prose_tasks::tasks(&section, steps, &self.tasks, &mut self.draft.findings));
        }
    }

    fn finish(mut self, source: &Source<'_>, name: Option<&str>) -> Ingested {
        self.end_list();
        self.settle_heading();
        let mut findings = std::mem::take(&mut self.draft.findings);
        if self.draft.title.is_empty() {
            self.draft.title = title_of(name);
            let message = format!("the document has no title of its own; it is called `{}`", self.draft.title);
            findings.push(Finding::info("untitled", message, Some(Position::line(1)), "begin it with `# Title`"));
        }
        if let Some(position) = self.structured_heading {
            let message = "the document has a heading of the structured format but no table, so it is read as prose";
            let hint = "add the tables, or force the format with `--format markdown`";
            findings.push(Finding::warning("read-as-prose", message, Some(position), hint));
        }
        if self.draft.statements.is_empty() && self.tasks.is_empty() {
            let hint = "state demands with must, shall or should, as bullets, or as numbered steps";
            findings.push(Finding::warning("no-requirements", "the document demands nothing", None, hint));
        } else if self.passed_over > 0 {
            let message = format!("{} sentences and table rows demand nothing and were kept as background", self.passed_over);
            findings.push(Finding::info("background", message, None, "state a demand with must, shall or should, or as a bullet"));
        }
        let mut ingested = assemble::assemble(self.draft, source, SpecFormat::Prose);
        if let Some(document) = &mut ingested.document {
            document.stated_tasks = self.tasks;
        }
        ingested.findings.extend(findings);
        ingested
    }
}

/// True for headings with a number of their own: `FR-3: Export`, `REQ 12 …`, `US-1: Basic loop`.
fn numbered_demand(title: &str) -> bool {
    let digits = title.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
    let prefix = title[..digits].trim_end_matches(['-', ' ', '#']).to_uppercase();
    ["FR", "NFR", "REQ", "R", "US", "F", "FEATURE", "REQUIREMENT", "USER STORY", "STORY"].contains(&prefix.as_str())
}

/// A title from a file's name: `my-prd.txt` is `My prd`.
fn title_of(name: Option<&str>) -> String {
    let file = name.and_then(|name| name.rsplit(['/', '\\']).next()).unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    let words: Vec<&str> = stem.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let title = words.join(" ");
    let mut characters = title.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).take(super::limits::NAME_CHARS_MAX).collect(),
        None => UNTITLED.to_owned(),
    }
}

#[cfg(test)]
#[path = "prose_tests.rs"]
mod tests;
