//! `specwave ask RUN UNIT`: what somebody wants to know about a unit, and what is answered.

use std::process::ExitCode;

use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::acting::{self, Desk};
use super::output::say;
use super::{Failure, Global, output};
use crate::model::{Question, UnitState};
use crate::pipeline::questions::{self as asking, Offered, QuestionError, To};
use crate::store::postgres::questions;
use crate::store::postgres::tasks::{self, UnitEntry};

/// Ask something about a unit, or answer what was asked.
///
/// With a question, the unit waits for its answer before anybody is sent to it. With --answer, whoever performs it next is told, and it is
/// offered again where it waits or has failed; where nothing was asked, the answer is a clarification. With neither, what was asked and
/// answered is listed. What looks like a secret is left out.
#[derive(Debug, clap::Args)]
pub struct AskArgs {
    /// The run: its id, the end of one, or the specification's name
    run: String,
    /// The unit's key, as `specwave report` shows it
    unit: String,
    /// What is to be known
    #[arg(conflicts_with = "answer")]
    question: Option<String>,
    /// The answer, or a clarification that nobody has asked for
    #[arg(long, value_name = "TEXT")]
    answer: Option<String>,
    /// The number of the question that is answered, where several are open
    #[arg(long, value_name = "NUMBER", requires = "answer")]
    to: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: AskArgs, global: &Global) -> anyhow::Result<ExitCode> {
    acting::on_run(global, &args.run, async |desk, run| {
        let mut tx = desk.postgres.tenant(desk.actor.organization).await?;
        let unit = tasks::unit_of_key(&mut tx, run.id, &args.unit).await?;
        let hint = "`specwave report RUN` lists the units";
        let unit = unit.ok_or_else(|| Failure::usage(format!("run {} has no unit {:?}", run.id, args.unit)).hint(hint))?;
        drop(tx);
        match (&args.question, &args.answer) {
            (Some(text), _) => ask(desk, &unit, text, args.json).await,
            (None, Some(text)) => answer(desk, &unit, args.to.map_or(To::TheOpenOne, To::Number), text, args.json).await,
            (None, None) => list(desk, &unit, args.json).await,
        }
    })
    .await
}

async fn ask(desk: &Desk, unit: &UnitEntry, text: &str, json: bool) -> anyhow::Result<()> {
    let mut tx = desk.postgres.tenant(desk.actor.organization).await?;
    let question = asking::ask(&mut tx, &desk.actor, unit, text).await.map_err(refused)?;
    tx.commit().await?;
    if json {
        return output::print_json(&question);
    }
    anstream::eprintln!("question {} about {} is noted: {}", question.number, unit.key, question.question);
    match unit.state {
        UnitState::Running => anstream::eprintln!("somebody works on the unit: who tries it next waits for the answer"),
        state if state.done() => anstream::eprintln!("the unit is done: `specwave reopen` does it again, with the answer"),
        _ => anstream::eprintln!("`specwave ask {} {} --answer TEXT` answers it", unit.run, unit.key),
    }
    Ok(())
}

async fn answer(desk: &Desk, unit: &UnitEntry, to: To, text: &str, json: bool) -> anyhow::Result<()> {
    let mut tx = desk.postgres.tenant(desk.actor.organization).await?;
    let answer = asking::answer(&mut tx, &desk.actor, unit, to, text).await.map_err(refused)?;
    tx.commit().await?;
    if json {
        return output::print_json(&json!({"question": answer.question, "offered": answer.unit == Offered::Again}));
    }
    let what = if answer.question.question.is_empty() { "the clarification" } else { "the answer" };
    anstream::eprintln!("{what} is noted as number {} about {}", answer.question.number, unit.key);
    match answer.unit {
        Offered::Again => {
            anstream::eprintln!("{} is offered again", unit.key);
            if desk.engine.snapshot(desk.actor.organization, unit.run).await?.driver.is_none() {
                anstream::eprintln!("nobody works on the run: `specwave resume {}` goes on with it here", unit.run);
            }
        }
        Offered::Open(open) => anstream::eprintln!("{open} more questions about it are open"),
        Offered::Standing(state) => anstream::eprintln!("it is {}: who tries it next is told", state.as_str()),
        Offered::NotNow(reason) => anstream::eprintln!("it is not offered again now, for {reason}; who tries it next is told"),
    }
    Ok(())
}

async fn list(desk: &Desk, unit: &UnitEntry, json: bool) -> anyhow::Result<()> {
    let mut tx = desk.postgres.tenant(desk.actor.organization).await?;
    let all = questions::of_run(&mut tx, unit.run, Some(&unit.key)).await?;
    tx.commit().await?;
    if json {
        return output::print_json(&all);
    }
    if all.is_empty() {
        anstream::eprintln!("nothing was asked about {}", unit.key);
    }
    for question in &all {
        print(question, "");
    }
    Ok(())
}

/// Prints a question with its answer.
pub(super) fn print(question: &Question, indent: &str) {
    let clock = |at: time::OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    let lines = |text: &str| text.replace('\n', &format!("\n{indent}  "));
    let Question { number, question: asked, asked_by, asked_at, answer, .. } = question;
    if !asked.is_empty() {
        say!("{indent}question {number} by {asked_by} at {}: {}", clock(*asked_at), lines(asked));
    }
    match (answer, &question.answered_by, question.answered_at) {
        (Some(answer), Some(by), Some(at)) => say!("{indent}{} by {by} at {}: {}", answer_word(asked, *number), clock(at), lines(answer)),
        _ => say!("{indent}  open: `specwave ask RUN {} --answer TEXT --to {number}` answers it", question.unit),
    }
}

fn answer_word(asked: &str, number: u32) -> String {
    if asked.is_empty() { format!("clarification {number}") } else { "  answered".to_owned() }
}

fn refused(error: QuestionError) -> anyhow::Error {
    let text = error.to_string();
    let hint = match error {
        QuestionError::Store(error) => return error.into(),
        QuestionError::Engine(error) => return error.into(),
        QuestionError::Which { .. } => "say which one with --to",
        QuestionError::NoSuchQuestion { .. } => "`specwave ask RUN UNIT` lists what was asked",
        QuestionError::Answered { .. } => "leave --to out: what is said then is a clarification",
        QuestionError::TooLong { .. } => "say it in fewer words, and leave files to `specwave done`",
        QuestionError::Empty { .. } => "what looks like a secret is left out",
        QuestionError::TooMany { .. } | QuestionError::RunOver { .. } | QuestionError::Again(_) => "`specwave run` starts a new run",
    };
    Failure::usage(text).hint(hint).into()
}
