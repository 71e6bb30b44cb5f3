//! The engine against a real PostgreSQL: every promise of its module doc.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value;

use super::testing::{Bench, ORGANIZATION, hash, plan, submission};
use super::*;
use crate::model::{Artifact, RunEvent, UnitState};
use crate::store::postgres::{artifacts, testing as database};

fn diamond() -> crate::model::Plan {
    plan(&[("a", 1), ("b", 2), ("c", 1), ("d", 1)], &[("b", "a"), ("c", "a"), ("d", "b"), ("d", "c")])
}

#[tokio::test]
async fn units_become_ready_in_the_transaction_that_finishes_their_last_dependency() {
    let bench = Bench::new(&diamond()).await;
    assert_eq!(bench.states().await, "a:ready b:pending c:pending d:pending");
    let a = bench.claim_one().await;
    assert_eq!(bench.succeed(&a).await, Settled::Now(UnitState::Succeeded));
    let both = bench.claim(5).await;
    assert_eq!(both.iter().map(|unit| unit.key.as_str()).collect::<Vec<_>>(), ["b", "c"], "the longer chain first");
    bench.succeed(&both[0]).await;
    assert_eq!(bench.states().await, "a:succeeded b:succeeded c:running d:pending");
    bench.succeed(&both[1]).await;
    assert_eq!(bench.states().await, "a:succeeded b:succeeded c:succeeded d:ready");
    assert_eq!(bench.wrong_counters().await, Vec::<String>::new());
}

