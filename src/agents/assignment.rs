//! Which agent performs a unit, and the reason, recorded before the unit is told anything.
//!
//! In this order: a rule for its sort of work; the generator, where it has a template; the agent that is named for the rest; with
//! `auto` whoever of those that fit best draws the highest from its record (`learning::trial::choice`), the busy ones left out as long
//! as somebody is free. After a failure for good: another one, then the debugging agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Agent;
use super::roster::{AUTO, Member, Roster};
use crate::learning::trial::{self, Candidate, Choice, Record, Seed, UnitSize, choose};
use crate::model::plan::Waiting;
use crate::model::{AgentKind, Duty, Escalation, Task};

/// The draw of an agent; a new number when the draw changes.
const PURPOSE: &str = "agents/assignment/1";
/// Units that one agent has at once before others are preferred.
const BUSY_FROM: u32 = 4;

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
    /// First tries in this sort of work that passed and that did not, by agent.
    pub records: &'a BTreeMap<String, (u32, u32)>,
    /// Units that each agent has at the moment.
    pub busy: &'a BTreeMap<String, u32>,
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

fn sent(member: &Member, reason: String, choice: Option<Choice>) -> Assignment {
    Assignment::Agent { agent: Arc::clone(&member.agent), reason, choice }
}

/// Draws among the builders that fit best and have not tried it yet.
fn drawn(request: &Request<'_>, tried: &[String]) -> Assignment {
    let unit = request.unit;
    let untried = request.roster.of(Duty::Build).filter(|member| !tried.contains(&member.profile.name));
    let fitting: Vec<(u8, &Member)> = untried.filter_map(|member| Some((member.profile.fit(unit)?, member))).collect();
    let Some(best) = fitting.iter().map(|(fit, _)| *fit).max() else {
        return Assignment::Waits(Waiting {
            reason: "no agent that fits can be had".to_owned(),
            configure: "see `specwave agents list`".to_owned(),
        });
    };
    let best: Vec<&Member> = fitting.into_iter().filter(|(fit, _)| *fit == best).map(|(_, member)| member).collect();
    let at_work = |member: &Member| request.busy.get(&member.profile.name).copied().unwrap_or(0);
    let free: Vec<&Member> = best.iter().copied().filter(|member| at_work(member) < BUSY_FROM).collect();
    let taking_part = if free.is_empty() { &best } else { &free };
    let candidates: Vec<Candidate> = taking_part.iter().map(|member| candidate(request, member)).collect();
    let work = trial::Work { unit_type: unit.task_type, size: UnitSize::of(unit.effort) };
    let choice = choose(work, &candidates, None, Seed::of(PURPOSE, request.draw), request.earlier).expect("there is a candidate");
    let member = taking_part.iter().find(|member| member.profile.name == choice.agent).expect("one of the candidates is chosen");
    sent(member, in_words(&choice, best.len() - taking_part.len()), Some(choice))
}

fn candidate(request: &Request<'_>, member: &Member) -> Candidate {
    let name = &member.profile.name;
    let (successes, failures) = request.records.get(name).copied().unwrap_or_default();
    let pending = request.busy.get(name).copied().unwrap_or(0);
    Candidate { agent: name.clone(), record: Record { successes, failures, pending }, cost_micros: None }
}

