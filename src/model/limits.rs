//! How many units may be running at once, counted in the database, so that it holds across every worker of an installation.

use std::collections::BTreeMap;

use super::AgentKind;

/// Limits on running units; where nothing is given, only the claimer's own room counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of one run.
    pub run: Option<u32>,
    /// Of one wave of a run.
    pub wave: Option<u32>,
    /// Of one organization.
    pub organization: Option<u32>,
    /// Of each kind of agent, in one organization.
    pub agent_kinds: BTreeMap<AgentKind, u32>,
}

impl Limits {
    /// True when running units of other runs count too.
    pub fn beyond_a_run(&self) -> bool {
        self.organization.is_some() || !self.agent_kinds.is_empty()
    }

    /// True when it depends on the unit whether there is room.
    pub fn by_unit(&self) -> bool {
        self.wave.is_some() || !self.agent_kinds.is_empty()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
