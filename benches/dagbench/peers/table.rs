//! The rounds of one engine on one plan, and the row that they become.

use std::time::Duration;

use super::Peer;
use super::dag::Dag;
use crate::ledger::Position;
use crate::measure::Table;

/// What was measured.
pub struct Rounds {
    pub peer: Peer,
    pub walls: Vec<Duration>,
    pub lags: Vec<Duration>,
    /// Of the client, and of the engine's own server.
    pub memory_kib: (u64, u64),
    /// What PostgreSQL wrote in each round.
    pub written: Vec<Position>,
    /// Why it was not tried any more.
    pub failed: Option<String>,
}

impl Rounds {
    pub fn new(peer: Peer) -> Self {
        Self { peer, walls: Vec::new(), lags: Vec::new(), memory_kib: (0, 0), written: Vec::new(), failed: None }
    }

    pub fn add_to(&mut self, table: &mut Table, name: String, dag: &Dag, durable: &str) {
        let mut remarks: Vec<String> = self.failed.take().into_iter().collect();
        self.walls.sort_unstable();
        if let Some(median) = self.walls.get(self.walls.len() / 2) {
            let over = median.saturating_sub(dag.least()).as_secs_f64() * 1_000_000.0 / dag.units.len() as f64;
            remarks.push(format!("{over:.0} µs a unit beyond the work"));
            remarks.extend(self.lag());
            remarks.push(self.memory());
            // The middle round: one with a checkpoint in it wrote more than others.
            self.written.sort_unstable();
            remarks.extend(self.written.get(self.written.len() / 2).map(|written| written.since(Position::default(), 1)));
        }
        remarks.push(durable.to_owned());
        remarks.retain(|remark| !remark.is_empty());
        table.add(name, std::mem::take(&mut self.walls), remarks.join("; "));
    }

    /// None where no unit waits for another.
    fn lag(&mut self) -> Option<String> {
        self.lags.sort_unstable();
        let p95 = self.lags.get(self.lags.len() * 95 / 100)?;
        Some(format!("p95 {:.1} ms from the last dependency to the start", p95.as_secs_f64() * 1_000.0))
    }

    fn memory(&self) -> String {
        let (client, server) = (self.memory_kib.0 / 1_024, self.memory_kib.1 / 1_024);
        if server == 0 {
            format!("{client} MB of memory")
        } else {
            format!("{} MB of memory (client {client}, server {server})", client + server)
        }
    }
}
