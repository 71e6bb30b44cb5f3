//! `specwave logs RUN --follow`: what happens in a run, from its beginning, a line for each event, until it has ended.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::output::say;
use super::signals::stop_on_signals;
use super::watch::pause;
use super::{Failure, drive, output};
use crate::model::event::EVENT_SCHEMA_VERSION;
use crate::model::{Actor, RunId, RunState};
use crate::store::postgres::run_events::{self, Ahead, Place, RunEvent};
use crate::store::postgres::{Postgres, StoreError};

/// Events that are read together.
const PAGE_ROWS: u32 = 500;
/// How often it is looked for new ones: agents tell something once a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest wait for a database that has gone away.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Whom to follow.
pub struct Follow<'a> {
    /// The facts.
    pub postgres: &'a Postgres,
    /// On whose behalf.
    pub actor: &'a Actor,
    /// The run.
    pub run: RunId,
    /// Only units whose key contains this.
    pub unit: Option<&'a str>,
    /// JSON lines.
    pub json: bool,
}

impl Follow<'_> {
    /// Follows until the run has ended or paused and everything of it was shown. The exit code is that of the run.
    pub async fn to_end(&self) -> anyhow::Result<ExitCode> {
        let (stop, mut place, mut wait) = (stop_on_signals(), Place::default(), LOOK_EVERY);
        loop {
            match self.look(place).await {
                Ok((events, ahead)) => {
                    wait = LOOK_EVERY;
                    for event in &events {
                        place = event.place;
                        self.show(event)?;
                    }
                    let rests = ahead.state.finished() || ahead.state == RunState::Paused;
                    if stop.is_cancelled() || (rests && events.is_empty() && !ahead.more) {
                        return Ok(drive::code(ahead.state));
                    }
                    if events.is_empty() {
                        pause(wait, &stop).await;
                    }
                }
                Err(error) if (error.is_transient() || error.is_unavailable()) && !stop.is_cancelled() => {
                    if wait == LOOK_EVERY {
                        anstream::eprintln!("the database is away ({error}); looking again");
                    }
                    wait = (wait * 2).min(BACKOFF_MAX);
                    pause(wait, &stop).await;
                }
                Err(error) => return Err(Failure::database(&error).into()),
            }
        }
    }

    async fn look(&self, place: Place) -> Result<(Vec<RunEvent>, Ahead), StoreError> {
        let mut tx = self.postgres.tenant(self.actor.organization).await?;
        let ahead = run_events::ahead(&mut tx, self.run, place).await?;
        let ahead = ahead.ok_or_else(|| StoreError::corrupt("run", self.run))?;
        let events = if ahead.readable { run_events::read(&mut tx, self.run, place, PAGE_ROWS).await? } else { Vec::new() };
        tx.commit().await?;
        Ok((events, ahead))
    }

    fn show(&self, event: &RunEvent) -> anyhow::Result<()> {
        let key = event.payload["key"].as_str();
        if self.unit.is_some_and(|part| key.is_none_or(|key| !key.contains(part))) {
            return Ok(());
        }
        let at = event.at.format(&Rfc3339).unwrap_or_default();
        if self.json {
            let head = json!({"schema_version": EVENT_SCHEMA_VERSION, "event": event.kind, "at": at});
            return output::print_json_line(&merged(head, &event.payload));
        }
        let at = at.split('.').next().unwrap_or_default();
        say!("{at} {}{}", event.kind, words(&event.payload));
        Ok(())
    }
}

fn merged(mut head: Value, payload: &Value) -> Value {
    if let (Some(head), Value::Object(payload)) = (head.as_object_mut(), payload) {
        head.extend(payload.clone());
    }
    head
}

/// What there is to say about an event, in one line.
fn words(payload: &Value) -> String {
    let text = |field: &str| {
        payload[field].as_str().filter(|text| !text.is_empty()).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let subject = text("key").or_else(|| text("phase"));
    let who = text("agent").or_else(|| text("by")).map(|who| format!("{who}:"));
    let said = ["step", "answer", "question", "error", "summary", "reason"].into_iter().find_map(text);
    let tokens = payload["tokens"].as_u64().map(|tokens| format!("({tokens} tokens)"));
    let parts = [subject, who, said, tokens].into_iter().flatten();
    parts.fold(String::new(), |line, part| line + " " + &part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let check = |payload: Value, expect: &str| assert_eq!(words(&payload), expect);
        check(json!({"run": "r", "key": "a", "state": "ready"}), " a");
        check(json!({"key": "a", "agent": "claude", "step": "runs\ntests", "steps": 3, "tokens": 12}), " a claude: runs tests (12 tokens)");
        check(json!({"key": "a", "by": "user:ada", "question": "Which?", "answer": "EUR"}), " a user:ada: EUR");
        check(json!({"phase": "plan", "round": 1, "summary": "3 units"}), " plan 3 units");
        check(json!({"state": "queued"}), "");
    }
}
