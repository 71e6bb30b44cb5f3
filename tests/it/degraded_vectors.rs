//! A vector server that fails in every way that a network allows: whoever asks is told within the deadline, the failure is named, the
//! server is left alone and, once it answers, used again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use specwave::config::Config;
use specwave::model::OrganizationId;
use specwave::store::breaker::{Position, Thresholds};
use specwave::store::vectors::{Collection, Filter, Generation, Point, Search, Vectors, VectorsError};
use uuid::Uuid;

use crate::proxy::{Mode, Proxy};
use crate::standin::StandIn;

/// Far more than three deadlines of 500 ms, on a loaded machine; far less than waiting and trying again would take.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// Half-open at once: the next call is the one that tries.
const THRESHOLDS: Thresholds = Thresholds { failures: 3, open: Duration::ZERO };

struct Behind {
    vectors: Vectors,
    proxy: Proxy,
    tenant: OrganizationId,
    _server: StandIn,
}

impl Behind {
    fn proxy() -> Self {
        let server = StandIn::start(None);
        let proxy = Proxy::start(&server.address());
        let config = Config::load(&[("vectors.url", format!("http://{}", proxy.address()).into())]).unwrap();
        let generation = Generation { model_id: "test".to_owned(), dimension: 2 };
        let (vectors, status) = Vectors::server(&config.vectors.unwrap(), &generation, THRESHOLDS).unwrap();
        assert_eq!(status.mode, "qdrant");
        Self { vectors, proxy, tenant: OrganizationId::new(), _server: server }
    }

    async fn learn(&self, id: u128) -> Result<(), VectorsError> {
        let point = Point { id: Uuid::from_u128(id), tenant: self.tenant, version: 1, vector: vec![1.0, 0.0], fields: BTreeMap::new() };
        self.vectors.upsert(Collection::CodePatterns, vec![point]).await
    }

    async fn search(&self) -> Result<usize, VectorsError> {
        let search = Search { vector: vec![1.0, 0.0], filter: Filter::of(self.tenant), threshold: None, limit: 10 };
        Ok(self.vectors.search(Collection::CodePatterns, search).await?.len())
    }
}

async fn fails_and_recovers(mode: Mode) {
    let behind = Behind::proxy();
    behind.learn(1).await.unwrap();
    assert_eq!(behind.search().await.unwrap(), 1);

    behind.proxy.set(mode);
    let started = Instant::now();
    for _ in 0..3 {
        behind.search().await.unwrap_err();
    }
    assert!(started.elapsed() < ANSWER_MAX, "{mode:?}: {:?}", started.elapsed());
    let breaker = behind.vectors.breaker().unwrap();
    assert_eq!((breaker.position(), behind.vectors.failures()), (Position::HalfOpen, 3), "{mode:?}");
    let [outage] = &breaker.outages()[..] else { panic!("{:?}", breaker.outages()) };
    assert!(outage.store == "vectors" && outage.ended_at.is_none() && !outage.reason.is_empty(), "{outage:?}");

    behind.proxy.set(Mode::Pass);
    assert_eq!(behind.search().await.unwrap(), 1, "{mode:?}: the server is asked again");
    behind.learn(2).await.unwrap();
    assert_eq!(behind.search().await.unwrap(), 2);
    assert!(breaker.position() == Position::Closed && breaker.outages()[0].ended_at.is_some());
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
    fails_and_recovers(Mode::Slow(Duration::from_secs(2))).await;
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
    let behind = Behind::proxy();
    behind.proxy.set(Mode::Refuse);
    behind.learn(1).await.unwrap_err();
    behind.search().await.unwrap_err();
    behind.proxy.set(Mode::Pass);
    behind.learn(1).await.unwrap();
    assert_eq!(behind.search().await.unwrap(), 1);
}
