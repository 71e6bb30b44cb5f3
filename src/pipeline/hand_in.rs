//! Files that a person hands in for a unit: collected within limits, stored, and left to be judged like any agent's.
//!
//! Called by the HTTP interface and the command line. It runs no check itself: the worker that claims the unit does.

use thiserror::Error;

use super::again::{self, AgainError, Wish};
use crate::exec::tree::{PathError, Tree};
use crate::model::{Actor, UnitState};
use crate::redact::redact;
use crate::store::postgres::tasks::UnitEntry;
use crate::store::postgres::{StoreError, TenantTx, artifacts};

/// More files are no unit.
pub const FILES_MAX: usize = 1_000;
/// All files together, in bytes: they go to the database in one piece.
pub const BYTES_MAX: u64 = 64 << 20;
/// What there is to say about them, in bytes.
pub const NOTE_BYTES_MAX: usize = 2_000;

/// Why files are not taken.
#[derive(Debug, Error)]
pub enum HandInError {
    /// The store of facts failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The unit cannot be tried now.
    #[error(transparent)]
    Again(#[from] AgainError),
    /// A path leads elsewhere.
    #[error(transparent)]
    Path(#[from] PathError),
    /// There are two files at one path.
    #[error("{0} is handed in twice")]
    Twice(String),
    /// They are too many, or too large.
    #[error("more than {FILES_MAX} files or {} MiB are handed in", BYTES_MAX >> 20)]
    TooMuch,
    /// There is none.
    #[error("no file is handed in")]
    Nothing,
    /// Too much is said about them.
    #[error("the note has {0} bytes, more than {NOTE_BYTES_MAX}")]
    Note(usize),
    /// The unit does not wait for files.
    #[error("unit {key} is {}: what waits or has failed can be handed in", state.as_str())]
    State {
        /// The unit.
        key: String,
        /// Where it stands.
        state: UnitState,
    },
}

impl HandInError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Store(_) | Self::Again(_) => "see where the unit and its run stand",
            Self::Path(error) => error.hint(),
            Self::Twice(_) => "name each path once",
            Self::TooMuch => "hand in the unit's files and nothing else",
            Self::Nothing => "hand in the unit's files",
            Self::Note(_) => "say it in fewer words",
            Self::State { .. } => "a finished unit is done again when it is reopened",
        }
    }
}

/// Files on their way.
#[derive(Debug, Default)]
pub struct HandIn {
    tree: Tree,
    bytes: u64,
}

impl HandIn {
    /// Fails when a file of that size would be too much; asked before its content is read.
    pub fn room_for(&self, bytes: u64) -> Result<(), HandInError> {
        let fits = self.tree.len() < FILES_MAX && self.bytes.saturating_add(bytes) <= BYTES_MAX;
        if fits { Ok(()) } else { Err(HandInError::TooMuch) }
    }

    /// Adds a file.
    pub fn add(&mut self, path: &str, content: Vec<u8>, executable: bool) -> Result<(), HandInError> {
        self.room_for(content.len() as u64)?;
        if self.tree.get(path).is_some() {
            return Err(HandInError::Twice(path.to_owned()));
        }
        self.bytes += content.len() as u64;
        Ok(self.tree.insert(path, content, executable)?)
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.tree.len()
    }
}

/// Stores the files, and has the unit tried with them. The caller commits and then wakes the workers.
pub async fn take(tx: &mut TenantTx, actor: &Actor, unit: &UnitEntry, hand_in: &HandIn, note: &str) -> Result<(), HandInError> {
    if !matches!(unit.state, UnitState::Waiting | UnitState::Failed) {
        return Err(HandInError::State { key: unit.key.clone(), state: unit.state });
    }
    if hand_in.tree.is_empty() {
        return Err(HandInError::Nothing);
    }
    if note.len() > NOTE_BYTES_MAX {
        return Err(HandInError::Note(note.len()));
    }
    let stamped: Vec<(String, &[u8])> = hand_in.tree.iter().map(|(_, file)| (file.stamp().sha256, file.content.as_slice())).collect();
    let blobs: Vec<(&str, &[u8])> = stamped.iter().map(|(sha256, content)| (sha256.as_str(), *content)).collect();
    artifacts::store_blobs(tx, &blobs).await?;
    let wish = Wish::HandIn { files: hand_in.tree.artifacts(), note: redact(note) };
    Ok(again::unit(tx, actor, unit, &wish).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::UnitResult;
    use crate::engine::testing::{Bench, ORGANIZATION, plan};
    use crate::store::postgres::{hand_ins, tasks};

    #[test]
    fn files_are_collected_within_limits_and_below_the_project() {
        let mut hand_in = HandIn::default();
        hand_in.add("src/a.py", b"a = 1\n".to_vec(), false).unwrap();
        assert_eq!(hand_in.add("src/a.py", Vec::new(), false).unwrap_err().to_string(), "src/a.py is handed in twice");
        for unsafe_path in ["../a.py", "/etc/passwd", "src/a.py/b", "", "a\\b"] {
            assert!(matches!(hand_in.add(unsafe_path, Vec::new(), false), Err(HandInError::Path(_))), "{unsafe_path}");
        }
        assert!(matches!(hand_in.room_for(BYTES_MAX), Err(HandInError::TooMuch)));
        hand_in.room_for(BYTES_MAX - 6).unwrap();
        for number in 1..FILES_MAX {
            hand_in.add(&format!("f{number}"), Vec::new(), false).unwrap();
        }
        assert_eq!(hand_in.add("one-more", Vec::new(), false).unwrap_err().to_string(), "more than 1000 files or 64 MiB are handed in");
    }

    #[tokio::test]
    async fn a_unit_that_waits_takes_files_and_one_that_is_ready_does_not() {
        let bench = Bench::new(&plan(&[("a", 2), ("b", 1)], &[])).await;
        let a = bench.claim_one().await;
        bench.settle(&a, UnitResult::Waiting { reason: "nobody can do it".to_owned() }).await;
        let mut tx = bench.engine.store().tenant(ORGANIZATION).await.unwrap();
        let mut hand_in = HandIn::default();
        let waiting = tasks::unit_of_key(&mut tx, bench.run, "a").await.unwrap().unwrap();
        assert!(matches!(take(&mut tx, &bench.actor, &waiting, &hand_in, "").await, Err(HandInError::Nothing)));
        hand_in.add("src/a.py", b"a = 1\n".to_vec(), true).unwrap();
        let long = "x".repeat(NOTE_BYTES_MAX + 1);
        assert!(matches!(take(&mut tx, &bench.actor, &waiting, &hand_in, &long).await, Err(HandInError::Note(2_001))));
        let ready = tasks::unit_of_key(&mut tx, bench.run, "b").await.unwrap().unwrap();
        let refused = take(&mut tx, &bench.actor, &ready, &hand_in, "").await.unwrap_err();
        assert_eq!(refused.to_string(), "unit b is ready: what waits or has failed can be handed in");
        take(&mut tx, &bench.actor, &waiting, &hand_in, "by hand").await.unwrap();
        let open = hand_ins::open(&mut tx, bench.run, "a").await.unwrap().unwrap();
        assert_eq!((open.person.as_str(), open.files[0].path.as_str(), open.files[0].executable), ("user:test", "src/a.py", true));
        tx.commit().await.unwrap();
        assert_eq!(bench.states().await, "a:ready b:ready");
    }
}
