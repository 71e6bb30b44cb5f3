//! Questions about a unit: asked by a person or an agent, answered by a person, told to whoever performs the unit next.
//!
//! An open question holds its unit up: whoever is sent to it waits until everything is answered, and then the unit is offered again. What
//! was answered belongs to the unit of the specification, so that later runs are told it too.
//!
//! Called by the HTTP interface and the command line within their transaction, and by the worker whose agent asks. What is asked and
//! answered is data about one unit: it changes the state of no other one, and nobody is told it as an instruction.

use serde_json::json;
use thiserror::Error;

use super::again::{self, AgainError, Wish};
use crate::engine::EngineError;
pub use crate::model::question::TEXT_BYTES_MAX;
use crate::model::{Actor, Question, QuestionId, RunState, UnitState};
use crate::redact::redact;
use crate::store::postgres::tasks::{self, UnitEntry};
use crate::store::postgres::{StoreError, TenantTx, audit, questions, runs, settle};

/// Questions and clarifications about one unit of a run.
pub const QUESTIONS_MAX: usize = 100;

/// Why it cannot be asked or answered.
#[derive(Debug, Error)]
pub enum QuestionError {
    /// The store of facts failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The unit could not be offered again.
    #[error(transparent)]
    Again(AgainError),
    /// There is nothing to read.
    #[error("the {what} is empty")]
    Empty {
        /// `question` or `answer`.
        what: &'static str,
    },
    /// It is longer than may be.
    #[error("the {what} has {bytes} bytes, more than {TEXT_BYTES_MAX}")]
    TooLong {
        /// `question` or `answer`.
        what: &'static str,
        /// How many it has.
        bytes: usize,
    },
    /// Too much was asked already.
    #[error("{QUESTIONS_MAX} questions and clarifications about unit {key} are there already")]
    TooMany {
        /// The unit.
        key: String,
    },
    /// The run has ended for good.
    #[error("the run of unit {key} is {state}: nothing is done in it any more")]
    RunOver {
        /// The unit.
        key: String,
        /// Where the run stands.
        state: &'static str,
    },
    /// Nobody asked that.
    #[error("unit {key} has no question {which}")]
    NoSuchQuestion {
        /// The unit.
        key: String,
        /// What was named.
        which: String,
    },
    /// It was answered before.
    #[error("question {number} about unit {key} was answered before, by {by}")]
    Answered {
        /// The unit.
        key: String,
        /// The question's number.
        number: u32,
        /// Who.
        by: String,
    },
    /// Several are open.
    #[error("unit {key} has several open questions: {numbers}")]
    Which {
        /// The unit.
        key: String,
        /// Their numbers, comma-separated.
        numbers: String,
    },
}

/// Which question an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The only open one; where none is open, the answer is a clarification.
    TheOpenOne,
    /// That one of the unit.
    Number(u32),
    /// That one.
    Id(QuestionId),
}

/// What an answer came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The question with its answer.
    pub question: Question,
    /// What became of the unit.
    pub unit: Offered,
}

/// Whether an answered unit is offered to whoever can do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// It is.
    Again,
    /// It waits for so many other answers.
    Open(usize),
    /// It is neither waiting nor failed: whoever tries it next is told.
    Standing(UnitState),
    /// Not now, for that reason.
    NotNow(String),
}

/// Notes a question. The same one again, while it is open, is the same question.
pub async fn ask(tx: &mut TenantTx, actor: &Actor, unit: &UnitEntry, text: &str) -> Result<Question, QuestionError> {
    let text = clean("question", text)?;
    let known = open_for_more(tx, unit).await?;
    if let Some(same) = known.iter().find(|known| known.open() && known.question == text) {
        return Ok(same.clone());
    }
    if known.len() >= QUESTIONS_MAX {
        return Err(QuestionError::TooMany { key: unit.key.clone() });
    }
    let id = questions::add(tx, unit, &actor.name, &text, None).await?;
    let question = find(tx, unit, id).await?;
    record(tx, actor, "unit.ask", unit, &question).await?;
    Ok(question)
}

/// Notes an answer, or a clarification where nothing was asked, and offers the unit again when nothing is open any more and it waits or
/// has failed. The caller commits and then wakes the workers.
pub async fn answer(tx: &mut TenantTx, actor: &Actor, unit: &UnitEntry, to: To, text: &str) -> Result<Answer, QuestionError> {
    let text = clean("answer", text)?;
    let known = open_for_more(tx, unit).await?;
    let id = match asked(&known, unit, to)? {
        Some(question) => {
            questions::answer(tx, question.id, &actor.name, &text).await?;
            question.id
        }
        None if known.len() >= QUESTIONS_MAX => return Err(QuestionError::TooMany { key: unit.key.clone() }),
        None => questions::add(tx, unit, &actor.name, "", Some(&text)).await?,
    };
    let question = find(tx, unit, id).await?;
    record(tx, actor, "unit.answer", unit, &question).await?;
    let open = known.iter().filter(|known| known.open() && known.id != id).count();
    let unit = offer(tx, actor, unit, &question, open).await?;
    Ok(Answer { question, unit })
}

