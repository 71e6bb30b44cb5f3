//! Order, limits, escalation, and what a person decides, against a real PostgreSQL.

use std::time::Duration;

use super::testing::{Bench, ORGANIZATION, plan};
use super::*;
use crate::model::{AgentKind, Backoff, Escalation, UnitState};
use crate::store::postgres::testing as database;

fn keys(units: &[ClaimedUnit]) -> Vec<&str> {
    units.iter().map(|unit| unit.key.as_str()).collect()
}

fn four() -> crate::model::Plan {
    plan(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)], &[])
}

#[tokio::test]
async fn the_first_to_be_ready_goes_first_in_fifo_order() {
    let units = plan(&[("late", 9), ("gate", 1), ("early", 1)], &[("late", "gate")]);
    let bench = Bench::with(&units, |options| options.strategy = Strategy::Fifo, |_| None).await;
    let first = bench.claim_one().await;
    assert_eq!(first.key, "gate", "of those that became ready at once the first in the plan");
    bench.succeed(&first).await;
    assert_eq!(bench.claim_one().await.key, "early", "it has been ready for longer");
}

#[tokio::test]
async fn a_limit_of_the_run_holds_for_all_workers_together() {
    let bench = Bench::with(&four(), |options| options.limits.run = Some(2), |_| None).await;
    let other = Engine::new(bench.engine.store().clone(), bench.engine.options().clone());
    assert_eq!(bench.claim(5).await.len(), 2);
    let claimed = other.claim(ORGANIZATION, bench.run, 5, Dispatch::Readiness).await.unwrap();
    assert_eq!(claimed.units, []);
    let outlook = claimed.outlook.unwrap();
    assert_eq!((outlook.running, outlook.held_up, outlook.next_due), (2, 2, None));
}

#[tokio::test]
async fn a_limit_holds_when_workers_claim_at_the_same_moment() {
    let names: Vec<String> = (0..60).map(|number| format!("u{number}")).collect();
    let units: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let bench = Bench::with(&plan(&units, &[]), |options| options.limits.organization = Some(7), |_| None).await;
    let claims = (0..6).map(|_| {
        let engine = Engine::new(bench.engine.store().clone(), bench.engine.options().clone());
        let run = bench.run;
        tokio::spawn(async move { engine.claim(ORGANIZATION, run, 3, Dispatch::Readiness).await.unwrap().units.len() })
    });
    let claimed = futures_util::future::join_all(claims.collect::<Vec<_>>()).await;
    assert_eq!(claimed.into_iter().map(Result::unwrap).sum::<usize>(), 7);
}

#[tokio::test]
async fn waves_and_kinds_of_agents_have_limits_of_their_own() {
    let mut units = four();
    units.tasks[3].wave = Some(2);
    let bench = Bench::with(&units, |options| options.limits.wave = Some(1), |_| None).await;
    assert_eq!(keys(&bench.claim(5).await), ["a", "d"]);

    let limit = |options: &mut EngineOptions| options.limits.agent_kinds.extend([(AgentKind::Llm, 1)]);
    let kind = |task: &crate::model::Task| Some(if task.key.as_str() < "c" { AgentKind::Llm } else { AgentKind::Generator });
    let bench = Bench::with(&four(), limit, kind).await;
    let claimed = bench.claim(5).await;
    assert_eq!(keys(&claimed), ["a", "c", "d"]);
    bench.succeed(&claimed[0]).await;
    assert_eq!(keys(&bench.claim(5).await), ["b"]);
}

