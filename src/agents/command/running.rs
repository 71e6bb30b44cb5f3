//! One run of a program: started in the sandbox, listened to, ended when it says nothing or takes too long, and judged by how it ended.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::error::{Cause, CommandError};
use super::fault::classify;
use super::lines::{LINE_BYTES_MAX, Line, Lines};
use super::reading::Reading;
use super::report::{Ended, Progress, Report};
use super::settings::CommandSettings;
use super::task::{CommandOutcome, CommandTask};
use super::transcript::{Transcript, cut};
use crate::exec::{self, Command, Confinement, ExecError, Exit, Finished, Limits, Network, Printed, Tier};
use crate::redact::KnownSecrets;

/// Of what a program said at its end so much is quoted.
const SAID_BYTES_MAX: usize = 2_000;

/// Runs it.
pub(super) async fn run(
    settings: &CommandSettings,
    supervisor: Option<&Path>,
    task: &CommandTask,
    progress: &mut (dyn FnMut(Progress) + Send),
    cancel: &CancellationToken,
) -> Result<CommandOutcome, CommandError> {
    let mut session = Session {
        reading: Reading::new(settings.preset),
        report: Report::default(),
        transcript: Transcript::default(),
        secrets: KnownSecrets::of(&task.env),
        worktree: &task.worktree,
        stdout: Lines::new(LINE_BYTES_MAX),
        stderr: Lines::new(LINE_BYTES_MAX),
        progress,
    };
    let ended = session.run(settings, supervisor, task, cancel).await;
    let (finished, cause) = match ended {
        Ok((finished, stopped)) => {
            let cause = stopped.or_else(|| session.judge(settings, &finished));
            (Some(finished), cause)
        }
        Err(cause) => (None, Some(cause)),
    };
    let outcome = session.outcome(finished);
    match cause {
        None => Ok(outcome),
        Some(cause) => Err(CommandError { cause, outcome: Box::new(outcome) }),
    }
}

/// What is known while it runs.
struct Session<'a> {
    reading: Reading,
    report: Report,
    transcript: Transcript,
    secrets: KnownSecrets,
    worktree: &'a Path,
    stdout: Lines,
    stderr: Lines,
    progress: &'a mut (dyn FnMut(Progress) + Send),
}

