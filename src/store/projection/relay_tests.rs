//! Deliveries late, twice, never, out of order and from several processes: what counts is what the tables say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::model::id::LOCAL_ORGANIZATION;
use crate::store::postgres::testing;

const WITHIN: Duration = Duration::from_mins(1);

/// Follows nothing but announcements: which ids it was told of, in which order, and what it was told to refuse.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    changes: Vec<i64>,
    rebuilds: usize,
    away: bool,
    poison: BTreeSet<i64>,
}

impl Recorder {
    fn told(&self) -> Vec<i64> {
        self.0.lock().unwrap().changes.clone()
    }

    fn rebuilds(&self) -> usize {
        self.0.lock().unwrap().rebuilds
    }
}

impl Target for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn aggregates(&self) -> &'static [&'static str] {
        &["test"]
    }

    async fn take_in(&self, changes: &[OutboxRow]) -> Result<(), TargetError> {
        let mut told = self.0.lock().unwrap();
        if told.away {
            return Err(TargetError::away("recorder", "connection refused"));
        }
        let numbers: Vec<i64> = changes.iter().map(|change| change.payload["number"].as_i64().unwrap()).collect();
        if numbers.iter().any(|number| told.poison.contains(number)) {
            return Err(TargetError::Refused("that cannot be stored".to_owned()));
        }
        told.changes.extend(numbers);
        Ok(())
    }

    async fn rebuild(&self) -> Result<Rebuilt, TargetError> {
        let mut told = self.0.lock().unwrap();
        told.rebuilds += 1;
        told.changes.clear();
        Ok(Rebuilt::default())
    }
}

