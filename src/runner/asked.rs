//! What was asked and answered about a unit, as the worker that claims it needs it: open questions hold it up, answers are told.
//!
//! Generators read the specification itself and are told nothing, so nothing is read for their units.

use super::unit::Shared;
use crate::agents::Agent;
use crate::exec::capture::shorten;
use crate::model::{Actor, AgentKind, OrganizationId, Question, RunId, SpecId, Task};
use crate::pipeline::PipelineError;
use crate::pipeline::questions::{self as asking, QuestionError};
use crate::store::postgres::{Postgres, StoreError, questions, tasks};

/// Answers that are told, the newest ones: the budget of the context decides how many of them it holds.
const ANSWERS_TOLD_MAX: u32 = 20;

/// Of an open question so much is quoted in the reason for which a unit waits.
const QUOTED_CHARS_MAX: usize = 300;
/// Of what an agent asks at greater length so much is noted: characters of four bytes still fit, with what says that some are left out.
const NOTED_CHARS_MAX: usize = asking::TEXT_BYTES_MAX / 4 - 50;

/// Questions about one unit.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// What was answered, in this run or an earlier one, oldest first.
    pub(super) answered: Vec<Question>,
    /// What was asked in this run and not answered.
    pub(super) open: Vec<Question>,
}

impl Asked {
    pub(super) async fn of(shared: &Shared, unit: &Task) -> Result<Self, StoreError> {
        let run = &shared.run;
        Self::read(&run.postgres, run.organization, run.submission.spec, run.id, &unit.key).await
    }

    pub(super) async fn read(
        postgres: &Postgres,
        organization: OrganizationId,
        spec: SpecId,
        run: RunId,
        key: &str,
    ) -> Result<Self, StoreError> {
        let mut tx = postgres.tenant(organization).await?;
        let answered = questions::answered(&mut tx, spec, key, ANSWERS_TOLD_MAX).await?;
        let open = questions::of_run(&mut tx, run, Some(key)).await?.into_iter().filter(Question::open).collect();
        tx.commit().await?;
        Ok(Self { answered, open })
    }

    /// The same for whoever was chosen: what a person has handed in is judged whatever is asked, and generators ask nothing.
    pub(super) async fn for_agent(shared: &Shared, unit: &Task, agent: &dyn Agent) -> Result<Self, StoreError> {
        if agent.deterministic() {
            return Ok(Self::default());
        }
        let asked = Self::of(shared, unit).await?;
        Ok(if agent.kind() == AgentKind::Manual { Self { open: Vec::new(), ..asked } } else { asked })
    }

    /// Why the unit waits, when something is open: the oldest question, and how many more there are.
    pub(super) fn holds(&self, unit: &Task) -> Option<String> {
        let first = self.open.first()?;
        let more = match self.open.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let question = first.question.split_whitespace().collect::<Vec<_>>().join(" ");
        let (by, question) = (&first.asked_by, shorten(&question, QUOTED_CHARS_MAX));
        Some(format!("{by} asks (question {}{more}): {question}; `specwave ask RUN {} --answer TEXT` answers", first.number, unit.key))
    }
}

/// Offers a unit again whose question was answered before the unit had come to wait for that.
pub(super) async fn offer_if_answered(shared: &Shared, unit: &Task) -> Result<(), PipelineError> {
    let run = &shared.run;
    let mut tx = run.tx().await?;
    let Some(entry) = tasks::unit_of_key(&mut tx, run.id, &unit.key).await? else { return Ok(()) };
    match asking::offer_if_answered(&mut tx, &run.actor, &entry).await {
        Ok(()) => {
            tx.commit().await?;
            run.engine.announce();
            Ok(())
        }
        Err(QuestionError::Store(error)) => Err(error.into()),
        Err(refusal) => {
            tracing::debug!(unit = unit.key, %refusal, "an answered unit is not offered again");
            Ok(())
        }
    }
}

/// Notes what an agent wants to know, and gives why the unit waits now. What cannot be noted is in the try's own error all the same.
pub(super) async fn note(shared: &Shared, unit: &Task, agent: &str, question: &str) -> Result<Option<String>, PipelineError> {
    let run = &shared.run;
    let mut tx = run.tx().await?;
    let Some(entry) = tasks::unit_of_key(&mut tx, run.id, &unit.key).await? else { return Ok(None) };
    let actor = Actor { organization: run.organization, name: format!("agent:{agent}") };
    let most = if question.len() > asking::TEXT_BYTES_MAX { NOTED_CHARS_MAX } else { question.len() };
    match asking::ask(&mut tx, &actor, &entry, &shorten(question, most)).await {
        Ok(question) => {
            tx.commit().await?;
            Ok(Asked { open: vec![question], answered: Vec::new() }.holds(unit))
        }
        Err(QuestionError::Store(error)) => Err(error.into()),
        Err(refusal) => {
            tracing::warn!(unit = unit.key, agent, %refusal, "what an agent wants to know could not be noted");
            Ok(None)
        }
    }
}
