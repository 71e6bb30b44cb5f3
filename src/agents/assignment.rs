//! Which agent performs a unit, and the reason, recorded with the attempt.

use std::sync::Arc;

use super::Agent;
use crate::model::plan::Waiting;
use crate::model::{AgentKind, Task};

/// The answer for one unit.
pub enum Assignment {
    /// This agent performs it.
    Agent {
        /// The agent.
        agent: Arc<dyn Agent>,
        /// Why this one.
        reason: String,
    },
    /// Nothing configured can.
    Waits(Waiting),
}

impl Assignment {
    /// The kind of agent that performs the unit.
    pub fn kind(&self) -> AgentKind {
        match self {
            Self::Agent { agent, .. } => agent.kind(),
            Self::Waits(_) => AgentKind::Manual,
        }
    }
}

/// Chooses among the configured agents: a unit that the plan marks as waiting waits, every other one is generated.
pub fn assign(unit: &Task, generator: Option<&Arc<dyn Agent>>) -> Assignment {
    match (&unit.waiting, generator) {
        (Some(waiting), _) => Assignment::Waits(waiting.clone()),
        (None, Some(agent)) => {
            let reason = format!("{} has a template for {}", agent.name(), unit.key);
            Assignment::Agent { agent: Arc::clone(agent), reason }
        }
        (None, None) => Assignment::Waits(Waiting {
            reason: "no target pack generates this unit and no other agent is configured".to_owned(),
            configure: "name a target in the specification or with --target, or configure an agent".to_owned(),
        }),
    }
}
