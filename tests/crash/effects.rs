//! What workers did, one line each in a file that all of them append to: it stays whatever becomes of them and of the database.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// The work on a unit begins.
    Start,
    /// The work is done and paid for; it may or may not be settled.
    Effect,
    /// The database had this as the state of a dependency although the unit was handed out.
    Early,
    /// The settlement was refused: the claim was lost before.
    Late,
}

const DEEDS: [(Deed, &str); 4] = [(Deed::Start, "start"), (Deed::Effect, "effect"), (Deed::Early, "early"), (Deed::Late, "late")];

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub deed: Deed,
    /// Which unit, by its place in the plan.
    pub place: usize,
    /// Under which claim.
    pub token: i64,
    /// By which worker.
    pub worker: String,
}

/// The file, open for a worker.
pub struct Effects {
    file: File,
    worker: String,
}

impl Effects {
    /// Opens it for the worker of that name.
    pub fn open(path: &Path, worker: &str) -> Self {
        Self { file: OpenOptions::new().append(true).create(true).open(path).unwrap(), worker: worker.to_owned() }
    }

    /// Appends a line, whole or not at all.
    pub fn append(&self, deed: Deed, place: usize, token: i64) {
        let name = DEEDS.iter().find(|known| known.0 == deed).unwrap().1;
        (&self.file).write_all(format!("{name} {place} {token} {}\n", self.worker).as_bytes()).unwrap();
    }
}

/// Every line so far, in the order in which they were appended; none when there is no file yet.
pub fn read(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = |line: &str| {
        let parts: Vec<&str> = line.split(' ').collect();
        let deed = DEEDS.iter().find(|known| known.1 == parts[0]).unwrap().0;
        Line { deed, place: parts[1].parse().unwrap(), token: parts[2].parse().unwrap(), worker: parts[3].to_owned() }
    };
    text.lines().map(line).collect()
}