#[tokio::test]
async fn gates_pass_in_chains_and_an_empty_one_passes_at_once() {
    let units = [("empty", 0), ("a", 1), ("gate", 0), ("second", 0), ("b", 1), ("c", 1)];
    let edges = [("gate", "a"), ("second", "gate"), ("b", "second"), ("c", "empty")];
    let bench = Bench::new(&plan(&units, &edges)).await;
    assert_eq!(bench.states().await, "a:ready b:pending c:ready");
    let units = bench.claim(2).await;
    bench.succeed(units.iter().find(|unit| unit.key == "a").unwrap()).await;
    assert_eq!(bench.states().await, "a:succeeded b:ready c:running");
    assert_eq!(bench.wrong_counters().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_late_outcome_changes_nothing() {
    let bench = Bench::new(&diamond()).await;
    let first = bench.claim_one().await;
    bench.expire_leases().await;
    assert_eq!(bench.engine.sweep().await.unwrap(), Swept { units: 1, stuck: 0 });
    assert_eq!(bench.succeed(&first).await, Settled::Late);
    let second = bench.claim_one().await;
    assert_eq!((second.claim.unit, second.claim.token), (first.claim.unit, first.claim.token + 1));
    assert_eq!(bench.succeed(&first).await, Settled::Late);
    assert_eq!(bench.states().await, "a:running b:pending c:pending d:pending");
    assert_eq!(bench.succeed(&second).await, Settled::Now(UnitState::Succeeded));
}

#[tokio::test]
async fn a_holder_may_renew_an_expired_lease_while_nobody_took_the_unit() {
    let bench = Bench::new(&diamond()).await;
    let unit = bench.claim_one().await;
    bench.expire_leases().await;
    assert_eq!(bench.engine.heartbeat(ORGANIZATION, &[unit.claim]).await.unwrap(), []);
    assert_eq!(bench.engine.sweep().await.unwrap(), Swept::default());
    bench.expire_leases().await;
    bench.engine.sweep().await.unwrap();
    assert_eq!(bench.engine.heartbeat(ORGANIZATION, &[unit.claim]).await.unwrap(), [unit.claim]);
}

#[tokio::test]
async fn a_unit_that_loses_twenty_leases_fails_as_a_crash_loop() {
    let bench = Bench::new(&diamond()).await;
    for _ in 0..20 {
        bench.claim_one().await;
        bench.expire_leases().await;
        bench.engine.sweep().await.unwrap();
    }
    assert_eq!(bench.states().await, "a:failed b:blocked c:blocked d:blocked");
}

#[tokio::test]
async fn transient_failures_are_repeated_and_others_block_what_waits() {
    let bench = Bench::new(&diamond()).await;
    for _ in 0..2 {
        let unit = bench.claim_one().await;
        assert_eq!(bench.fail(&unit, ErrorClass::Transient).await, Settled::Now(UnitState::Ready));
    }
    let unit = bench.claim_one().await;
    assert_eq!(unit.claim.attempt, 2);
    assert_eq!(bench.fail(&unit, ErrorClass::Transient).await, Settled::Now(UnitState::Failed));
    assert_eq!(bench.states().await, "a:failed b:blocked c:blocked d:blocked");
    let outlook = bench.engine.claim(ORGANIZATION, bench.run, 5, Dispatch::Readiness).await.unwrap().outlook.unwrap();
    assert_eq!((outlook.running, outlook.next_due), (0, None));
    let reopened = bench.engine.reopen(&bench.actor, bench.run, &["a".to_owned()], "mended").await.unwrap();
    assert_eq!(reopened.len(), 4);
    assert_eq!(bench.states().await, "a:ready b:pending c:pending d:pending");
    let unit = bench.claim_one().await;
    assert_eq!(bench.fail(&unit, ErrorClass::Permanent).await, Settled::Now(UnitState::Failed));
}

#[tokio::test]
async fn a_retry_is_due_by_the_clock_of_the_database() {
    let bench = Bench::new(&diamond()).await;
    let mut options = bench.engine.options().clone();
    options.retry.base = Duration::from_hours(1);
    options.retry.cap = Duration::from_hours(1);
    let patient = Engine::new(bench.engine.store().clone(), options);
    let bench = Bench { engine: patient, ..bench };
    let unit = bench.claim_one().await;
    bench.fail(&unit, ErrorClass::Transient).await;
    let claimed = bench.engine.claim(ORGANIZATION, bench.run, 1, Dispatch::Readiness).await.unwrap();
    assert_eq!(claimed.units, []);
    assert!(claimed.outlook.unwrap().next_due.unwrap() > Duration::ZERO);
    database::make_retries_due(bench.engine.store()).await;
    assert_eq!(bench.claim_one().await.claim.attempt, 1);
}

#[tokio::test]
async fn a_success_is_reused_until_it_is_reopened() {
    let bench = Bench::new(&plan(&[("a", 1), ("b", 1)], &[("b", "a")])).await;
    let spec = bench.engine.snapshot(ORGANIZATION, bench.run).await.unwrap().run.spec;
    let content = b"print()".as_slice();
    let sha256 = hash("print()");
    let file = Artifact { path: "src/a.py".to_owned(), sha256: sha256.clone(), size_bytes: 7, executable: false };
    let mut tx = bench.engine.store().tenant(ORGANIZATION).await.unwrap();
    artifacts::store_blobs(&mut tx, &[(&sha256, content), (&sha256, content)]).await.unwrap();
    tx.commit().await.unwrap();
    let a = bench.claim_one().await;
    bench.settle(&a, UnitResult::Succeeded { artifacts: vec![file.clone()] }).await;
    bench.engine.finish(&bench.guard, RunEvent::Fail, "test").await.unwrap();

    let again = bench.engine.submit(&bench.actor, &submission(&hash("one"), &Value::Null)).await.unwrap();
    assert_eq!(again.how, SubmittedAs::Again);
    let Drive::Taken { guard, .. } = bench.engine.drive(ORGANIZATION, again.run).await.unwrap() else { panic!("free") };
    bench.engine.load_plan(ORGANIZATION, again.run, &plan(&[("a", 1), ("b", 1)], &[("b", "a")]), |_| None).await.unwrap();
    let bench = Bench { run: again.run, guard, ..bench };
    let a = bench.claim_one().await;
    let found = bench.engine.find_success(ORGANIZATION, spec, "a", &hash("a")).await.unwrap().unwrap();
    assert_eq!(found.1, std::slice::from_ref(&file));
    assert_eq!(bench.settle(&a, UnitResult::Cached { attempt: found.0 }).await, Settled::Now(UnitState::Cached));
    assert_eq!(bench.states().await, "a:cached b:ready");
    let mut tx = bench.engine.store().tenant(ORGANIZATION).await.unwrap();
    assert_eq!(artifacts::of_run(&mut tx, bench.run).await.unwrap(), [("a".to_owned(), file)]);
    assert_eq!(artifacts::blob(&mut tx, &sha256).await.unwrap().as_deref(), Some(content));
    tx.commit().await.unwrap();
    bench.engine.reopen(&bench.actor, bench.run, &["a".to_owned()], "it was wrong").await.unwrap();
    assert_eq!(bench.engine.find_success(ORGANIZATION, spec, "a", &hash("a")).await.unwrap(), None);
}

#[tokio::test]
async fn reopening_fences_running_dependents_and_keeps_other_failures_blocked() {
    let units = [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)];
    let bench = Bench::new(&plan(&units, &[("c", "a"), ("d", "c"), ("d", "b"), ("e", "a")])).await;
    let first = bench.claim(2).await;
    bench.succeed(first.iter().find(|unit| unit.key == "a").unwrap()).await;
    bench.fail(first.iter().find(|unit| unit.key == "b").unwrap(), ErrorClass::Permanent).await;
    let second = bench.claim(2).await;
    assert_eq!(bench.states().await, "a:succeeded b:failed c:running d:blocked e:running");
    let reopened = bench.engine.reopen(&bench.actor, bench.run, &["a".to_owned()], "repair").await.unwrap();
    let fenced: Vec<&str> = reopened.iter().filter(|unit| unit.before == UnitState::Running).map(|unit| unit.key.as_str()).collect();
    assert_eq!(fenced, ["c", "e"]);
    assert_eq!(bench.states().await, "a:ready b:failed c:pending d:blocked e:pending");
    for unit in &second {
        assert_eq!(bench.succeed(unit).await, Settled::Late);
    }
    assert_eq!(bench.wrong_counters().await, Vec::<String>::new());
    let unknown = bench.engine.reopen(&bench.actor, bench.run, &["e".to_owned()], "repair").await.unwrap_err();
    assert!(matches!(unknown, EngineError::NoSuchUnit { .. }), "{unknown}");
}

#[tokio::test]
async fn what_waits_holds_its_dependents_until_it_is_woken() {
    let bench = Bench::new(&diamond()).await;
    let a = bench.claim_one().await;
    let reason = "no model is configured".to_owned();
    assert_eq!(bench.settle(&a, UnitResult::Waiting { reason }).await, Settled::Now(UnitState::Waiting));
    assert_eq!(bench.states().await, "a:waiting b:pending c:pending d:pending");
    assert_eq!(bench.engine.wake(&bench.actor, bench.run, &["a".to_owned()]).await.unwrap(), 1);
    let a = bench.claim_one().await;
    assert_eq!(bench.settle(&a, UnitResult::Released { reason: "stop".to_owned() }).await, Settled::Now(UnitState::Ready));
    assert_eq!(bench.claim_one().await.claim.attempt, 0, "giving back is no attempt");
}

#[tokio::test]
async fn the_same_command_resumes_follows_repeats_or_supersedes() {
    let bench = Bench::new(&diamond()).await;
    let other = Engine::new(bench.engine.store().clone(), bench.engine.options().clone());
    let (one, two) = (hash("one"), hash("two"));
    let same = other.submit(&bench.actor, &submission(&one, &Value::Null)).await.unwrap();
    assert_eq!((same.run, same.how), (bench.run, SubmittedAs::Live { driver: bench.engine.worker() }));
    assert_eq!(other.drive(ORGANIZATION, bench.run).await.unwrap(), Drive::Elsewhere { driver: bench.engine.worker() });
    let held = bench.claim_one().await;
    bench.expire_leases().await;
    let same = other.submit(&bench.actor, &submission(&one, &Value::Null)).await.unwrap();
    assert_eq!((same.run, same.how), (bench.run, SubmittedAs::Resumed));
    let Drive::Taken { lost, .. } = other.drive(ORGANIZATION, bench.run).await.unwrap() else { panic!("its driver is dead") };
    assert_eq!(lost, 1, "what the dead driver held is given back at once");
    assert!(!bench.engine.renew(&bench.guard).await.unwrap());
    assert_eq!(bench.succeed(&held).await, Settled::Late);

    let changed = other.submit(&bench.actor, &submission(&two, &Value::Null)).await.unwrap();
    assert_eq!((changed.how, changed.spec_version, changed.superseded.as_slice()), (SubmittedAs::NewVersion, 2, [bench.run].as_slice()));
    assert_eq!(bench.engine.drive(ORGANIZATION, bench.run).await.unwrap(), Drive::Finished { state: RunState::Superseded });
    let elsewhere = crate::store::postgres::specs::NewSpec { slug: "other", ..submission(&two, &Value::Null).spec };
    let elsewhere = Submission { spec: elsewhere, ..submission(&two, &Value::Null) };
    assert_eq!(other.submit(&bench.actor, &elsewhere).await.unwrap().how, SubmittedAs::New);
    let fresh = Submission { fresh: true, ..submission(&two, &Value::Null) };
    let fresh = other.submit(&bench.actor, &fresh).await.unwrap();
    assert_eq!((fresh.how, fresh.superseded), (SubmittedAs::Again, vec![changed.run]));
}

#[tokio::test]
async fn the_run_of_a_process_that_is_gone_is_taken_over_before_its_lease_ends() {
    let bench = Bench::new(&diamond()).await;
    let options = EngineOptions { lease: Duration::from_hours(1), ..bench.engine.options().clone() };
    let driver = Engine::new(bench.engine.store().clone(), options);
    bench.expire_leases().await;
    let Drive::Taken { guard, .. } = driver.drive(ORGANIZATION, bench.run).await.unwrap() else { panic!("its lease ran out") };
    let (other, bench) = (bench.engine.clone(), Bench { engine: driver, guard, ..bench });
    bench.claim_one().await;
    assert!(bench.engine.renew(&bench.guard).await.unwrap());
    assert_eq!(other.drive(ORGANIZATION, bench.run).await.unwrap(), Drive::Elsewhere { driver: bench.engine.worker() });
    bench.engine.close().await;
    let deadline = Instant::now() + Duration::from_secs(30);
    let taken = loop {
        match other.drive(ORGANIZATION, bench.run).await.unwrap() {
            Drive::Elsewhere { .. } if Instant::now() < deadline => tokio::task::yield_now().await,
            drive => break drive,
        }
    };
    assert!(matches!(taken, Drive::Taken { lost: 1, .. }), "{taken:?}");
    assert!(!bench.engine.renew(&bench.guard).await.unwrap());
}

#[tokio::test]
async fn a_restart_of_the_server_is_no_evidence_that_the_driver_is_gone() {
    let bench = Bench::new(&plan(&[("a", 1)], &[])).await;
    let other = Engine::new(bench.engine.store().clone(), bench.engine.options().clone());
    let unit = bench.claim_one().await;
    // Its session has ended, as all do when the server ends.
    bench.engine.close().await;
    database::restart_since_renewal(bench.engine.store(), Duration::from_hours(24 * 365)).await;
    assert_eq!(other.drive(ORGANIZATION, bench.run).await.unwrap(), Drive::Elsewhere { driver: bench.engine.worker() });
    assert_eq!(other.snapshot(ORGANIZATION, bench.run).await.unwrap().driver, Some(bench.engine.worker()));
    database::renewed_without_session(bench.engine.store(), bench.run).await;
    assert_eq!(other.drive(ORGANIZATION, bench.run).await.unwrap(), Drive::Elsewhere { driver: bench.engine.worker() });
    assert!(bench.engine.renew(&bench.guard).await.unwrap(), "it has come back, and nothing was taken from it");
    assert_eq!(bench.succeed(&unit).await, Settled::Now(UnitState::Succeeded));
    // One that does not come back is gone when a lease has passed since the restart.
    database::restart_since_renewal(bench.engine.store(), Duration::ZERO).await;
    assert!(matches!(other.drive(ORGANIZATION, bench.run).await.unwrap(), Drive::Taken { .. }));
}

#[tokio::test]
async fn equal_commands_at_the_same_moment_lead_to_one_run() {
    let store = database::store().await;
    let engine = Engine::new(store, EngineOptions::default());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let engine = engine.clone();
        tasks.spawn(async move {
            let actor = crate::model::Actor::local("test");
            engine.submit(&actor, &submission(&hash("one"), &Value::Null)).await.unwrap().run
        });
    }
    let runs: BTreeSet<_> = tasks.join_all().await.into_iter().collect();
    assert_eq!(runs.len(), 1);
}

