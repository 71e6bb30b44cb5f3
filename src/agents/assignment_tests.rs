//! Who is sent to what, and the reason that is written down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::assignment::{Assignment, Request, assign};
use super::drawing::BUSY_FROM;
use super::roster::{AUTO, Roster};
use super::{Agent, AgentError, Delivery, Work};
use crate::model::plan::Waiting;
use crate::model::{AgentKind, Duty, Escalation, Profile, Task, TaskType};
use crate::store::postgres::assignments::RecordRow;

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
        skills: &[],
        cost_micros_max: None,
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

/// A draw for a unit that nobody tried.
#[derive(Clone, Copy, Default)]
struct Draw<'a> {
    records: &'a [(&'a str, RecordRow)],
    busy: &'a [(&'a str, u32)],
    skills: &'a [&'a str],
    cost_micros_max: Option<u64>,
}

impl Draw<'_> {
    fn of(&self, roster: &Roster, unit: &Task, number: u32) -> Assignment {
        let records = self.records.iter().map(|(name, row)| ((*name).to_owned(), *row)).collect();
        let busy = self.busy.iter().map(|(name, units)| ((*name).to_owned(), *units)).collect();
        let skills: Vec<String> = self.skills.iter().map(|skill| (*skill).to_owned()).collect();
        assign(&Request {
            unit,
            generator: None,
            roster,
            step: Escalation::Assigned,
            tried: &[],
            records: &records,
            busy: &busy,
            skills: &skills,
            cost_micros_max: self.cost_micros_max,
            earlier: None,
            draw: &[&number.to_be_bytes()],
        })
    }

    /// Who is sent in each of 50 draws, with the reason.
    fn fifty(&self, roster: &Roster, unit: &Task) -> Vec<(String, String)> {
        let sent = |number| match self.of(roster, unit, number) {
            Assignment::Agent { agent, reason, choice } => {
                assert_eq!(choice.unwrap().agent, agent.name());
                (agent.name().to_owned(), reason)
            }
            _ => panic!("somebody is there"),
        };
        (0..50).map(sent).collect()
    }
}

fn record(passed: u32, failed: u32, cost_micros: Option<u64>) -> RecordRow {
    RecordRow { passed, failed, cost_micros }
}

#[test]
fn records_move_the_choice_and_the_reason_names_them() {
    let auto = roster(&[("bad", Duty::Build, &[]), ("good", Duty::Build, &[])]).ruled(Some(AUTO), &[], None);
    let draw = Draw { records: &[("good", record(60, 2, Some(20_000))), ("bad", record(2, 60, None))], ..Draw::default() };
    let sent = draw.fifty(&auto, &unit(TaskType::Docs, true));
    // One draw in ten is an exploration, half of which go to the bad one.
    let good = sent.iter().filter(|(name, _)| name == "good").count();
    assert!((42..=50).contains(&good), "{good} of 50");
    let reasons: String = sent.into_iter().map(|(_, reason)| reason).collect();
    assert!(reasons.contains("of 60 passed and 2 failed at 0.02 of money a unit") && reasons.contains("exploration"), "{reasons}");
}

#[test]
fn whoever_is_busy_takes_no_part_as_long_as_somebody_is_free() {
    let auto = roster(&[("a", Duty::Build, &[]), ("b", Duty::Build, &[])]).ruled(Some(AUTO), &[], None);
    let draw = Draw { busy: &[("a", BUSY_FROM)], ..Draw::default() };
    for (name, reason) in draw.fifty(&auto, &unit(TaskType::Docs, true)) {
        assert!(name == "b" && reason.contains("1 more that are busy"), "{reason}");
    }
}

/// Three who fit: one names two skills, one names one, one names none.
fn skilled() -> Roster {
    let mut roster = Roster::default();
    for (name, skills) in [("both", "[\"css\", \"forms\"]"), ("half", "[\"css\"]"), ("none", "[]")] {
        let profile = toml::from_str::<Profile>(&format!("name = \"{name}\"\nkind = \"llm\"\nskills = {skills}")).unwrap();
        roster = roster.with(profile, Arc::new(Named(name.to_owned(), AgentKind::Llm)));
    }
    roster.ruled(Some(AUTO), &[], None)
}

#[test]
fn of_those_that_fit_the_one_with_most_of_the_skills_is_sent_and_the_reason_names_them() {
    let draw = Draw { skills: &["css", "forms", "words"], records: &[("both", record(0, 30, None))], ..Draw::default() };
    for (name, reason) in draw.fifty(&skilled(), &unit(TaskType::Docs, true)) {
        let named = "of the 3 skills that are needed it names css, forms; 2 more that name fewer of them took no part";
        assert!(name == "both" && reason.ends_with(named), "{reason}");
    }
    // Where nobody has any of them, skills decide nothing.
    let elsewhere = Draw { skills: &["words"], ..Draw::default() }.fifty(&skilled(), &unit(TaskType::Docs, true));
    let names: BTreeSet<&str> = elsewhere.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 3, "{elsewhere:?}");
    assert!(elsewhere.iter().all(|(_, reason)| !reason.contains("skills")));
}

#[test]
fn who_cannot_be_paid_is_left_out_and_the_next_best_is_sent() {
    let records = [("both", record(9, 0, Some(400_000))), ("half", record(0, 9, Some(100_000)))];
    let draw = Draw { records: &records, skills: &["css", "forms"], cost_micros_max: Some(399_999), ..Draw::default() };
    for (name, reason) in draw.fifty(&skilled(), &unit(TaskType::Docs, true)) {
        let said = "both is left out: a unit takes it 0.40 of money on average, and 0.39 of money is left";
        assert!(name == "half" && reason.contains(said), "{reason}");
    }
    let enough = Draw { cost_micros_max: Some(400_000), ..draw }.fifty(&skilled(), &unit(TaskType::Docs, true));
    assert!(enough.iter().all(|(name, reason)| name == "both" && !reason.contains("left out")), "{enough:?}");
}

#[test]
fn the_unit_waits_when_nobody_can_be_paid_and_who_has_no_record_may_try() {
    let all = [("both", record(1, 0, Some(2_000_000))), ("half", record(1, 0, Some(3_000_000))), ("none", record(1, 0, Some(4_000_000)))];
    let draw = Draw { records: &all, cost_micros_max: Some(1_000_000), ..Draw::default() };
    match draw.of(&skilled(), &unit(TaskType::Docs, true), 1) {
        Assignment::Waits(waiting) => assert!(
            waiting.reason.starts_with("no agent that fits can be paid; both is left out: a unit takes it 2.00 of money on average"),
            "{}",
            waiting.reason
        ),
        _ => panic!("nobody can be paid"),
    }
    let draw = Draw { records: &all[..2], ..draw };
    assert!(draw.fifty(&skilled(), &unit(TaskType::Docs, true)).iter().all(|(name, _)| name == "none"));
}
