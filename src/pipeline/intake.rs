//! Taking a specification in: what is decided before a run of it exists. Called by the command line and the HTTP interface, so that
//! both accept and refuse the same documents for the same reasons. Pure: no store, no clock.

use thiserror::Error;

use super::analyze::analyze;
use super::plan::{PlanError, plan_document};
use crate::generate::{GenerateError, TargetPack};
use crate::ingest;
use crate::model::{Finding, Plan, SpecDocument, SpecFormat};

/// Most characters of a specification's name; the same as its column's.
pub const NAME_CHARS_MAX: usize = 64;

/// What the caller said beside the document.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes<'a> {
    /// The name of the file, which helps to tell the format.
    pub source_name: Option<&'a str>,
    /// The identity of the specification across versions, instead of its title's slug.
    pub name: Option<&'a str>,
    /// The format, when it is not to be guessed.
    pub format: Option<SpecFormat>,
    /// The target pack, instead of the one that the document names.
    pub target: Option<&'a str>,
}

/// A specification that can be built from.
#[derive(Debug, Clone)]
pub struct Intake {
    /// What it says.
    pub document: SpecDocument,
    /// Its identity.
    pub slug: String,
    /// The target pack's own name.
    pub target: String,
    /// The plan that a run of it follows.
    pub plan: Plan,
    /// Everything that was noticed, by the reader and by the analysis.
    pub findings: Vec<Finding>,
}

/// Why it cannot be built from.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The document is not well-formed, or states what cannot be.
    #[error("the document cannot be read as a specification")]
    Unreadable(Vec<Finding>),
    /// Nothing can be planned of it.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// There is no such target pack.
    #[error(transparent)]
    Target(#[from] GenerateError),
    /// The name is no name.
    #[error("{name:?} is not a name")]
    Name {
        /// What was given.
        name: String,
    },
}

impl Refusal {
    /// Everything that was noticed about the document, the errors among it.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Unreadable(findings) | Self::Plan(PlanError::Contradictory(findings)) => findings,
            Self::Plan(_) | Self::Target(_) | Self::Name { .. } => &[],
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable(_) => Some("mend what the findings say; `format` overrides what the document is taken for"),
            Self::Plan(error) => error.hint(),
            Self::Target(_) => None,
            Self::Name { .. } => Some("use up to 64 of a-z, 0-9 and -, a letter first"),
        }
    }
}

/// Reads and plans a document of at most [`ingest::limits::INPUT_BYTES_MAX`] bytes. `target_default` is used when neither caller nor
/// document name a pack. Takes as long as parsing takes: not for the threads that serve others.
pub fn take(content: &[u8], wishes: Wishes<'_>, target_default: &str) -> Result<Intake, Refusal> {
    let ingested = ingest::read(content, wishes.source_name, wishes.format);
    let Some(document) = ingested.document else { return Err(Refusal::Unreadable(ingested.findings)) };
    let slug = identity(wishes.name, &document)?;
    let target = target(wishes.target, &document, target_default)?;
    // As a run plans it: its journal keeps what the reader noticed apart from the plan.
    let plan = plan_document(&document, Vec::new(), Some(&target))?;
    let findings = analyze(&document).joined(ingested.findings).findings;
    Ok(Intake { document, slug, target, plan, findings })
}

/// The target pack's own name: the one that is asked for, else the one that the document names, else the default.
pub fn target(wanted: Option<&str>, document: &SpecDocument, default: &str) -> Result<String, GenerateError> {
    let stated = document.tech_stack.iter().find(|choice| choice.topic == "target").map(|choice| choice.choice.trim());
    Ok(TargetPack::load(wanted.or(stated).unwrap_or(default))?.name().to_owned())
}

/// The identity of the specification: the given name, else its title's slug.
pub fn identity(name: Option<&str>, document: &SpecDocument) -> Result<String, Refusal> {
    let Some(name) = name else { return Ok(document.slug.clone()) };
    check_name(name)?;
    Ok(name.to_owned())
}

/// Refuses what is no name.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let valid = name.len() <= NAME_CHARS_MAX && name.bytes().all(letter) && name.starts_with(|first: char| first.is_ascii_lowercase());
    if valid { Ok(()) } else { Err(Refusal::Name { name: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTES: &[u8] =
        b"# Notes\n\n## Entities\n\n### Note\n\n| field | type | rules |\n| --- | --- | --- |\n| title | string | required |\n";

    #[test]
    fn a_document_gets_its_identity_from_its_title_or_its_submitter() {
        let check = |name: Option<&str>, expect: Option<&str>| {
            let taken = take(NOTES, Wishes { name, ..Wishes::default() }, "fastapi");
            assert_eq!(taken.as_ref().ok().map(|intake| intake.slug.as_str()), expect, "{name:?}");
        };
        check(None, Some("notes"));
        check(Some("my-notes2"), Some("my-notes2"));
        for wrong in ["", "My", "2notes", "notes/..", "a b", &"a".repeat(65)] {
            check(Some(wrong), None);
        }
    }

    #[test]
    fn what_cannot_be_built_is_refused_with_its_findings() {
        let refused =
            take(b"openapi: 3.0.3\npaths:\n  /../a: {get: {responses: {'200': {description: x}}}}\n", Wishes::default(), "fastapi");
        let refusal = refused.expect_err("the path leaves the tree");
        assert!(refusal.findings().iter().any(|finding| finding.code == "unusable-path"), "{refusal:?}");
        let refusal = take(NOTES, Wishes { target: Some("cobol"), ..Wishes::default() }, "fastapi").expect_err("no such pack");
        assert!(matches!(refusal, Refusal::Target(_)), "{refusal:?}");
    }
}