#[tokio::test]
async fn a_paused_run_hands_out_nothing_and_a_cancelled_one_is_final() {
    let bench = Bench::new(&diamond()).await;
    let a = bench.claim_one().await;
    assert_eq!(bench.engine.pause(&bench.actor, bench.run, "lunch").await.unwrap(), RunState::Paused);
    assert_eq!(bench.succeed(&a).await, Settled::Now(UnitState::Succeeded), "what runs may still be settled");
    assert_eq!(bench.claim(5).await, []);
    assert!(!bench.engine.renew(&bench.guard).await.unwrap());
    assert!(matches!(bench.engine.drive(ORGANIZATION, bench.run).await.unwrap(), Drive::Taken { lost: 0, .. }));
    let b = bench.claim_one().await;
    assert_eq!(bench.engine.cancel(&bench.actor, bench.run, "no more").await.unwrap(), [b.claim.unit]);
    assert_eq!(bench.states().await, "a:succeeded b:cancelled c:cancelled d:cancelled");
    assert_eq!(bench.succeed(&b).await, Settled::Late);
    let error = bench.engine.resume(&bench.actor, bench.run).await.unwrap_err();
    assert_eq!(error.to_string(), format!("run {} is cancelled, it cannot be resumed", bench.run));
}

#[tokio::test]
async fn another_organization_sees_neither_the_run_nor_its_units() {
    let bench = Bench::new(&diamond()).await;
    let unit = bench.claim_one().await;
    let other = database::other_organization(bench.engine.store()).await;
    assert!(matches!(bench.engine.snapshot(other, bench.run).await, Err(EngineError::NoSuchRun { .. })));
    assert!(matches!(bench.engine.drive(other, bench.run).await, Err(EngineError::NoSuchRun { .. })));
    assert_eq!(bench.engine.claim(other, bench.run, 5, Dispatch::Readiness).await.unwrap().units, []);
    assert_eq!(bench.engine.heartbeat(other, &[unit.claim]).await.unwrap(), [unit.claim]);
    let result = UnitResult::Succeeded { artifacts: Vec::new() };
    let stolen = Settlement { claim: unit.claim, result, agent: String::new(), input_hash: None, checks: Vec::new(), log: String::new() };
    assert_eq!(bench.engine.settle(other, stolen).await.unwrap(), Settled::Late);
    assert_eq!(bench.states().await, "a:running b:pending c:pending d:pending");
}