/// Offers a unit again that waits although everything about it is answered: the answer came while whoever was sent to it was about to say
/// that it waits.
pub async fn offer_if_answered(tx: &mut TenantTx, actor: &Actor, unit: &UnitEntry) -> Result<(), QuestionError> {
    let known = open_for_more(tx, unit).await?;
    match known.last() {
        Some(last) if known.iter().all(|known| !known.open()) => offer(tx, actor, unit, last, 0).await.map(drop),
        _ => Ok(()),
    }
}

/// Locks the run, and gives what was asked of the unit so far.
async fn open_for_more(tx: &mut TenantTx, unit: &UnitEntry) -> Result<Vec<Question>, QuestionError> {
    settle::lock_runs(tx, &[unit.run]).await?;
    let run = runs::find(tx, unit.run).await?.ok_or(EngineError::NoSuchRun { run: unit.run })?;
    // A run that has succeeded is still looked at, and the next one of its specification is told what was answered.
    if matches!(run.state, RunState::Cancelled | RunState::Superseded) {
        return Err(QuestionError::RunOver { key: unit.key.clone(), state: run.state.as_str() });
    }
    Ok(questions::of_run(tx, unit.run, Some(&unit.key)).await?)
}

/// The question that is meant; none for a clarification.
fn asked<'a>(known: &'a [Question], unit: &UnitEntry, to: To) -> Result<Option<&'a Question>, QuestionError> {
    let named = match to {
        To::TheOpenOne => {
            let open: Vec<&Question> = known.iter().filter(|question| question.open()).collect();
            if open.len() > 1 {
                let numbers = open.iter().map(|question| question.number.to_string()).collect::<Vec<_>>().join(", ");
                return Err(QuestionError::Which { key: unit.key.clone(), numbers });
            }
            return Ok(open.first().copied());
        }
        To::Number(number) => known.iter().find(|question| question.number == number),
        To::Id(id) => known.iter().find(|question| question.id == id),
    };
    let which = match to {
        To::Number(number) => number.to_string(),
        To::Id(id) => id.to_string(),
        To::TheOpenOne => String::new(),
    };
    let question = named.ok_or_else(|| QuestionError::NoSuchQuestion { key: unit.key.clone(), which })?;
    match &question.answered_by {
        Some(by) => Err(QuestionError::Answered { key: unit.key.clone(), number: question.number, by: by.clone() }),
        None => Ok(Some(question)),
    }
}

async fn offer(tx: &mut TenantTx, actor: &Actor, unit: &UnitEntry, question: &Question, open: usize) -> Result<Offered, QuestionError> {
    if open > 0 {
        return Ok(Offered::Open(open));
    }
    // It may have moved until the run was locked.
    let state = tasks::unit(tx, unit.id).await?.map_or(unit.state, |unit| unit.state);
    if !matches!(state, UnitState::Waiting | UnitState::Failed) {
        return Ok(Offered::Standing(state));
    }
    let wish = Wish::Retry { reason: format!("question {} is answered", question.number) };
    match again::unit(tx, actor, unit, &wish).await {
        Ok(()) => Ok(Offered::Again),
        Err(refusal @ (AgainError::RunOver { .. } | AgainError::RunBeyond { .. })) => Ok(Offered::NotNow(refusal.to_string())),
        Err(AgainError::Store(error)) => Err(error.into()),
        Err(AgainError::Engine(error)) => Err(error.into()),
        Err(error) => Err(QuestionError::Again(error)),
    }
}

async fn find(tx: &mut TenantTx, unit: &UnitEntry, id: QuestionId) -> Result<Question, QuestionError> {
    let all = questions::of_run(tx, unit.run, Some(&unit.key)).await?;
    let missing = || QuestionError::NoSuchQuestion { key: unit.key.clone(), which: id.to_string() };
    all.into_iter().find(|question| question.id == id).ok_or_else(missing)
}

async fn record(tx: &mut TenantTx, actor: &Actor, action: &str, unit: &UnitEntry, question: &Question) -> Result<(), StoreError> {
    let after = json!({ "key": unit.key, "number": question.number, "question": question.question, "answer": question.answer });
    audit::record(tx, &actor.name, action, &unit.run.to_string(), None, Some(&after)).await
}

/// The text as it is kept: without secrets, and without what moves a terminal's cursor.
fn clean(what: &'static str, text: &str) -> Result<String, QuestionError> {
    let text = text.trim();
    if text.len() > TEXT_BYTES_MAX {
        return Err(QuestionError::TooLong { what, bytes: text.len() });
    }
    let kept = |letter: char| if letter.is_control() && letter != '\n' && letter != '\t' { '\u{fffd}' } else { letter };
    let text = redact(&text.replace("\r\n", "\n").chars().map(kept).collect::<String>());
    if text.trim().is_empty() { Err(QuestionError::Empty { what }) } else { Ok(text) }
}

#[cfg(test)]
#[path = "questions_tests.rs"]
mod tests;
