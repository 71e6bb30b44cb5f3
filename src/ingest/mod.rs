//! Reads a specification in any supported format into one [`SpecDocument`], with a finding for everything that was odd.
//!
//! Called by the command line and the first phase of the pipeline. It never panics, never opens a file or address that a
//! document names, and never drops a sentence silently: what it does not understand becomes a statement or a finding.
//!
#![doc = include_str!("FORMAT.md")]

mod detect;
pub mod limits;
mod source;

mod markdown;
mod markdown_blocks;
mod model_file;
mod openapi;
mod prose;
mod prose_section;
mod prose_sentences;
mod prose_tasks;

mod assemble;
mod draft;
mod endpoint;
mod endpoint_list;
mod entity;
mod field;
mod field_rules;
mod field_type;
mod nearest;
mod path;
mod purpose;
mod rule;
mod rule_compare;
mod rule_condition;
mod rule_hint;
mod rule_words;
mod values;

mod contract;
mod contract_operations;
mod contract_status;
pub mod names;
mod names_plural;
mod names_words;

pub use nearest::nearest;
use sha2::{Digest, Sha256};

use crate::model::{Finding, Severity, SpecDocument, SpecFormat};
use source::Source;

/// What came of reading one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Ingested {
    /// The document; none when a finding is an error.
    pub document: Option<SpecDocument>,
    /// What was noticed, in source order.
    pub findings: Vec<Finding>,
}

impl Ingested {
    /// The outcome of an input that cannot be read at all.
    fn refused(finding: Finding) -> Self {
        Self { document: None, findings: vec![finding] }
    }

    /// True when the document cannot be built from.
    pub fn failed(&self) -> bool {
        self.document.is_none()
    }
}

/// Reads one specification of at most [`limits::INPUT_BYTES_MAX`] bytes of UTF-8. `name` is its file name, which only helps
/// detection; `format` overrides detection.
pub fn read(bytes: &[u8], name: Option<&str>, format: Option<SpecFormat>) -> Ingested {
    let text = match text(bytes) {
        Ok(text) => text,
        Err(finding) => return Ingested::refused(finding),
    };
    let source = Source::new(text, hex::encode(Sha256::digest(bytes)));
    let format = format.unwrap_or_else(|| detect::detect(text, name));
    if let (SpecFormat::Markdown | SpecFormat::Prose, Some(finding)) = (format, over_long_line(&source)) {
        return Ingested::refused(finding);
    }
    bounded(on_own_thread(|| match format {
        SpecFormat::OpenApi => openapi::read(&source),
        SpecFormat::Markdown => markdown::read(&source),
        SpecFormat::Model => model_file::read(&source),
        SpecFormat::Prose => prose::read(&source, name),
    }))
}

/// The text of an input, without a byte order mark.
fn text(bytes: &[u8]) -> Result<&str, Finding> {
    if bytes.len() > limits::INPUT_BYTES_MAX {
        let message = format!("the input has {} bytes, more than the {} that are read", bytes.len(), limits::INPUT_BYTES_MAX);
        return Err(Finding::error("input-too-large", message, None, "split the specification, or remove generated parts from it"));
    }
    if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        let before = String::from_utf8_lossy(&bytes[..offset]);
        let position = Some(Source::new(&before, String::new()).position(before.len()));
        return Err(Finding::error(
            "binary-input",
            "the input contains NUL bytes, so it is not text",
            position,
            "submit a text file in UTF-8",
        ));
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let valid = str::from_utf8(&bytes[..error.valid_up_to()]).expect("valid_up_to marks the valid part");
        let position = Source::new(valid, String::new()).position(valid.len());
        Finding::error("not-utf8", "the input is not UTF-8", Some(position), "convert it to UTF-8, for example with iconv")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(Finding::error("empty-input", "the input is empty", None, "write at least a title: `# My service`"));
    }
    Ok(text)
}

/// The first line that no person wrote, if there is one.
fn over_long_line(source: &Source<'_>) -> Option<Finding> {
    let line = source.text.lines().find(|line| line.len() > limits::LINE_BYTES_MAX)?;
    let offset = line.as_ptr().addr() - source.text.as_ptr().addr();
    let message = format!("a line has {} bytes, more than the {} that are read", line.len(), limits::LINE_BYTES_MAX);
    Some(Finding::error("line-too-long", message, Some(source.position(offset)), "break the line, or remove what was pasted into it"))
}

/// Runs a reader where it has enough stack, whatever thread the caller is on, and turns a defect of ours into a finding.
fn on_own_thread(reader: impl FnOnce() -> Ingested + Send) -> Ingested {
    let failed = |what: &str| {
        let hint = "please report this together with the input";
        Ingested::refused(Finding::error("reader-failed", format!("the input could not be read: {what}"), None, hint))
    };
    std::thread::scope(|scope| {
        let spawned = std::thread::Builder::new().name("ingest".to_owned()).stack_size(limits::STACK_BYTES).spawn_scoped(scope, reader);
        match spawned {
            Ok(thread) => thread.join().unwrap_or_else(|_| failed("the reader stopped unexpectedly")),
            Err(error) => failed(&error.to_string()),
        }
    })
}

/// Keeps the document only when no finding is an error, and bounds the findings.
fn bounded(mut ingested: Ingested) -> Ingested {
    if ingested.findings.iter().any(|finding| finding.severity == Severity::Error) {
        ingested.document = None;
    }
    ingested.findings.sort_by_key(|finding| finding.position);
    let surplus = ingested.findings.len().saturating_sub(limits::FINDINGS_MAX);
    if surplus > 0 {
        ingested.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        ingested.findings.truncate(limits::FINDINGS_MAX);
        ingested.findings.sort_by_key(|finding| finding.position);
        ingested.findings.push(Finding::info("more-findings", format!("{surplus} more findings"), None, "mend these first"));
    }
    ingested
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], code: &str) {
        let ingested = read(bytes, None, None);
        assert!(ingested.failed());
        assert_eq!(ingested.findings.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>(), [code]);
    }

    #[test]
    fn inputs_that_are_no_text_are_refused() {
        check(b"", "empty-input");
        check(b" \n\t\n", "empty-input");
        check(b"\xef\xbb\xbf", "empty-input");
        check(b"# Shop\n\0", "binary-input");
        check(b"# Shop\n\xff", "not-utf8");
        check(&vec![b'x'; 50 * 1024 * 1024], "input-too-large");
        check(format!("# Shop\n\n{}\n", "x".repeat(limits::LINE_BYTES_MAX + 1)).as_bytes(), "line-too-long");
    }

    #[test]
    fn the_place_of_a_foreign_byte_is_named() {
        for foreign in [&b"# Shop\nab\xff"[..], b"# Shop\nab\0"] {
            let ingested = read(foreign, None, None);
            assert_eq!(ingested.findings[0].position, Some(crate::model::Position { line: 2, column: 3 }));
        }
    }
}