impl Session<'_> {
    /// Gives how it ended, and why it was ended if it was.
    async fn run(
        &mut self,
        settings: &CommandSettings,
        supervisor: Option<&Path>,
        task: &CommandTask,
        cancel: &CancellationToken,
    ) -> Result<(Finished, Option<Cause>), Cause> {
        let scratch = std::env::temp_dir();
        let unwritten = |source| Cause::Prompt { path: scratch.clone(), source };
        let mut prompt = tempfile::Builder::new().prefix("specwave-prompt-").tempfile().map_err(unwritten)?;
        prompt.write_all(task.prompt.as_bytes()).map_err(unwritten)?;
        let command = command(settings, supervisor, task, prompt.path())?;
        let (service, mut printed) = exec::follow(&command, &task.recorder).await.map_err(|error| refused(error, &task.worktree))?;
        let tier = service.tier();
        if matches!(settings.confinement, Confinement::Required(_)) && task.network != Network::Any && !tier.network {
            // Nobody listens to it any more, and dropping it ends it.
            drop((printed, service));
            return Err(Cause::Unconfined(tier.to_string()));
        }
        // Ends it, whoever wants that: the caller, the clock that it did not hear of for too long, or what it says that it has used.
        let end = cancel.child_token();
        let waiting = service.wait(&end);
        tokio::pin!(waiting);
        let (mut quiet_until, mut stopped) = (Instant::now() + settings.stall, None);
        let finished = loop {
            tokio::select! {
                piece = printed.recv(), if !printed.is_closed() || !printed.is_empty() => {
                    quiet_until = Instant::now() + settings.stall;
                    if let Some(piece) = piece {
                        self.take(&piece);
                    }
                    if stopped.is_none() && let Some(cause) = self.overspent(settings) {
                        stopped = Some(cause);
                        end.cancel();
                    }
                }
                finished = &mut waiting => break finished.map_err(Cause::Exec)?,
                () = sleep_until(quiet_until), if stopped.is_none() => {
                    stopped = Some(Cause::Stalled(settings.stall));
                    end.cancel();
                }
            }
        };
        self.take_rest(&mut printed);
        // What it said with its last words counts too. The caller's word counts first, and so does an end that came by itself.
        let stopped = stopped.filter(|_| finished.exit == Exit::Cancelled && !cancel.is_cancelled());
        Ok((finished, stopped.or_else(|| self.overspent(settings))))
    }

    /// Whether it has told of more use than one try may have.
    fn overspent(&self, settings: &CommandSettings) -> Option<Cause> {
        let usage = &self.report.usage;
        let over = |what, used: u64, limit: u64| (used > limit).then_some(Cause::Budget { what, used, limit });
        let money = settings.cost_max_micros.zip(usage.cost_micros);
        over("tokens", usage.tokens(), settings.tokens_max)
            .or_else(|| money.and_then(|(limit, used)| over("millionths of its currency", used, limit)))
    }

    fn take(&mut self, piece: &Printed) {
        match piece {
            Printed::Stdout(bytes) => {
                for line in self.stdout.push(bytes) {
                    self.said(&line);
                }
            }
            Printed::Stderr(bytes) => {
                for line in self.stderr.push(bytes) {
                    self.complained(&line);
                }
            }
        }
    }

    fn take_rest(&mut self, printed: &mut Receiver<Printed>) {
        while let Ok(piece) = printed.try_recv() {
            self.take(&piece);
        }
        if let Some(line) = self.stdout.rest() {
            self.said(&line);
        }
        if let Some(line) = self.stderr.rest() {
            self.complained(&line);
        }
    }

    fn said(&mut self, line: &Line) {
        let (broken, used) = (self.report.counts.broken, self.report.usage.tokens());
        self.reading.line(line, self.worktree, &mut self.report);
        if let Line::TooLong(bytes) = line {
            self.transcript.add("note", &format!("a line of {bytes} bytes was skipped"));
        }
        if self.report.counts.broken > broken
            && let Line::Whole(text) = line
        {
            self.transcript.add("note", &self.secrets.clean(&format!("not understood: {}", cut(text, SAID_BYTES_MAX))));
        }
        for news in std::mem::take(&mut self.report.news) {
            let news = self.clean(news);
            match &news {
                Progress::Started { session } => self.transcript.add("note", &format!("session {session}")),
                Progress::Text(text) => self.transcript.add("text", text),
                Progress::Tool { name, about } => self.transcript.add("tool", &format!("{name} {about}")),
                Progress::Edit { path } => self.transcript.add("edit", path),
                Progress::Used { .. } => {}
            }
            (self.progress)(news);
        }
        let tokens = self.report.usage.tokens();
        if tokens != used {
            (self.progress)(Progress::Used { tokens });
        }
    }

    fn complained(&mut self, line: &Line) {
        if let Line::Whole(text) = line
            && !text.trim().is_empty()
        {
            self.transcript.add("stderr", &self.secrets.clean(text));
        }
    }

    fn clean(&self, news: Progress) -> Progress {
        let clean = |text: String| self.secrets.clean(&text);
        match news {
            Progress::Started { session } => Progress::Started { session: clean(session) },
            Progress::Text(text) => Progress::Text(clean(text)),
            Progress::Tool { name, about } => Progress::Tool { name: clean(name), about: clean(about) },
            Progress::Edit { path } => Progress::Edit { path: clean(path) },
            Progress::Used { tokens } => Progress::Used { tokens },
        }
    }

    /// Why it did not end well, if so.
    fn judge(&self, settings: &CommandSettings, finished: &Finished) -> Option<Cause> {
        match finished.exit {
            Exit::Cancelled => return Some(Cause::Cancelled),
            Exit::TimedOut => return Some(Cause::TimedOut(settings.deadline)),
            Exit::Limit(limit) => return Some(Cause::Limit(limit)),
            Exit::Code(_) | Exit::Signal(_) => {}
        }
        let now = OffsetDateTime::now_utc();
        match &self.report.ended {
            Some(Ended::MaxTurns) => return Some(Cause::MaxTurns),
            Some(Ended::Refused(said)) => return Some(Cause::Refused(self.quote(said))),
            Some(Ended::Failed(said)) => {
                let said = self.quote(said);
                return Some(classify(&said, now).unwrap_or(Cause::Failed(said)));
            }
            Some(Ended::Done) | None => {}
        }
        let whole = self.report.ended.is_some() || !self.reading.says_its_end();
        if finished.exit.success() && whole && (self.report.problem.is_none() || self.report.ended.is_some()) {
            return None;
        }
        // It did not say why in its protocol: what it complained about, there or on standard error, is all there is.
        let stderr = finished.stderr.text();
        let problem = self.report.problem.as_deref().unwrap_or_default();
        let said = self.quote([problem, last_lines(&stderr)].join("\n").trim());
        Some(classify(&said, now).unwrap_or(Cause::Crashed { exit: finished.exit, said }))
    }

    fn quote(&self, said: &str) -> String {
        cut(&self.secrets.clean(said), SAID_BYTES_MAX).to_owned()
    }

    fn outcome(self, finished: Option<Finished>) -> CommandOutcome {
        let message = self.report.message.as_ref().map(|message| self.secrets.clean(message));
        CommandOutcome {
            exit: finished.as_ref().map(|finished| finished.exit),
            session: self.report.session.as_ref().map(|session| self.secrets.clean(session)),
            usage: self.report.usage,
            message,
            counts: self.report.counts,
            duration: finished.as_ref().map_or(Duration::ZERO, |finished| finished.duration),
            tier: finished.as_ref().map_or_else(Tier::default, |finished| finished.tier),
            peak_rss_bytes: finished.and_then(|finished| finished.peak_rss_bytes),
            transcript: self.transcript,
        }
    }
}

fn command(settings: &CommandSettings, supervisor: Option<&Path>, task: &CommandTask, prompt: &Path) -> Result<Command, Cause> {
    let (argv, by_input) = settings.command_line(&task.prompt, &prompt.to_string_lossy())?;
    let mut command = Command::new(argv, &task.worktree);
    command.env.clone_from(&task.env);
    command.readable.clone_from(&settings.readable);
    command.readable.push(prompt.to_owned());
    command.writable = vec![task.worktree.clone()];
    command.network = task.network.clone();
    command.confinement = settings.confinement;
    command.limits = Limits { wall: settings.deadline, ..settings.limits };
    command.input = by_input.then(|| prompt.to_owned());
    command.supervisor = supervisor.map(Path::to_owned);
    Ok(command)
}

/// Why it did not even start.
fn refused(error: ExecError, worktree: &Path) -> Cause {
    match error {
        ExecError::Unconfined { reason, .. } => Cause::Unconfined(reason),
        // The kernel says the same of a directory that is missing.
        ExecError::Refused { program, reason, .. } if reason.contains("No such file") && worktree.is_dir() => Cause::NotInstalled(program),
        other => Cause::Exec(other),
    }
}

/// The end of a text: programs say at their end what stopped them.
fn last_lines(text: &str) -> &str {
    let mut start = text.len().saturating_sub(SAID_BYTES_MAX / 2);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}