#[tokio::test]
async fn a_failure_climbs_the_steps_up_to_a_person() {
    let escalation = vec![Escalation::AnotherAgent, Escalation::DebuggingAgent, Escalation::Person];
    let steps = |options: &mut EngineOptions| {
        options.retry =
            RetryPolicy { attempts_max: 2, backoff: Backoff::Immediate, escalation: escalation.clone(), ..RetryPolicy::default() };
    };
    let bench = Bench::with(&plan(&[("a", 1), ("b", 1)], &[("b", "a")]), steps, |_| None).await;
    let mut seen = Vec::new();
    for class in [ErrorClass::Transient, ErrorClass::Transient, ErrorClass::Permanent] {
        let unit = bench.claim_one().await;
        seen.push((unit.claim.escalation, unit.claim.attempt));
        assert_eq!(bench.fail(&unit, class).await, Settled::Now(UnitState::Ready));
    }
    let unit = bench.claim_one().await;
    seen.push((unit.claim.escalation, unit.claim.attempt));
    let nobody = UnitResult::Unable { reason: "no debugging agent".to_owned() };
    assert_eq!(bench.settle(&unit, nobody).await, Settled::Now(UnitState::Waiting));
    let expect = [(Escalation::Assigned, 0), (Escalation::Assigned, 1), (Escalation::AnotherAgent, 0), (Escalation::DebuggingAgent, 0)];
    assert_eq!(seen, expect);
    bench.engine.decide(&bench.actor, bench.run, "a", true, "looked at it").await.unwrap();
    assert_eq!(bench.states().await, "a:succeeded b:ready");
    assert_eq!(bench.wrong_counters().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_person_rejects_has_failed_and_can_be_tried_again() {
    let bench = Bench::new(&plan(&[("approval", 1), ("b", 1)], &[("b", "approval")])).await;
    let unit = bench.claim_one().await;
    bench.settle(&unit, UnitResult::Waiting { reason: "for a person".to_owned() }).await;
    bench.engine.decide(&bench.actor, bench.run, "approval", false, "not like this").await.unwrap();
    assert_eq!(bench.states().await, "approval:failed b:blocked");
    let refused = bench.engine.decide(&bench.actor, bench.run, "approval", true, "").await.unwrap_err();
    assert!(refused.to_string().ends_with("can be approved"), "{refused}");
    assert_eq!(bench.engine.retry(&bench.actor, bench.run, &["approval".to_owned()], "again").await.unwrap(), 1);
    assert_eq!(bench.states().await, "approval:ready b:pending");
    assert_eq!(bench.wrong_counters().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_retry_that_is_not_due_yet_is_made_due() {
    let later = |options: &mut EngineOptions| {
        options.retry = RetryPolicy { backoff: Backoff::Fixed, base: Duration::from_mins(1), ..RetryPolicy::default() }
    };
    let bench = Bench::with(&plan(&[("a", 1)], &[]), later, |_| None).await;
    let unit = bench.claim_one().await;
    bench.fail(&unit, ErrorClass::Transient).await;
    assert_eq!(bench.claim(1).await, []);
    assert_eq!(bench.engine.retry(&bench.actor, bench.run, &["a".to_owned()], "now").await.unwrap(), 1);
    assert_eq!(bench.claim_one().await.claim.attempt, 1, "its attempts are not forgotten");
}

#[tokio::test]
async fn a_run_without_progress_is_taken_from_its_worker() {
    let bench = Bench::with(&four(), |options| options.stuck_after = Duration::from_mins(5), |_| None).await;
    let unit = bench.claim_one().await;
    assert_eq!(bench.engine.sweep().await.unwrap(), Swept::default());
    database::without_progress(bench.engine.store(), Duration::from_mins(6)).await;
    assert!(bench.engine.snapshot(ORGANIZATION, bench.run).await.unwrap().stuck);
    assert_eq!(bench.engine.sweep().await.unwrap(), Swept { units: 0, stuck: 1 });
    assert_eq!(bench.succeed(&unit).await, Settled::Late);
    assert!(!bench.engine.renew(&bench.guard).await.unwrap());
    assert_eq!(bench.states().await, "a:ready b:ready c:ready d:ready");
    assert_eq!(bench.engine.sweep().await.unwrap(), Swept::default(), "nobody drives it: it is only waiting");
    let other = Engine::new(bench.engine.store().clone(), bench.engine.options().clone());
    assert!(matches!(other.drive(ORGANIZATION, bench.run).await.unwrap(), Drive::Taken { .. }));
}