#[tokio::test]
async fn an_outcome_that_cannot_be_written_fails_alone() {
    let bench = Bench::new(&plan(&[("a", 1), ("b", 1)], &[])).await;
    let units = bench.claim(2).await;
    let missing = Artifact { path: "a".to_owned(), sha256: hash("never stored"), size_bytes: 1, executable: false };
    let settlement = |unit: &ClaimedUnit, artifacts| Settlement {
        claim: unit.claim,
        result: UnitResult::Succeeded { artifacts },
        agent: String::new(),
        input_hash: None,
        checks: Vec::new(),
        log: String::new(),
    };
    let (bad, good) = tokio::join!(
        bench.engine.settle(ORGANIZATION, settlement(&units[0], vec![missing])),
        bench.engine.settle(ORGANIZATION, settlement(&units[1], Vec::new())),
    );
    let Err(EngineError::Store(StoreError::Shared(error))) = bad else { panic!("{bad:?}") };
    assert!(error.is_constraint("artifacts_sha256_fkey"), "{error:?}");
    assert_eq!(good.unwrap(), Settled::Now(UnitState::Succeeded));
}

#[tokio::test]
async fn a_thousand_units_in_twenty_layers_run_to_the_end() {
    let names: Vec<String> = (0..1_000).map(|number| format!("u{number}")).collect();
    let units: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let edges: Vec<(&str, &str)> = (50..1_000)
        .flat_map(|number| [7, 11, 13].map(|step| (number, (number / 50 - 1) * 50 + (number * step) % 50)))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|(task, before)| (names[task].as_str(), names[before].as_str()))
        .collect();
    let bench = Bench::new(&plan(&units, &edges)).await;
    let started = Instant::now();
    let mut settled = 0;
    while settled < 1_000 {
        let mut tasks = tokio::task::JoinSet::new();
        for unit in bench.claim(1_000).await {
            let engine = bench.engine.clone();
            let result = UnitResult::Succeeded { artifacts: Vec::new() };
            let settlement =
                Settlement { claim: unit.claim, result, agent: String::new(), input_hash: None, checks: Vec::new(), log: String::new() };
            tasks.spawn(async move { engine.settle(ORGANIZATION, settlement).await.unwrap() });
        }
        for outcome in tasks.join_all().await {
            assert_eq!(outcome, Settled::Now(UnitState::Succeeded));
            settled += 1;
        }
    }
    println!("1,000 units in 20 layers: {} ms", started.elapsed().as_millis());
    assert_eq!(bench.wrong_counters().await, Vec::<String>::new());
    assert_eq!(bench.engine.snapshot(ORGANIZATION, bench.run).await.unwrap().counts, [(UnitState::Succeeded, 1_000)].into());
}

