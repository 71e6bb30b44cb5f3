//! `specwave status --watch`: a run as it stands, again and again until it has ended.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::output::say;
use super::signals::stop_on_signals;
use super::{Failure, drive, output, select};
use crate::engine::{Engine, RunSnapshot};
use crate::model::{Actor, RunId, RunState, UnitState};
use crate::store::postgres::backlog::{self, Backlog};
use crate::store::postgres::phases;
use crate::store::postgres::progress::{self, Told};
use crate::store::postgres::tasks::{self, WaveCount};
use crate::store::postgres::{Postgres, StoreError};

/// Running units that are named.
const RUNNING_SHOWN_MAX: usize = 8;
/// Waves that are shown; of more the first ones that are not done.
const WAVES_SHOWN_MAX: usize = 12;
/// Characters of what an agent tells.
const STEP_CHARS_SHOWN_MAX: usize = 80;
/// The longest wait for a database that has gone away.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// Characters of a wave's bar.
const BAR_CHARS: usize = 24;

/// What is looked at, and how often.
pub struct Watch<'a> {
    /// The facts.
    pub postgres: &'a Postgres,
    /// Reads snapshots.
    pub engine: &'a Engine,
    /// On whose behalf.
    pub actor: &'a Actor,
    /// Between two looks.
    pub interval: Duration,
    /// One JSON object for each change instead of a view.
    pub json: bool,
}

/// Everything that is shown at one moment.
struct View {
    snapshot: RunSnapshot,
    waves: Vec<WaveCount>,
    backlog: Backlog,
    phase: Option<String>,
    /// What the agents of running units told last.
    told: BTreeMap<String, Told>,
}

impl Watch<'_> {
    /// Follows the run that `text` means, the newest one by default, until it has ended or paused. The exit code is that of the run.
    pub async fn follow(&self, text: Option<&str>) -> anyhow::Result<ExitCode> {
        let run = select::run(self.postgres, self.actor.organization, text).await?.id;
        let stop = stop_on_signals();
        let screen = (!self.json && std::io::stdout().is_terminal()).then(screen);
        let (mut shown, mut away) = (String::new(), None);
        let state = loop {
            match self.look(run).await {
                Ok(view) => {
                    away = None;
                    let state = view.snapshot.run.state;
                    self.show(&view, screen.as_ref(), &mut shown)?;
                    if state.finished() || state == RunState::Paused || stop.is_cancelled() {
                        break state;
                    }
                    pause(self.interval, &stop).await;
                }
                Err(error) if error.is_transient() || error.is_unavailable() => {
                    let wait = away.map_or(self.interval, |wait: Duration| (wait * 2).min(BACKOFF_MAX));
                    if away.replace(wait).is_none() {
                        anstream::eprintln!("the database is away ({error}); looking again");
                    }
                    if stop.is_cancelled() {
                        return Err(Failure::database(&error).into());
                    }
                    pause(wait, &stop).await;
                }
                Err(error) => return Err(Failure::database(&error).into()),
            }
        };
        if let Some(screen) = screen {
            screen.finish();
        }
        Ok(drive::code(state))
    }

    async fn look(&self, run: RunId) -> Result<View, StoreError> {
        let snapshot = self.engine.snapshot(self.actor.organization, run).await.map_err(|error| match error {
            crate::engine::EngineError::Store(error) => error,
            other => StoreError::corrupt("run", other),
        })?;
        let mut tx = self.postgres.tenant(self.actor.organization).await?;
        let waves = tasks::waves(&mut tx, run).await?;
        let backlog = backlog::of_run(&mut tx, run).await?;
        let phase = phases::list(&mut tx, run).await?.into_iter().rfind(|row| row.state == "running").map(|row| row.phase);
        let told = progress::of_run(&mut tx, run).await?.into_iter().map(|row| (row.key, row.told)).collect();
        tx.commit().await?;
        Ok(View { snapshot, waves, backlog, phase, told })
    }

    /// On a terminal the view is drawn over the last one; elsewhere a line is printed when it says something new.
    fn show(&self, view: &View, screen: Option<&ProgressBar>, shown: &mut String) -> anyhow::Result<()> {
        if let Some(screen) = screen {
            screen.set_message(view.screen());
            screen.tick();
            return Ok(());
        }
        let line = view.line();
        if *shown == line {
            return Ok(());
        }
        if self.json {
            output::print_json_line(&view.document())?;
        } else {
            say!("{line}");
        }
        *shown = line;
        Ok(())
    }
}

/// Waits so long, or until somebody wants it to stop.
pub(super) async fn pause(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.cancelled() => {}
    }
}

fn screen() -> ProgressBar {
    let screen = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
    screen.set_style(ProgressStyle::with_template("{msg}").expect("the template is one placeholder"));
    screen
}

impl View {
    fn counts(&self) -> String {
        let counts: Vec<String> = self.snapshot.counts.iter().map(|(state, count)| format!("{count} {}", state.as_str())).collect();
        if counts.is_empty() { "not planned yet".to_owned() } else { counts.join(", ") }
    }

