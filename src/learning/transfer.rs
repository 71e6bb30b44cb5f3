//! Patterns as a file, for a backup or for another installation: a line that says what follows, then one pattern a line, as JSON.
//!
//! What is read is foreign. Its size is limited, secrets are taken out of it, and it gets the ids of whoever reads it: nothing that a file
//! says makes it one of the patterns that are known here. Called by `specwave patterns export` and `import`.

use serde::{Deserialize, Serialize};

use super::harvest;
use crate::model::{OrganizationId, Pattern};
use crate::redact::redact;

/// Most patterns in a file.
pub const PATTERNS_MAX: usize = 100_000;
/// Most bytes of a file.
pub const FILE_BYTES_MAX: usize = 256 << 20;
/// Most bytes of one field.
const FIELD_BYTES_MAX: usize = 256 << 10;
/// Most checks that one pattern names.
const EVIDENCE_MAX: usize = 1_000;
/// What the first line says.
const FORMAT: &str = "specwave-patterns";
/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;
/// Stands before the evidence of what was not verified here.
const IMPORTED: &str = "imported";

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: String,
    version: u32,
}

/// Why a file is not taken. Nothing of it is then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// The first line does not say that patterns follow.
    #[error("it does not begin with the line of a file of patterns")]
    NotPatterns,
    /// It was written by a newer program.
    #[error("it is of version {version}, and this specwave reads up to {VERSION}")]
    Newer {
        /// The file's version.
        version: u32,
    },
    /// It is too large.
    #[error("it holds more than {what}")]
    TooLarge {
        /// The limit, in words.
        what: String,
    },
    /// A line is no pattern.
    #[error("line {line}: {reason}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl TransferError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotPatterns | Self::Line { .. } => "give a file as `specwave patterns export` writes it",
            Self::Newer { .. } => "install a newer specwave",
            Self::TooLarge { .. } => "split it; each part needs the first line",
        }
    }
}

/// The first line of a file.
pub fn head() -> String {
    line(&Head { format: FORMAT.to_owned(), version: VERSION })
}

/// One line of it: a pattern.
pub fn line(pattern: &impl Serialize) -> String {
    serde_json::to_string(pattern).expect("names and texts can be written as JSON")
}

/// The patterns of a file, as those of an organization; all of them, or none.
pub fn read(tenant: OrganizationId, bytes: &[u8]) -> Result<Vec<Pattern>, TransferError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(TransferError::TooLarge { what: format!("{} MiB", FILE_BYTES_MAX >> 20) });
    }
    let mut lines = bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    let head: Option<Head> = lines.next().and_then(|(_, line)| serde_json::from_slice(line).ok());
    match head {
        Some(Head { format, version }) if format == FORMAT => {
            if version > VERSION {
                return Err(TransferError::Newer { version });
            }
        }
        _ => return Err(TransferError::NotPatterns),
    }
    let mut patterns = Vec::new();
    for (at, line) in lines {
        if patterns.len() == PATTERNS_MAX {
            return Err(TransferError::TooLarge { what: format!("{PATTERNS_MAX} patterns") });
        }
        let failed = |reason: String| TransferError::Line { line: at + 1, reason };
        let pattern: Pattern = serde_json::from_slice(line).map_err(|error| failed(error.to_string()))?;
        patterns.push(taken(tenant, pattern).map_err(failed)?);
    }
    Ok(patterns)
}

/// A foreign pattern as one of an organization's own.
fn taken(tenant: OrganizationId, mut pattern: Pattern) -> Result<Pattern, String> {
    let small = [
        ("title", &mut pattern.title),
        ("language", &mut pattern.language),
        ("framework", &mut pattern.framework),
        ("unit_type", &mut pattern.unit_type),
        ("spec_type", &mut pattern.spec_type),
        ("unit_key", &mut pattern.unit_key),
    ];
    for (name, text) in small {
        if text.contains(char::is_control) {
            return Err(format!("{name} is more than one line"));
        }
        sound(name, text)?;
    }
    if pattern.title.trim().is_empty() || pattern.text.trim().is_empty() {
        return Err("a pattern has a title and a text".to_owned());
    }
    sound("text", &mut pattern.text)?;
    sound("code", &mut pattern.code)?;
    if pattern.evidence.len() > EVIDENCE_MAX {
        return Err(format!("evidence names more than {EVIDENCE_MAX} checks"));
    }
    for name in &mut pattern.evidence {
        sound("evidence", name)?;
    }
    if pattern.evidence.first().is_none_or(|first| first != IMPORTED) {
        pattern.evidence.insert(0, IMPORTED.to_owned());
    }
    Ok(harvest::identified(tenant, pattern))
}