#[tokio::test]
async fn a_wave_waits_for_the_one_before_it_when_waves_are_barriers() {
    // a and b are wave 1, c (behind a) and d (behind b) wave 2, e (behind c) wave 3.
    let mut plan = plan(&[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)], &[("c", "a"), ("d", "b"), ("e", "c")]);
    for (task, wave) in plan.tasks.iter_mut().zip([1, 1, 2, 2, 3]) {
        task.wave = Some(wave);
    }
    let bench = Bench::new(&plan).await;
    let keys = |units: &[ClaimedUnit]| units.iter().map(|unit| unit.key.clone()).collect::<Vec<_>>();
    let first = bench.claim_in_waves(9).await;
    assert_eq!(keys(&first), ["a", "b"]);
    bench.succeed(&first[0]).await;
    assert_eq!(bench.states().await, "a:succeeded b:running c:ready d:pending e:pending");
    assert_eq!(bench.claim_in_waves(9).await, [], "b is still running, so c of the next wave waits");
    bench.fail(&first[1], ErrorClass::Transient).await;
    let again = bench.claim_in_waves(9).await;
    assert_eq!(keys(&again), ["b"], "a second try belongs to its wave");
    bench.settle(&again[0], UnitResult::Waiting { reason: "needs a model".to_owned() }).await;
    let second = bench.claim_in_waves(9).await;
    assert_eq!(keys(&second), ["c"], "d can only wait for somebody's help, and holds up nothing");
    bench.succeed(&second[0]).await;
    assert_eq!(keys(&bench.claim_in_waves(9).await), ["e"]);
}

#[tokio::test]
async fn the_database_learns_the_size_of_its_tables_from_the_first_large_plan() {
    let keys: Vec<String> = (0..300).map(|at| format!("{at:03}")).collect();
    let units: Vec<(&str, u32)> = keys.iter().map(|key| (key.as_str(), 1)).collect();
    let edges: Vec<(&str, &str)> = keys.windows(2).map(|two| (two[1].as_str(), two[0].as_str())).collect();
    let bench = Bench::new(&plan(&units, &edges)).await;
    assert!(!bench.engine.store().analyze_plans().await.unwrap(), "it was looked at when the plan was stored");
}