    fn head(&self) -> String {
        let run = &self.snapshot.run;
        let phase = self.phase.as_deref().filter(|_| !run.state.finished()).map(|phase| format!(" in {phase}")).unwrap_or_default();
        let stuck = if self.snapshot.stuck { ", stuck" } else { "" };
        format!("{} {} {}{phase}{stuck}", run.id, run.slug, run.state.as_str())
    }

    /// Without times, so that it changes only when something does.
    fn line(&self) -> String {
        let running: Vec<String> = self.running().map(|unit| format!("{}{}", unit.0, self.told(unit.0))).collect();
        let running = if running.is_empty() { String::new() } else { format!("; running {}", running.join(" ")) };
        format!("{}: {}{running}", self.head(), self.counts())
    }

    fn screen(&self) -> String {
        let bold = anstyle::Style::new().bold();
        let mut lines = vec![format!("{bold}{}{bold:#}", self.head()), format!("  units    {}", self.counts())];
        let Backlog { ready, oldest, due_later } = self.backlog;
        let oldest = oldest.map(|age| format!(", the oldest for {}", output::duration(age))).unwrap_or_default();
        let later = if due_later > 0 { format!(", {due_later} to be tried again later") } else { String::new() };
        lines.push(format!("  queue    {ready} ready{oldest}{later}"));
        lines.extend(self.bars());
        let now = OffsetDateTime::now_utc();
        for (key, since) in self.running().take(RUNNING_SHOWN_MAX) {
            let age = since.map(|since| output::duration((now - since).try_into().unwrap_or_default())).unwrap_or_default();
            lines.push(format!("  running  {key} {age}{}", self.told(key)));
        }
        lines.join("\n")
    }

    /// What the agent of a unit told last, in brackets; nothing where it told nothing.
    fn told(&self, key: &str) -> String {
        self.told.get(key).map(|told| format!(" {}", in_brackets(told))).unwrap_or_default()
    }

    fn running(&self) -> impl Iterator<Item = (&str, Option<OffsetDateTime>)> {
        let running = self.snapshot.units.iter().filter(|unit| unit.state == UnitState::Running);
        running.map(|unit| (unit.key.as_str(), unit.started_at))
    }

    fn bars(&self) -> Vec<String> {
        let mut waves: Vec<(u32, u64, u64)> = Vec::new();
        for count in &self.waves {
            let done = if count.state.done() { count.units } else { 0 };
            match waves.last_mut() {
                Some(last) if last.0 == count.wave => (last.1, last.2) = (last.1 + done, last.2 + count.units),
                _ => waves.push((count.wave, done, count.units)),
            }
        }
        let open = waves.iter().position(|(_, done, all)| done < all).unwrap_or_default();
        let first = open.saturating_sub(1).min(waves.len().saturating_sub(WAVES_SHOWN_MAX));
        let bar = |(wave, done, all): &(u32, u64, u64)| {
            let full = usize::try_from(*done * BAR_CHARS as u64 / (*all).max(1)).unwrap_or_default();
            format!("  wave {wave:<3} {}{} {done} of {all}", "█".repeat(full), "░".repeat(BAR_CHARS - full))
        };
        waves.iter().skip(first).take(WAVES_SHOWN_MAX).map(bar).collect()
    }

    fn document(&self) -> serde_json::Value {
        let RunSnapshot { run, counts, driver, stuck, .. } = &self.snapshot;
        let counts: serde_json::Map<String, serde_json::Value> =
            counts.iter().map(|(state, count)| (state.as_str().to_owned(), json!(count))).collect();
        json!({
            "run": run.id,
            "specification": run.slug,
            "state": run.state,
            "phase": self.phase,
            "stuck": stuck,
            "driver": driver,
            "units": counts,
            "running": self.running().map(|unit| unit.0).collect::<Vec<_>>(),
            "progress": told_documents(&self.told),
            "queue": {
                "ready": self.backlog.ready,
                "oldest_secs": self.backlog.oldest.map(|age| age.as_secs_f64()),
                "due_later": self.backlog.due_later,
            },
        })
    }
}

/// What an agent told last.
pub(super) fn in_brackets(Told { agent, step, tokens, .. }: &Told) -> String {
    let tokens = tokens.map(|tokens| format!(", {tokens} tokens")).unwrap_or_default();
    format!("[{agent}: {}{tokens}]", step.chars().take(STEP_CHARS_SHOWN_MAX).collect::<String>())
}

/// The same of each unit, as JSON.
pub(super) fn told_documents(told: &BTreeMap<String, Told>) -> Vec<serde_json::Value> {
    let document = |(key, told): (&String, &Told)| {
        json!({
            "unit": key, "agent": told.agent, "session": told.session, "step": told.step, "steps": told.steps, "tokens": told.tokens,
        })
    };
    told.iter().map(document).collect()
}
