//! The draw of an agent for a unit by records, and the sentence that explains it.
//!
//! Called by `assignment` where the choice is left to what agents have done before. Pure.

use super::assignment::{Assignment, Request, sent};
use super::roster::Member;
use crate::learning::trial::choice::{Contender, Excluded, Ground};
use crate::learning::trial::{Candidate, Choice, ChoiceError, Record, Seed, UnitSize, Work, choose};
use crate::model::Duty;
use crate::model::budget::Resource;
use crate::model::plan::Waiting;
use crate::store::postgres::assignments::RecordRow;

/// The draw of an agent; a new number when the draw changes.
const PURPOSE: &str = "agents/assignment/1";
/// Units that one agent has at once before others are preferred.
pub(super) const BUSY_FROM: u32 = 4;

/// Draws among the builders that have not tried it yet and can be paid: those that fit its sort of work best, of them those that have most
/// of the skills that it needs, and of them the free ones, as long as somebody is free.
pub(super) fn drawn(request: &Request<'_>, tried: &[String]) -> Assignment {
    let unit = request.unit;
    let untried = request.roster.of(Duty::Build).filter(|member| !tried.contains(&member.profile.name));
    let fitting: Vec<(u8, &Member)> = untried.filter_map(|member| Some((member.profile.fit(unit)?, member))).collect();
    if fitting.is_empty() {
        return Assignment::Waits(Waiting {
            reason: "no agent that fits can be had".to_owned(),
            configure: "see `specwave agents list`".to_owned(),
        });
    }
    let payable = |member: &Member| request.cost_micros_max.is_none_or(|max| cost(request, member).is_none_or(|cost| cost <= max));
    let (payable, dear): (Vec<_>, Vec<_>) = fitting.into_iter().partition(|(_, member)| payable(member));
    let best = payable.iter().map(|(fit, _)| *fit).max();
    let best: Vec<&Member> = payable.into_iter().filter(|(fit, _)| Some(*fit) == best).map(|(_, member)| member).collect();
    let most = best.iter().map(|member| held(request, member).len()).max();
    let skilled: Vec<&Member> = best.iter().copied().filter(|member| Some(held(request, member).len()) == most).collect();
    let at_work = |member: &Member| request.busy.get(&member.profile.name).copied().unwrap_or(0);
    let free: Vec<&Member> = skilled.iter().copied().filter(|member| at_work(member) < BUSY_FROM).collect();
    let taking_part = if free.is_empty() { &skilled } else { &free };
    let candidates: Vec<Candidate> =
        taking_part.iter().copied().chain(dear.iter().map(|(_, member)| *member)).map(|member| candidate(request, member)).collect();
    let work = Work { unit_type: unit.task_type, size: UnitSize::of(unit.effort) };
    match choose(work, &candidates, request.cost_micros_max, Seed::of(PURPOSE, request.draw), request.earlier) {
        Ok(choice) => {
            let member = taking_part.iter().find(|member| member.profile.name == choice.agent).expect("one of the candidates is chosen");
            let left_out = LeftOut { less_skilled: best.len() - skilled.len(), busy: skilled.len() - taking_part.len() };
            sent(member, in_words(&choice, request.skills, &held(request, member), &left_out), Some(choice))
        }
        Err(refused) => Assignment::Waits(Waiting {
            reason: format!("no agent that fits can be paid{}", excluded_in_words(&refused)),
            configure: "allow more money (`budget.*`), or name an agent".to_owned(),
        }),
    }
}

/// The skills that the unit needs and the profile names.
fn held<'a>(request: &Request<'a>, member: &Member) -> Vec<&'a str> {
    request.skills.iter().filter(|skill| member.profile.skills.contains(skill)).map(String::as_str).collect()
}

/// What a unit of that sort has cost the agent on average; none before one has ended whose cost is known.
fn cost(request: &Request<'_>, member: &Member) -> Option<u64> {
    request.records.get(&member.profile.name)?.cost_micros
}

fn candidate(request: &Request<'_>, member: &Member) -> Candidate {
    let name = &member.profile.name;
    let RecordRow { passed, failed, cost_micros } = request.records.get(name).copied().unwrap_or_default();
    let pending = request.busy.get(name).copied().unwrap_or(0);
    Candidate { agent: name.clone(), record: Record { successes: passed, failures: failed, pending }, cost_micros }
}

/// How many took no part, though they fit the sort of work as well.
struct LeftOut {
    less_skilled: usize,
    busy: usize,
}

/// Why it was chosen, in a sentence.
fn in_words(choice: &Choice, needed: &[String], held: &[&str], left_out: &LeftOut) -> String {
    let how = match choice.ground {
        Ground::Sampled => "it drew the highest rate",
        Ground::Explored => "this draw was an exploration, in which everybody is as likely",
        Ground::Kept => "it was chosen for the try before",
    };
    let drawn: Vec<String> = choice.contenders.iter().map(contender_in_words).collect();
    let mut words = vec![format!("{how}: {}", drawn.join(", "))];
    if !held.is_empty() {
        words.push(format!("of the {} skills that are needed it names {}", needed.len(), held.join(", ")));
    }
    for (count, why) in [(left_out.less_skilled, "name fewer of them"), (left_out.busy, "are busy")] {
        if count > 0 {
            words.push(format!("{count} more that {why} took no part"));
        }
    }
    words.join("; ") + &dear_in_words(&choice.excluded)
}

fn contender_in_words(one: &Contender) -> String {
    let cost = one.cost_micros.map(|micros| format!(" at {} a unit", Resource::Cost.show(micros))).unwrap_or_default();
    format!("{} {:.2} of {:.0} passed and {:.0} failed{cost}", one.agent, one.sampled, one.alpha - 1.0, one.beta - 1.0)
}

fn excluded_in_words(refused: &ChoiceError) -> String {
    match refused {
        ChoiceError::NoCandidate => String::new(),
        ChoiceError::AllExcluded(excluded) => dear_in_words(excluded),
    }
}

/// Who could not take part because of what it costs.
fn dear_in_words(excluded: &[Excluded]) -> String {
    let one = |one: &Excluded| {
        let (cost, left) = (Resource::Cost.show(one.cost_micros), Resource::Cost.show(one.cost_micros_max));
        format!("; {} is left out: a unit takes it {cost} on average, and {left} is left", one.agent)
    };
    excluded.iter().map(one).collect()
}
