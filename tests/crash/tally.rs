//! What a campaign came to, added up from what was seen.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

/// Counts; every one of them comes from files, process ends and tables, none from a setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Units of the plans.
    pub units: usize,
    /// Processes that ended by SIGKILL, by the place where; `any moment` for those killed from outside.
    pub kills: BTreeMap<String, usize>,
    /// Crashes of the database's server.
    pub server_crashes: usize,
    /// Effects beyond one for each unit.
    pub re_executions: usize,
    /// Settlements that were refused because the claim was lost.
    pub refused: usize,
    /// Units that did not succeed.
    pub lost: usize,
    /// Recorded successes beyond one for each unit and input.
    pub doubled: usize,
}

impl Tally {
    /// Processes that ended by SIGKILL.
    pub fn killed(&self) -> usize {
        self.kills.values().sum()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        for (place, count) in other.kills {
            *self.kills.entry(place).or_default() += count;
        }
        self.units += other.units;
        self.server_crashes += other.server_crashes;
        self.re_executions += other.re_executions;
        self.refused += other.refused;
        self.lost += other.lost;
        self.doubled += other.doubled;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { units, server_crashes, re_executions, refused, lost, doubled, .. } = self;
        write!(
            out,
            "{units} units, kills {}, server crashes {server_crashes}, re-executions {re_executions}, refused late writes {refused}, \
             lost {lost}, doubled {doubled}",
            self.killed()
        )
    }
}
