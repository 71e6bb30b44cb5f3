//! What an agent is told about its unit, within a budget of bytes, and a receipt that says where every part came from.
//!
//! Called by `pipeline` before a unit is dispatched to something that reads. Pure: same input, same bytes. Text from outside
//! (specification, patterns, other units' files) is fenced as data; a fence carries the hash of what it holds, so no text can
//! close its own.

mod budget;
mod interface;
mod parts;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use budget::{Piece, choose};
pub use interface::interface;

use crate::model::plan::EffortUnit;
use crate::model::{PatternHit, Plan, Question, SpecDocument, Task};

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// At most 3 KB: small units.
    Minimal,
    /// At most 8 KB.
    Standard,
    /// At most 15 KB: large units.
    Extended,
}

impl Level {
    /// Most bytes of a context of this level.
    pub fn bytes_max(self) -> usize {
        match self {
            Self::Minimal => 3 * 1024,
            Self::Standard => 8 * 1024,
            Self::Extended => 15 * 1024,
        }
    }

    /// The text in keys and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Standard => "standard",
            Self::Extended => "extended",
        }
    }

    /// The level for a unit of that size: up to 2 points minimal, from 8 points extended; sizes in hours or minutes standard, and so is
    /// what no generator builds: its points are a guess.
    pub fn of(unit: &Task) -> Self {
        match (unit.effort.unit, unit.effort.amount) {
            (EffortUnit::Points, 0..=2) if unit.waiting.is_none() => Self::Minimal,
            (EffortUnit::Points, 8..) => Self::Extended,
            _ => Self::Standard,
        }
    }
}

/// Everything that a context may be made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The unit.
    pub unit: &'a Task,
    /// Its plan.
    pub plan: &'a Plan,
    /// Its specification.
    pub doc: &'a SpecDocument,
    /// The part of the specification that the unit is made from.
    pub fragment: &'a serde_json::Value,
    /// What was asked about it and answered.
    pub answered: &'a [Question],
    /// What its finished dependencies left behind.
    pub finished: &'a [Finished],
    /// The standards that it must meet.
    pub guidelines: &'a [Guideline],
    /// Similar patterns, best first; those that failed become warnings.
    pub patterns: &'a [PatternHit],
    /// How much is told; none: by the unit's size.
    pub level: Option<Level>,
}

/// A finished dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Its key.
    pub key: String,
    /// The text files that it wrote: path and content.
    pub files: Vec<(String, String)>,
}

/// A standard that a unit must meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guideline {
    /// The skill's name.
    pub skill: String,
    /// What it asks for.
    pub text: String,
}

/// What an agent is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// How much.
    pub level: Level,
    /// The text, at most [`Level::bytes_max`] bytes.
    pub text: String,
    /// Where it came from.
    pub receipt: Receipt,
}

/// Where the parts of a context came from, and what was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Receipt {
    /// How much.
    pub level: Level,
    /// Length of the text, headings and fences included.
    pub bytes: usize,
    /// The budget.
    pub bytes_max: usize,
    /// Length of the whole plan and specification as JSON: what telling everything would have cost.
    pub bytes_whole: usize,
    /// Every part that there was, in the order of the text.
    pub parts: Vec<Part>,
}

/// One part of a context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Part {
    /// The section it stands in.
    pub section: String,
    /// Where it came from: `unit router/books`, `pattern 0192…`, `specification`.
    pub source: String,
    /// Its length.
    pub bytes: usize,
    /// Why it was left out; none when it is in the text.
    pub left_out: Option<String>,
}

/// Puts a context together: the parts in order of their value, as many as the budget holds.
pub fn assemble(input: &Input<'_>) -> Context {
    let level = input.level.unwrap_or_else(|| Level::of(input.unit));
    let sections = parts::sections(input);
    let headings: Vec<usize> = sections.iter().map(|section| section.heading().len()).collect();
    let pieces: Vec<Piece> = sections.iter().enumerate().flat_map(|(number, section)| section.pieces(number)).collect();
    let taken = choose(level.bytes_max(), &headings, &pieces);
    let mut text = String::new();
    let mut receipt = Vec::with_capacity(pieces.len());
    let mut flags = taken.into_iter();
    for section in &sections {
        let mut opened = false;
        for part in &section.parts {
            let taken = flags.next().unwrap_or(false);
            if taken {
                if !opened {
                    text.push_str(&section.heading());
                    opened = true;
                }
                text.push_str(&part.content);
            }
            let left_out =
                if taken { None } else { Some(format!("beyond the {} bytes of a {} context", level.bytes_max(), level.as_str())) };
            receipt.push(Part { section: section.title.to_owned(), source: part.source.clone(), bytes: part.content.len(), left_out });
        }
    }
    let receipt = Receipt { level, bytes: text.len(), bytes_max: level.bytes_max(), bytes_whole: whole(input), parts: receipt };
    Context { level, text, receipt }
}

/// What the whole plan and specification would take.
fn whole(input: &Input<'_>) -> usize {
    let length = |value: serde_json::Result<Vec<u8>>| value.map_or(0, |bytes| bytes.len());
    length(serde_json::to_vec(input.doc)) + length(serde_json::to_vec(input.plan))
}
