//! Which agent performs a unit, and the reason, recorded before the unit is told anything.
//!
//! In this order: a rule for its sort of work; the generator, where it has a template; the agent that is named for the rest; with
//! `auto` whoever draws the highest from its record (`learning::trial::choice`) of those that can be paid from what is left of the budget,
//! fit the sort of work best, name most of the skills that it needs, and are free, as long as somebody is. After a failure for good:
//! another one, then the debugging agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Agent;
use super::drawing::drawn;
use super::roster::{AUTO, Member, Roster};
use crate::learning::trial::Choice;
use crate::model::plan::Waiting;
use crate::model::{AgentKind, Escalation, Task};
use crate::store::postgres::assignments::RecordRow;

/// Everything that an assignment depends on.
pub struct Request<'a> {
    /// The unit.
    pub unit: &'a Task,
    /// The agent of the target pack.
    pub generator: Option<&'a Arc<dyn Agent>>,
    /// Everybody else.
    pub roster: &'a Roster,
    /// Whose turn it is.
    pub step: Escalation,
    /// Who tried it before in this run, oldest first.
    pub tried: &'a [String],
    /// What became of each agent's units in this sort of work.
    pub records: &'a BTreeMap<String, RecordRow>,
    /// Units that each agent has at the moment.
    pub busy: &'a BTreeMap<String, u32>,
    /// The skills that the unit needs, each once.
    pub skills: &'a [String],
    /// What the budgets leave of money, in millionths; none where it is not limited.
    pub cost_micros_max: Option<u64>,
    /// The choice for an earlier try.
    pub earlier: Option<&'a Choice>,
    /// What tells this draw from others: the run and the claim.
    pub draw: &'a [&'a [u8]],
}

/// The answer for one unit.
pub enum Assignment {
    /// This agent performs it.
    Agent {
        /// The agent.
        agent: Arc<dyn Agent>,
        /// Why this one.
        reason: String,
        /// The draw, where there was one.
        choice: Option<Choice>,
    },
    /// Nothing configured can.
    Waits(Waiting),
    /// Nobody is there for this step.
    Nobody(&'static str),
}

/// Chooses. Pure: equal requests, equal answers.
pub fn assign(request: &Request<'_>) -> Assignment {
    match request.step {
        Escalation::Assigned => first(request),
        Escalation::AnotherAgent => another(request),
        Escalation::DebuggingAgent => match request.roster.debugger() {
            Some(member) => sent(member, "others have failed, and it is there to find out why".to_owned(), None),
            None => Assignment::Nobody("no debugging agent can be had"),
        },
        Escalation::Person => Assignment::Nobody("it is for a person to decide"),
    }
}

/// The kind of agent that is going to perform a unit, as far as it is known before anything was tried.
pub fn expected_kind(unit: &Task, generator: Option<&Arc<dyn Agent>>, roster: &Roster) -> AgentKind {
    let (records, busy) = (BTreeMap::new(), BTreeMap::new());
    let request = Request {
        unit,
        generator,
        roster,
        step: Escalation::Assigned,
        tried: &[],
        records: &records,
        busy: &busy,
        skills: &[],
        cost_micros_max: None,
        earlier: None,
        draw: &[unit.key.as_bytes()],
    };
    match assign(&request) {
        Assignment::Agent { agent, .. } => agent.kind(),
        Assignment::Waits(_) | Assignment::Nobody(_) => AgentKind::Manual,
    }
}

fn first(request: &Request<'_>) -> Assignment {
    let unit = request.unit;
    if let Some(name) = request.roster.rule(unit.task_type) {
        return named(request, name, "the setting agents.rules sends it this sort of work");
    }
    match (&unit.waiting, request.generator, request.roster.default_name()) {
        (None, Some(generator), _) => {
            let reason = format!("{} has a template for {}", generator.name(), unit.key);
            Assignment::Agent { agent: Arc::clone(generator), reason, choice: None }
        }
        (_, _, Some(AUTO)) => drawn(request, &[]),
        (_, _, Some(name)) => named(request, name, "it is the agent for what no generator builds"),
        (Some(waiting), _, None) => Assignment::Waits(waiting.clone()),
        (None, None, None) => Assignment::Waits(Waiting {
            reason: "no target pack generates this unit and no other agent is configured".to_owned(),
            configure: "name a target in the specification or with --target, or configure an agent".to_owned(),
        }),
    }
}

fn another(request: &Request<'_>) -> Assignment {
    if request.roster.default_name().is_none() {
        return Assignment::Nobody("no other agent is configured");
    }
    match drawn(request, request.tried) {
        Assignment::Waits(_) => Assignment::Nobody("no other agent can be had"),
        other => other,
    }
}

fn named(request: &Request<'_>, name: &str, reason: &str) -> Assignment {
    if name == AUTO {
        return drawn(request, &[]);
    }
    match request.roster.find(name) {
        Ok(member) => sent(member, reason.to_owned(), None),
        Err(reason) => Assignment::Waits(Waiting { reason, configure: "name another agent, or mend its settings".to_owned() }),
    }
}

pub(super) fn sent(member: &Member, reason: String, choice: Option<Choice>) -> Assignment {
    Assignment::Agent { agent: Arc::clone(&member.agent), reason, choice }
}