async fn announce(store: &Postgres, numbers: impl IntoIterator<Item = i64>) {
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    for number in numbers {
        let payload = serde_json::json!({ "number": number });
        let change = outbox::Change { aggregate: "test", id: Uuid::now_v7(), version: 1, kind: "test_done", payload: &payload };
        outbox::append(&mut tx, &change).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// A store whose recorder has been built and has nothing to take in.
async fn following() -> (Postgres, Recorder) {
    let (store, recorder) = (testing::store().await, Recorder::default());
    catch_up(&store, &recorder, WITHIN).await.unwrap();
    assert_eq!((recorder.rebuilds(), recorder.told()), (1, vec![]), "a new projection is built from the tables");
    (store, recorder)
}

/// Until everything was told: another test's transaction may be older than ours and hold the horizon back, for it is the cluster's.
async fn until_told(store: &Postgres, recorder: &Recorder, expected: &[i64]) {
    let all = async {
        while recorder.told().len() < expected.len() {
            catch_up(store, recorder, WITHIN).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WITHIN, all).await.unwrap_or_else(|_| panic!("only {:?} was told", recorder.told()));
    assert_eq!(recorder.told(), expected);
}

#[tokio::test]
async fn changes_are_told_once_in_order_and_batches_follow_each_other() {
    let (store, recorder) = following().await;
    let count = i64::from(BATCH_ROWS) * 2 + 7;
    announce(&store, 0..count).await;
    until_told(&store, &recorder, &(0..count).collect::<Vec<_>>()).await;
    assert_eq!(step(&store, &recorder).await.unwrap(), Step::UpToDate);
}

#[tokio::test]
async fn a_transaction_that_stays_open_holds_back_what_is_newer_and_loses_nothing() {
    let (store, recorder) = following().await;
    let mut slow = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let payload = serde_json::json!({ "number": 1 });
    let change = outbox::Change { aggregate: "test", id: Uuid::now_v7(), version: 1, kind: "test_done", payload: &payload };
    outbox::append(&mut slow, &change).await.unwrap();
    announce(&store, [2]).await;
    assert_eq!(step(&store, &recorder).await.unwrap(), Step::UpToDate);
    slow.commit().await.unwrap();
    until_told(&store, &recorder, &[1, 2]).await;
}

#[tokio::test]
async fn a_transaction_in_another_database_of_the_cluster_only_delays() {
    let (store, recorder) = following().await;
    let elsewhere = testing::store().await;
    let mut open = elsewhere.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let payload = serde_json::Value::Null;
    let change = outbox::Change { aggregate: "other", id: Uuid::now_v7(), version: 1, kind: "other_done", payload: &payload };
    outbox::append(&mut open, &change).await.unwrap();
    announce(&store, [1]).await;
    assert_eq!(step(&store, &recorder).await.unwrap(), Step::UpToDate, "the oldest open transaction is the cluster's");
    let mut tx = store.system().await.unwrap();
    assert_eq!(outbox::lag(&mut tx, "recorder", &["test"]).await.unwrap().rows, 1, "and the lag shows it");
    tx.commit().await.unwrap();
    let (_, arrived) = catch_up(&store, &recorder, Duration::from_millis(200)).await.unwrap();
    assert!(!arrived, "whoever waits for the end is told that it was not reached");
    drop(open);
    until_told(&store, &recorder, &[1]).await;
}

#[tokio::test]
async fn while_the_store_is_away_the_cursor_stays() {
    let (store, recorder) = following().await;
    announce(&store, [1, 2]).await;
    recorder.0.lock().unwrap().away = true;
    let refused = async {
        loop {
            if let Err(error) = step(&store, &recorder).await {
                return error;
            }
        }
    };
    assert!(tokio::time::timeout(WITHIN, refused).await.unwrap().is_transient());
    recorder.0.lock().unwrap().away = false;
    until_told(&store, &recorder, &[1, 2]).await;
}

#[tokio::test]
async fn what_is_never_taken_in_is_set_aside_and_the_others_go_on() {
    let (store, recorder) = following().await;
    recorder.0.lock().unwrap().poison = BTreeSet::from([2]);
    announce(&store, [1, 2, 3]).await;
    until_told(&store, &recorder, &[1, 3]).await;
    let mut tx = store.system().await.unwrap();
    let lag = outbox::lag(&mut tx, "recorder", &["test"]).await.unwrap();
    assert_eq!((lag.rows, lag.dead_letters, lag.generation), (0, 1, Some(1)));
    tx.commit().await.unwrap();
    rebuild(&store, &recorder, WITHIN).await.unwrap();
    let mut tx = store.system().await.unwrap();
    let lag = outbox::lag(&mut tx, "recorder", &["test"]).await.unwrap();
    assert_eq!((lag.dead_letters, lag.generation), (0, Some(2)), "what is built anew from the tables lacks nothing");
}

#[tokio::test]
async fn several_processes_at_once_tell_every_change() {
    let (store, recorder) = following().await;
    let numbers: Vec<i64> = (0..200).collect();
    let writers = numbers.iter().map(|number| announce(&store, [*number]));
    let all = async {
        while recorder.told().iter().collect::<BTreeSet<_>>().len() < numbers.len() {
            let steps = futures_util::future::join_all((0..3).map(|_| step(&store, &recorder))).await;
            assert!(steps.into_iter().all(|step| step.is_ok()));
        }
    };
    let everything = futures_util::future::join(futures_util::future::join_all(writers), all);
    tokio::time::timeout(WITHIN, everything).await.unwrap();
    let mut counted: BTreeMap<i64, usize> = BTreeMap::new();
    for number in recorder.told() {
        *counted.entry(number).or_default() += 1;
    }
    assert_eq!(counted.keys().copied().collect::<Vec<_>>(), numbers);
}

#[tokio::test]
async fn another_cluster_and_rows_that_are_gone_mean_a_new_generation() {
    let (store, recorder) = following().await;
    let mut tx = store.system().await.unwrap();
    sqlx::query("update projection_cursors set system_identifier = 'elsewhere'").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(step(&store, &recorder).await.unwrap(), Step::Rebuilt(Rebuilt::default()));

    announce(&store, [1, 2]).await;
    let mut tx = store.system().await.unwrap();
    assert_eq!(outbox::prune(&mut tx, Duration::from_hours(1), Duration::from_hours(1)).await.unwrap(), 0, "neither old nor passed");
    assert!(outbox::prune(&mut tx, Duration::ZERO, Duration::ZERO).await.unwrap() >= 2, "too old, whoever waits for them");
    tx.commit().await.unwrap();
    assert_eq!(step(&store, &recorder).await.unwrap(), Step::Rebuilt(Rebuilt::default()));
    assert_eq!(recorder.rebuilds(), 3);
    announce(&store, [3]).await;
    until_told(&store, &recorder, &[3]).await;
}