fn sound(name: &str, text: &mut String) -> Result<(), String> {
    if text.len() > FIELD_BYTES_MAX {
        return Err(format!("{name} has more than {} KiB", FIELD_BYTES_MAX >> 10));
    }
    if text.contains('\0') {
        return Err(format!("{name} holds a NUL"));
    }
    *text = redact(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::LOCAL_ORGANIZATION;
    use crate::model::{PatternId, PatternKind, RunId};

    fn pattern() -> Pattern {
        Pattern {
            id: PatternId(uuid::Uuid::from_u128(7)),
            kind: PatternKind::Code,
            title: "GET /books".to_owned(),
            text: "List books".to_owned(),
            code: "def f():\n    return 1\n".to_owned(),
            language: "python".to_owned(),
            framework: "FastAPI".to_owned(),
            unit_type: "api".to_owned(),
            spec_type: "markdown".to_owned(),
            success: true,
            run: RunId(uuid::Uuid::from_u128(1)),
            unit_key: "router/books".to_owned(),
            evidence: vec!["lint".to_owned()],
        }
    }

    fn file(patterns: &[Pattern]) -> String {
        patterns.iter().fold(head(), |file, pattern| format!("{file}\n{}", line(pattern)))
    }

    #[test]
    fn what_was_written_is_read_as_the_readers_own_and_says_that_it_was_imported() {
        let read_by = |tenant: OrganizationId, text: &str| read(tenant, text.as_bytes()).unwrap();
        let other = OrganizationId(uuid::Uuid::from_u128(9));
        let ours = read_by(LOCAL_ORGANIZATION, &file(&[pattern()]));
        let theirs = read_by(other, &file(&ours));
        assert_eq!((&ours[0].code, &ours[0].run), (&pattern().code, &pattern().run));
        assert_eq!(ours[0].evidence, ["imported", "lint"]);
        assert_eq!(theirs[0].evidence, ["imported", "lint"], "said once");
        assert_ne!(ours[0].id, pattern().id, "what a file says of its id counts for nothing");
        assert_ne!(ours[0].id, theirs[0].id);
        assert_eq!(read_by(LOCAL_ORGANIZATION, &file(&theirs))[0].id, ours[0].id, "the same content is the same pattern");
        assert_eq!(read_by(other, &format!("{}\n\n", head())), []);
    }

    #[test]
    fn secrets_are_taken_out() {
        let secret = format!("ghp_{}", "a1B2".repeat(9));
        let mut with = pattern();
        with.code = format!("TOKEN = \"{secret}\"\n");
        let read = read(LOCAL_ORGANIZATION, file(&[with]).as_bytes()).unwrap();
        assert!(!read[0].code.contains(&secret), "{}", read[0].code);
    }

    #[test]
    fn what_is_no_file_of_patterns_is_refused_whole_with_the_line() {
        let check = |text: &str, expected: &str| {
            let refused = read(LOCAL_ORGANIZATION, text.as_bytes()).expect_err(text);
            assert!(refused.to_string().contains(expected) && !refused.hint().is_empty(), "{refused}");
        };
        let with = |change: fn(&mut Pattern)| {
            let mut pattern = pattern();
            change(&mut pattern);
            file(&[self::pattern(), pattern])
        };
        check("", "does not begin with");
        check("[1]", "does not begin with");
        check(&line(&pattern()), "does not begin with");
        check("{\"format\":\"specwave-patterns\",\"version\":2}", "version 2");
        check(&format!("{}\nnonsense", file(&[pattern()])), "line 3: ");
        check(&with(|pattern| pattern.title = "two\nlines".to_owned()), "line 3: title is more than one line");
        check(&with(|pattern| pattern.text = "  ".to_owned()), "line 3: a pattern has a title and a text");
        check(&with(|pattern| pattern.code = "x".repeat(FIELD_BYTES_MAX + 1)), "line 3: code has more than 256 KiB");
        check(&with(|pattern| pattern.code = "\0".to_owned()), "line 3: code holds a NUL");
        check(&with(|pattern| pattern.evidence = vec!["x".to_owned(); EVIDENCE_MAX + 1]), "line 3: evidence names more than");
    }
}
