//! A cache server that fails in every way that a network allows: whoever asks gets what it asked for, in bounded time, the failures are
//! counted, and the server is used again as soon as it answers.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use specwave::model::OrganizationId;
use specwave::store::breaker::{Position, Thresholds};
use specwave::store::cache::{Cache, Key};

use crate::proxy::{Mode, Proxy};
use crate::services;

/// Far more than three deadlines of 50 ms; far less than any default of a client library that waits and tries again.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How long a server that is well may take to show it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Half-open at once: the next call is the one that tries.
const THRESHOLDS: Thresholds = Thresholds { failures: 3, open: Duration::ZERO };

struct Behind {
    cache: Cache,
    proxy: Proxy,
    tenant: OrganizationId,
}

impl Behind {
    fn proxy() -> Option<Self> {
        let url = services::server("SPECWAVE_TEST_REDIS_URL")?;
        let (before, server) = url.rsplit_once('@').or_else(|| url.split_once("://")).unwrap();
        let proxy = Proxy::start(server.split('/').next().unwrap());
        let separator = if before.contains("://") { "@" } else { "://" };
        let tenant = OrganizationId::new();
        let cache = Cache::redis(&format!("{before}{separator}{}", proxy.address()), &tenant.to_string(), THRESHOLDS).unwrap();
        Some(Self { cache, proxy, tenant })
    }

    async fn get(&self, version: &str, value: &str) -> String {
        let key = Key { tenant: self.tenant, task: "model/book".to_owned(), level: "standard", content_version: version.to_owned() };
        let bytes = self.cache.get_or_make(key, async { Ok::<_, Infallible>(value.as_bytes().to_vec()) }).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// Until the server gives that entry back: on a busy machine a healthy one misses a deadline too.
    async fn until_kept(&self, version: &str, value: &str) {
        let before = self.cache.stats().hits;
        let kept = async {
            while self.cache.stats().hits == before {
                assert_eq!(self.get(version, value).await, value);
            }
        };
        tokio::time::timeout(PATIENCE, kept).await.expect("the server keeps it");
    }
}

async fn fails_and_recovers(mode: Mode) {
    let Some(behind) = Behind::proxy() else { return };
    behind.until_kept("1", "one").await;
    let before = behind.cache.stats();

    behind.proxy.set(mode);
    let started = Instant::now();
    for round in 0..3 {
        assert_eq!(behind.get("1", "made").await, "made", "{mode:?}, round {round}");
    }
    assert!(started.elapsed() < ANSWER_MAX, "{mode:?}: {:?}", started.elapsed());
    let stats = behind.cache.stats();
    let (reads, writes) = (stats.reads_failed - before.reads_failed, stats.writes_failed - before.writes_failed);
    assert!(reads == 3 && writes >= 2, "{mode:?}: {before:?}, then {stats:?}");
    let breaker = behind.cache.breaker().unwrap();
    assert_eq!(breaker.position(), Position::HalfOpen, "{mode:?}");
    let outages = breaker.outages();
    let outage = outages.last().unwrap();
    assert!(outage.store == "cache" && outage.ended_at.is_none() && !outage.reason.is_empty(), "{outage:?}");

    behind.proxy.set(Mode::Pass);
    behind.until_kept("1", "one").await;
    assert_eq!(breaker.position(), Position::Closed, "{mode:?}: the server is asked again");
    assert!(breaker.outages().iter().all(|outage| outage.ended_at.is_some()));
    behind.cache.clear().await.unwrap();
}

#[tokio::test]
async fn a_server_that_refuses() {
    fails_and_recovers(Mode::Refuse).await;
}

#[tokio::test]
async fn a_server_that_hangs() {
    fails_and_recovers(Mode::Hang).await;
}

#[tokio::test]
async fn a_server_that_is_slower_than_the_deadline() {
    fails_and_recovers(Mode::Slow(Duration::from_secs(1))).await;
}

#[tokio::test]
async fn a_server_that_closes_half_of_each_connection() {
    fails_and_recovers(Mode::HalfClose).await;
}

#[tokio::test]
async fn a_server_that_resets_each_connection() {
    fails_and_recovers(Mode::Reset).await;
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_used_once_it_is_up() {
    let Some(behind) = Behind::proxy() else { return };
    behind.proxy.set(Mode::Refuse);
    assert_eq!(behind.get("1", "one").await, "one");
    behind.proxy.set(Mode::Pass);
    behind.until_kept("2", "two").await;
    assert_eq!(behind.cache.stats().hits, 1);
    assert!(behind.proxy.connections() > 0);
    behind.cache.clear().await.unwrap();
}
