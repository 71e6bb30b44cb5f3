//! What the run's branch tells: which units were merged and taken back, and which of them broke something.

use std::collections::BTreeSet;
use std::future::Future;

use serde::{Deserialize, Serialize};

use super::commit::key;
use super::{CommitId, Repository, RepositoryError};

/// The unit whose work a commit is.
pub(super) const UNIT: &str = "Specwave-Unit";
/// The run that it was done in.
pub(super) const RUN: &str = "Specwave-Run";
/// Who did it.
pub(super) const AGENT: &str = "Specwave-Agent";
/// The fencing token of the attempt.
pub(super) const TOKEN: &str = "Specwave-Token";
/// The unit whose work a commit undoes.
pub(super) const TAKES_BACK: &str = "Specwave-Takes-Back";
/// The commit that it undoes.
pub(super) const REVERTS: &str = "Specwave-Reverts";

/// More commits of one run are not looked through: every unit of the largest plan, merged and taken back some times.
const COMMITS_MAX: usize = 200_000;

/// Whether a commit brought a unit's work or took it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Landing {
    /// It brought it.
    Merged {
        /// The fencing token of the attempt.
        token: i64,
        /// Who did the work.
        agent: String,
    },
    /// It took it back.
    TakenBack {
        /// What it undid.
        reverts: CommitId,
    },
}

/// A commit of the run's branch that concerns a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// Which commit.
    pub commit: CommitId,
    /// The unit's key.
    pub unit: String,
    /// What it did.
    pub landing: Landing,
}

/// The first commit that made a check fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bisected {
    /// Which, and whose.
    pub first_bad: Landed,
    /// How often was checked.
    pub checks: usize,
}

impl Repository {
    /// The commits of this run between two commits of its branch, the first excluded, the oldest first. Others' commits are left out.
    pub async fn changes_between(&self, from: &CommitId, to: &CommitId) -> Result<Vec<Landed>, RepositoryError> {
        self.landed(from, to, &[]).await
    }

    /// The same, of those that touched one of these paths; no path means all.
    pub(super) async fn landed(&self, from: &CommitId, to: &CommitId, paths: &[String]) -> Result<Vec<Landed>, RepositoryError> {
        let fields = [UNIT, TOKEN, AGENT, TAKES_BACK, REVERTS, RUN].map(|name| format!("%(trailers:key={name},valueonly,separator=%x1e)"));
        let format = format!("--format=%H%x1f{}", fields.join("%x1f"));
        let most = format!("--max-count={}", COMMITS_MAX + 1);
        let mut call = self.objects.call(&["log", "-z", "--first-parent", "--reverse", &most, &format]);
        call = call.argument(format!("{from}..{to}")).argument("--");
        for path in paths {
            call = call.argument(path);
        }
        let listed = call.bytes().await?;
        let records: Vec<&[u8]> = listed.split(|byte| *byte == 0).filter(|record| !record.is_empty()).collect();
        if records.len() > COMMITS_MAX {
            return Err(RepositoryError::TooMuch { what: "the number of commits of a run", limit: COMMITS_MAX.to_string() });
        }
        Ok(records.into_iter().filter_map(|record| landed(&String::from_utf8_lossy(record), &self.site.run)).collect())
    }

    /// The commits of a unit that are on the branch and were not taken back, the newest first.
    pub(super) async fn standing(&self, unit: &str, head: &CommitId) -> Result<Vec<Landed>, RepositoryError> {
        self.standing_of(&[unit.to_owned()], head).await
    }

    /// The same of several units.
    pub(super) async fn standing_of(&self, units: &[String], head: &CommitId) -> Result<Vec<Landed>, RepositoryError> {
        let units: BTreeSet<String> = units.iter().map(|unit| key(unit)).collect();
        let mut all = self.landed(self.start(), head, &[]).await?;
        all.retain(|landed| units.contains(&landed.unit));
        let undone: BTreeSet<CommitId> = all.iter().filter_map(|landed| landed.reverts().cloned()).collect();
        all.retain(|landed| matches!(landed.landing, Landing::Merged { .. }) && !undone.contains(&landed.commit));
        all.reverse();
        Ok(all)
    }

    /// The first commit of a unit after `last_green` that makes `check` say false, when `head` is known to fail and one bad commit keeps
    /// everything after it bad. None when no unit's commit lies between them. Needs about log2(n) checks of n commits.
    pub async fn bisect<F, Fut, E>(&self, last_green: &CommitId, head: &CommitId, mut check: F) -> Result<Option<Bisected>, E>
    where
        F: FnMut(CommitId) -> Fut,
        Fut: Future<Output = Result<bool, E>>,
        E: From<RepositoryError>,
    {
        let mut suspects = self.changes_between(last_green, head).await?;
        let (mut good, mut bad, mut checks) = (0, suspects.len(), 0);
        // Those before `good` are good; the one before `bad` is bad, the last one because `head` is.
        while bad > good + 1 {
            let middle = good + (bad - good) / 2;
            checks += 1;
            if check(suspects[middle - 1].commit.clone()).await? { good = middle } else { bad = middle }
        }
        Ok((bad > 0).then(|| Bisected { first_bad: suspects.swap_remove(bad - 1), checks }))
    }
}

/// One commit's trailers; none when it is not of this run.
fn landed(record: &str, run: &str) -> Option<Landed> {
    let fields: Vec<&str> = record.split('\u{1f}').map(str::trim).collect();
    let [commit, unit, token, agent, takes_back, reverts, of] = fields[..] else { return None };
    let commit = CommitId::parse(commit).filter(|_| of == run)?;
    match (unit, CommitId::parse(reverts)) {
        ("", Some(reverts)) if !takes_back.is_empty() => {
            Some(Landed { commit, unit: takes_back.to_owned(), landing: Landing::TakenBack { reverts } })
        }
        ("", _) => None,
        (unit, _) => {
            let landing = Landing::Merged { token: token.parse().ok()?, agent: agent.to_owned() };
            Some(Landed { commit, unit: unit.to_owned(), landing })
        }
    }
}
