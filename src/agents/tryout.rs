//! A unit that costs next to nothing, to see that an agent answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::listener::Nobody;
use super::{Agent, AgentError, Bound, Briefing, Delivered, Meter, Metered, Refused, Reservation, Spent, Work};
use crate::exec::{Recorder, Tree};
use crate::generate::{GeneratedFile, Prior};
use crate::ingest;
use crate::model::plan::{Effort, EffortUnit};
use crate::model::{Role, SpecFormat, Task, TaskKind, TaskType};

/// More than a few requests for one small file use.
const TOKENS_MAX: u64 = 50_000;
/// The specification that there must be.
const SPEC: &[u8] = b"# Tryout\n\nThe project MUST hold a file that says it is ready.\n";

/// A meter without a run: so many tokens, and no more.
#[derive(Debug)]
pub struct Allowance {
    most: u64,
    used: AtomicU64,
}

impl Allowance {
    fn of(most: u64) -> Self {
        Self { most, used: AtomicU64::new(0) }
    }
}

impl Meter for Allowance {
    fn reserve(&self, bound: Bound) -> Metered<'_, Result<Reservation, Refused>> {
        let used = self.used.fetch_add(bound.tokens, Ordering::Relaxed);
        Box::pin(async move {
            if used.saturating_add(bound.tokens) > self.most {
                return Err(Refused { reason: format!("a tryout may use {} tokens", self.most) });
            }
            Ok(Reservation(u128::from(bound.tokens)))
        })
    }

    fn spend(&self, reservation: Reservation, spent: Spent) -> Metered<'_, ()> {
        let set_aside = u64::try_from(reservation.0).unwrap_or(u64::MAX);
        self.used.fetch_sub(set_aside.saturating_sub(spent.tokens), Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }

    fn abandon(&self, _: Reservation, _: Spent) {}
}

/// Asks for one small file. Whoever works in a tree gets an empty one, which is removed afterwards; how much it may use its own profile
/// says, for it is asked once.
pub async fn ask(agent: &dyn Agent) -> Result<Delivered, AgentError> {
    if !agent.works_in_a_tree() {
        return agent.perform(work()).await;
    }
    let failed = |error: std::io::Error| AgentError::Stopped(format!("there is no directory to work in: {error}"));
    let folder = tempfile::Builder::new().prefix("specwave-tryout-").tempdir().map_err(failed)?;
    let delivered =
        agent.perform(Work { worktree: Some(folder.path().to_owned()), meter: Arc::new(Allowance::of(u64::MAX)), ..work() }).await?;
    let found = Tree::read(folder.path(), &[]).map_err(failed)?;
    let file = |(path, file): (&str, &crate::exec::tree::TreeFile)| GeneratedFile {
        path: path.to_owned(),
        content: file.content.clone(),
        executable: file.executable,
    };
    let files: Vec<GeneratedFile> = found.iter().map(file).collect();
    let delivered = delivered.or_asks(files.is_empty())?;
    Ok(Delivered { files, ..delivered })
}

/// One small file.
fn work() -> Work {
    let unit = Task {
        key: "tryout".to_owned(),
        parent: None,
        kind: TaskKind::Task,
        role: Role::Unit,
        task_type: TaskType::Generic,
        phase: 3,
        title: "Write a file".to_owned(),
        description: "Write the file tryout.txt with one line: the word ready.".to_owned(),
        priority: 3,
        effort: Effort { amount: 1, unit: EffortUnit::Points },
        criteria: vec!["tryout.txt holds the line \"ready\"".to_owned()],
        expected_output: "tryout.txt".to_owned(),
        files: vec!["tryout.txt".to_owned()],
        skills: Vec::new(),
        requirements: Vec::new(),
        position: None,
        wave: Some(1),
        critical: false,
        slack: 0,
        waiting: None,
    };
    let document = ingest::read(SPEC, None, Some(SpecFormat::Prose)).document.expect("a test reads it");
    Work {
        unit,
        document: Arc::new(document),
        prior: Arc::new(Prior::default()),
        briefing: Briefing::default(),
        worktree: None,
        meter: Arc::new(Allowance::of(TOKENS_MAX)),
        listener: Arc::new(Nobody),
        recorder: Recorder::nowhere(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_declares_one_file() {
        assert_eq!(work().unit.files, ["tryout.txt"]);
    }

    #[tokio::test]
    async fn what_was_not_used_may_be_used_later_and_no_more_than_there_is() {
        let meter = Allowance::of(TOKENS_MAX);
        let bound = Bound { tokens: 40_000, cost_micros: None };
        let first = meter.reserve(bound).await.unwrap();
        meter.spend(first, Spent { tokens: 10, cost_micros: None, measured: true }).await;
        meter.reserve(bound).await.unwrap();
        assert_eq!(meter.reserve(bound).await.unwrap_err().reason, "a tryout may use 50000 tokens");
    }
}