/// Why it was chosen, in a sentence.
fn in_words(choice: &Choice, left_out: usize) -> String {
    let drawn: Vec<String> = choice
        .contenders
        .iter()
        .map(|one| format!("{} {:.2} of {:.0} passed and {:.0} failed", one.agent, one.sampled, one.alpha - 1.0, one.beta - 1.0))
        .collect();
    let busy = if left_out == 0 { String::new() } else { format!("; {left_out} more that are busy took no part") };
    let how = match choice.ground {
        trial::choice::Ground::Sampled => "it drew the highest rate",
        trial::choice::Ground::Explored => "this draw was an exploration, in which everybody is as likely",
        trial::choice::Ground::Kept => "it was chosen for the try before",
    };
    format!("{how}: {}{busy}", drawn.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::{AgentError, Delivery, Work};
    use super::*;
    use crate::model::{Profile, TaskType};

    struct Named(String, AgentKind);

    impl Agent for Named {
        fn name(&self) -> &str {
            &self.0
        }

        fn kind(&self) -> AgentKind {
            self.1
        }

        fn version(&self) -> &'static str {
            "1"
        }

        fn deterministic(&self) -> bool {
            self.1 == AgentKind::Generator
        }

        fn perform(&self, _: Work) -> Delivery<'_> {
            Box::pin(async { Err(AgentError::Stopped("it is there to be named".to_owned())) })
        }
    }

    fn roster(profiles: &[(&str, Duty, &[TaskType])]) -> Roster {
        let mut roster = Roster::default();
        for (name, duty, task_types) in profiles {
            let profile = toml::from_str::<Profile>(&format!("name = \"{name}\"\nkind = \"llm\"")).unwrap();
            let profile = Profile { duty: *duty, task_types: task_types.to_vec(), ..profile };
            roster = roster.with(profile, Arc::new(Named((*name).to_owned(), AgentKind::Llm)));
        }
        roster
    }

    fn unit(task_type: TaskType, waits: bool) -> Task {
        let waiting = waits.then(|| Waiting { reason: "prose".to_owned(), configure: "an agent".to_owned() });
        let mut plan = crate::engine::testing::plan(&[("api/books", 1)], &[]);
        Task { task_type, waiting, ..plan.tasks.remove(0) }
    }

    /// Who is sent, or why nobody is.
    fn check(roster: &Roster, unit: &Task, step: Escalation, tried: &[&str], expected: &str) {
        let generator: Arc<dyn Agent> = Arc::new(Named("generator/fastapi".to_owned(), AgentKind::Generator));
        let tried: Vec<String> = tried.iter().map(|name| (*name).to_owned()).collect();
        let request = Request {
            unit,
            generator: Some(&generator),
            roster,
            step,
            tried: &tried,
            records: &BTreeMap::new(),
            busy: &BTreeMap::new(),
            earlier: None,
            draw: &[b"1"],
        };
        let found = match assign(&request) {
            Assignment::Agent { agent, .. } => agent.name().to_owned(),
            Assignment::Waits(waiting) => format!("waits: {}", waiting.reason),
            Assignment::Nobody(reason) => format!("nobody: {reason}"),
        };
        assert_eq!(found, expected, "{} {step:?}", unit.key);
    }

    #[test]
    fn generators_come_first_and_the_named_agent_builds_the_rest() {
        let builders = roster(&[("general", Duty::Build, &[])]);
        let named = builders.clone().ruled(Some("general"), &[], None);
        check(&named, &unit(TaskType::Api, false), Escalation::Assigned, &[], "generator/fastapi");
        check(&named, &unit(TaskType::Generic, true), Escalation::Assigned, &[], "general");
        check(&builders, &unit(TaskType::Generic, true), Escalation::Assigned, &[], "waits: prose");
        let unknown = builders.ruled(Some("gone"), &[], None);
        let reason = "waits: there is no agent gone; `specwave agents list` shows who there is";
        check(&unknown, &unit(TaskType::Generic, true), Escalation::Assigned, &[], reason);
    }

    #[test]
    fn a_rule_goes_before_the_generator() {
        let roster = roster(&[("general", Duty::Build, &[]), ("tester", Duty::Build, &[TaskType::Test])]);
        let ruled = roster.ruled(None, &[(TaskType::Api, "general")], None);
        check(&ruled, &unit(TaskType::Api, false), Escalation::Assigned, &[], "general");
        check(&ruled, &unit(TaskType::Docs, false), Escalation::Assigned, &[], "generator/fastapi");
    }

    #[test]
    fn by_itself_the_one_for_the_sort_of_work_is_sent_and_nobody_who_is_no_builder() {
        let all = [("general", Duty::Build, &[][..]), ("tester", Duty::Build, &[TaskType::Test]), ("reader", Duty::Review, &[])];
        let auto = roster(&all).ruled(Some(AUTO), &[], None);
        check(&auto, &unit(TaskType::Test, true), Escalation::Assigned, &[], "tester");
        check(&auto, &unit(TaskType::Docs, true), Escalation::Assigned, &[], "general");
    }

    #[test]
    fn after_a_failure_another_one_is_sent_then_the_debugger_then_a_person() {
        let all = [("general", Duty::Build, &[][..]), ("second", Duty::Build, &[]), ("analyst", Duty::Debug, &[])];
        let auto = roster(&all).ruled(Some("general"), &[], None);
        let unit = unit(TaskType::Docs, true);
        check(&auto, &unit, Escalation::AnotherAgent, &["general"], "second");
        check(&auto, &unit, Escalation::AnotherAgent, &["general", "second"], "nobody: no other agent can be had");
        check(&auto, &unit, Escalation::DebuggingAgent, &["general"], "analyst");
        check(&auto, &unit, Escalation::Person, &[], "nobody: it is for a person to decide");
        check(&roster(&all[..1]), &unit, Escalation::AnotherAgent, &[], "nobody: no other agent is configured");
    }

    /// Who is drawn for a unit that nobody tried, with the reason and the draw.
    fn draw_of(
        roster: &Roster,
        unit: &Task,
        records: &BTreeMap<String, (u32, u32)>,
        busy: &BTreeMap<String, u32>,
        draw: u32,
    ) -> (Arc<dyn Agent>, String, Option<Choice>) {
        let draw = draw.to_be_bytes();
        let step = Escalation::Assigned;
        let request = Request { unit, generator: None, roster, step, tried: &[], records, busy, earlier: None, draw: &[&draw] };
        match assign(&request) {
            Assignment::Agent { agent, reason, choice } => (agent, reason, choice),
            _ => panic!("somebody is there"),
        }
    }

    #[test]
    fn records_move_the_choice_and_the_reason_names_them() {
        let auto = roster(&[("bad", Duty::Build, &[]), ("good", Duty::Build, &[])]).ruled(Some(AUTO), &[], None);
        let unit = unit(TaskType::Docs, true);
        let records = BTreeMap::from([("good".to_owned(), (60, 2)), ("bad".to_owned(), (2, 60))]);
        let (mut good, mut reasons) = (0, String::new());
        for draw in 0..200_u32 {
            let (agent, reason, choice) = draw_of(&auto, &unit, &records, &BTreeMap::new(), draw);
            assert_eq!(choice.unwrap().agent, agent.name());
            good += usize::from(agent.name() == "good");
            reasons.push_str(&reason);
        }
        // One draw in ten is an exploration, half of which go to the bad one.
        assert!((175..200).contains(&good), "{good} of 200");
        assert!(reasons.contains("of 60 passed and 2 failed") && reasons.contains("exploration"), "{reasons}");
    }

    #[test]
    fn whoever_is_busy_takes_no_part_as_long_as_somebody_is_free() {
        let auto = roster(&[("a", Duty::Build, &[]), ("b", Duty::Build, &[])]).ruled(Some(AUTO), &[], None);
        let unit = unit(TaskType::Docs, true);
        let busy = BTreeMap::from([("a".to_owned(), BUSY_FROM)]);
        for draw in 0..50_u32 {
            let (agent, reason, _) = draw_of(&auto, &unit, &BTreeMap::new(), &busy, draw);
            assert!(agent.name() == "b" && reason.contains("1 more that are busy"), "{reason}");
        }
    }
}
