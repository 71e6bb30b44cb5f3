//! One behaviour for every variant of [`Vectors`].

use serde_json::Value;

use super::*;

#[cfg(feature = "qdrant-edge")]
#[path = "../../../tests/standin/mod.rs"]
pub(crate) mod standin;

const DIMENSION: usize = 4;

fn tenant(number: u128) -> OrganizationId {
    OrganizationId(Uuid::from_u128(number))
}

fn point(id: u128, owner: u128, version: i64, vector: [f32; DIMENSION], fields: &[(&'static str, Value)]) -> Point {
    Point { id: Uuid::from_u128(id), tenant: tenant(owner), version, vector: vector.to_vec(), fields: fields.iter().cloned().collect() }
}

async fn found(vectors: &Vectors, vector: [f32; DIMENSION], filter: Filter, threshold: Option<f32>, limit: usize) -> Vec<u128> {
    let search = Search { vector: vector.to_vec(), filter, threshold, limit };
    let hits = vectors.search(Collection::CodePatterns, search).await.unwrap();
    hits.iter().map(|hit| hit.id.as_u128()).collect()
}

/// What every variant must do, on an empty store of four numbers.
async fn exercise(vectors: &Vectors) {
    let all = Filter::of(tenant(1));
    assert_eq!(found(vectors, [1.0, 0.0, 0.0, 0.0], all.clone(), None, 10).await, [0_u128; 0], "empty");

    let python = [("language", Value::from("python")), ("unit_type", Value::from("api")), ("success", Value::from(true))];
    let rust = [("language", Value::from("rust")), ("unit_type", Value::from("api")), ("success", Value::from(false))];
    let points = vec![
        point(1, 1, 1, [2.0, 0.0, 0.0, 0.0], &python),
        point(2, 1, 1, [1.0, 1.0, 0.0, 0.0], &rust),
        point(3, 1, 1, [0.0, 3.0, 0.0, 0.0], &python),
        point(4, 1, 1, [-1.0, 0.0, 0.0, 0.0], &python),
        point(5, 2, 1, [1.0, 0.0, 0.0, 0.0], &python),
    ];
    vectors.upsert(Collection::CodePatterns, points.clone()).await.unwrap();
    nearest_first_whatever_the_length(vectors, &all).await;
    filters_and_limits(vectors, &all).await;
    versions_and_deletion(vectors, points).await;
    bad_vectors_are_refused(vectors).await;
    contents_are_told(vectors).await;
    generations_are_switched_in_one_step(vectors).await;
}

async fn nearest_first_whatever_the_length(vectors: &Vectors, all: &Filter) {
    let search = Search { vector: vec![5.0, 0.0, 0.0, 0.0], filter: all.clone(), threshold: None, limit: 10 };
    let hits = vectors.search(Collection::CodePatterns, search.clone()).await.unwrap();
    let expect = [(1, 1.0), (2, 0.5_f32.sqrt()), (3, 0.0), (4, -1.0)];
    assert_eq!(hits.len(), expect.len(), "{hits:?}");
    for (hit, (id, score)) in hits.iter().zip(expect) {
        assert_eq!(hit.id.as_u128(), id);
        assert!((hit.score - score).abs() < 1e-5, "{hit:?}");
    }
    assert!(vectors.search(Collection::TaskEmbeddings, search).await.unwrap().is_empty(), "collections are apart");
}

async fn filters_and_limits(vectors: &Vectors, all: &Filter) {
    let near = [1.0, 0.0, 0.0, 0.0];
    assert_eq!(found(vectors, near, all.clone(), Some(0.7), 10).await, [1, 2], "threshold");
    assert_eq!(found(vectors, near, all.clone(), None, 1).await, [1], "limit");
    assert_eq!(found(vectors, near, all.clone(), None, 0).await, [0_u128; 0], "limit 0");
    assert_eq!(found(vectors, near, all.clone().language("rust"), None, 10).await, [2]);
    assert_eq!(found(vectors, near, all.clone().language("python").success(true), None, 2).await, [1, 3]);
    assert_eq!(found(vectors, near, all.clone().success(false), None, 10).await, [2]);
    assert_eq!(found(vectors, near, all.clone().unit_type("model"), None, 10).await, [0_u128; 0]);
    assert_eq!(found(vectors, near, all.clone().framework("fastapi"), None, 10).await, [0_u128; 0], "a field that is absent");
    assert_eq!(found(vectors, near, Filter::of(tenant(2)), None, 10).await, [5], "the other tenant");
    assert_eq!(found(vectors, near, Filter::of(tenant(3)), None, 10).await, [0_u128; 0]);
}

async fn versions_and_deletion(vectors: &Vectors, points: Vec<Point>) {
    let near = [0.0, 0.0, 1.0, 0.0];
    let of_one = || Filter::of(tenant(1));
    let newer = point(1, 1, 3, [0.0, 0.0, 2.0, 0.0], &[("language", Value::from("go"))]);
    vectors.upsert(Collection::CodePatterns, vec![newer]).await.unwrap();
    vectors.upsert(Collection::CodePatterns, points).await.unwrap();
    assert_eq!(found(vectors, near, of_one(), Some(0.9), 10).await, [1], "an older version does not come back");
    assert_eq!(found(vectors, near, of_one().language("go"), None, 10).await, [1], "fields change with the version");
    let versions = vectors.versions(Collection::CodePatterns, tenant(1)).await.unwrap();
    let versions: Vec<_> = versions.into_iter().map(|(id, version)| (id.as_u128(), version)).collect();
    assert_eq!(versions, [(1, 3), (2, 1), (3, 1), (4, 1)]);

    let ids = vec![Uuid::from_u128(1), Uuid::from_u128(5), Uuid::from_u128(99)];
    vectors.delete(Collection::CodePatterns, tenant(1), ids).await.unwrap();
    assert_eq!(vectors.versions(Collection::CodePatterns, tenant(1)).await.unwrap().len(), 3);
    assert_eq!(found(vectors, near, Filter::of(tenant(2)), None, 10).await, [5], "another tenant's point stays");

    let many = (100..=100 + 2 * BATCH_POINTS as u128).map(|id| point(id, 4, 1, [1.0, 0.0, 0.0, 0.0], &[])).collect();
    vectors.upsert(Collection::CodePatterns, many).await.unwrap();
    assert_eq!(vectors.versions(Collection::CodePatterns, tenant(4)).await.unwrap().len(), 2 * BATCH_POINTS + 1);
}

async fn bad_vectors_are_refused(vectors: &Vectors) {
    let short = Point { vector: vec![1.0], ..point(7, 1, 1, [0.0; DIMENSION], &[]) };
    let result = vectors.upsert(Collection::CodePatterns, vec![short]).await;
    assert!(matches!(result, Err(VectorsError::Dimension { expected: 4, found: 1 })), "{result:?}");
    let result = vectors.upsert(Collection::CodePatterns, vec![point(7, 1, 1, [f32::NAN, 0.0, 0.0, 0.0], &[])]).await;
    assert!(matches!(result, Err(VectorsError::NotFinite)), "{result:?}");
    let search = Search { vector: vec![f32::INFINITY; DIMENSION], filter: Filter::of(tenant(1)), threshold: None, limit: 1 };
    assert!(matches!(vectors.search(Collection::CodePatterns, search).await, Err(VectorsError::NotFinite)));
}

async fn contents_are_told(vectors: &Vectors) {
    let all = [
        point(1, 6, 2, [3.0, -4.0, 0.1, 0.0], &[("language", Value::from("python")), ("success", Value::from(true))]),
        point(2, 6, 1, [0.5, 0.5, 0.5, 0.5], &[]),
    ];
    vectors.upsert(Collection::SuccessPatterns, all.to_vec()).await.unwrap();
    let contents = vectors.contents(Collection::SuccessPatterns, tenant(6)).await.unwrap();
    assert_eq!(contents, all.iter().map(|point| (point.id, point.content())).collect());
    assert_eq!(vectors.count(Collection::SuccessPatterns, tenant(6)).await.unwrap(), 2);
    let others = [
        Point { version: 3, ..all[0].clone() },
        Point { vector: vec![3.0, -4.0, 0.2, 0.0], ..all[0].clone() },
        Point { fields: BTreeMap::new(), ..all[0].clone() },
    ];
    assert!(others.iter().all(|other| other.content() != all[0].content()));
}

async fn generations_are_switched_in_one_step(vectors: &Vectors) {
    let near = [1.0, 0.0, 0.0, 0.0];
    let one = |id| vec![point(id, 7, 1, near, &[])];
    vectors.upsert(Collection::CodePatterns, one(1)).await.unwrap();
    let (_, old) = vectors.generations().await.unwrap();
    let new = vectors.begin_generation().await.unwrap();
    assert_eq!(vectors.generations().await.unwrap(), (vec![old, new], old));
    vectors.upsert_into(new, Collection::CodePatterns, one(2)).await.unwrap();
    assert_eq!(found(vectors, near, Filter::of(tenant(7)), None, 10).await, [1], "it does not serve yet");
    assert!(vectors.drop_generation(old).await.is_err(), "what serves stays");
    assert!(vectors.switch_generation(new + 1).await.is_err(), "what is not there does not serve");

    vectors.switch_generation(new).await.unwrap();
    assert_eq!(found(vectors, near, Filter::of(tenant(7)), None, 10).await, [2]);
    vectors.upsert(Collection::CodePatterns, one(3)).await.unwrap();
    vectors.drop_generation(old).await.unwrap();
    vectors.drop_generation(old).await.unwrap();
    assert_eq!(vectors.generations().await.unwrap(), (vec![new], new));
    assert_eq!(found(vectors, near, Filter::of(tenant(7)), None, 10).await, [2, 3]);
    assert!(vectors.upsert_into(old, Collection::CodePatterns, one(4)).await.is_err());
}

fn generation() -> Generation {
    Generation { model_id: "test/model-v1".to_owned(), dimension: DIMENSION }
}

#[tokio::test]
async fn exact_conforms() {
    exercise(&Vectors::exact(DIMENSION)).await;
}

#[tokio::test]
async fn what_cannot_be_opened_serves_exactly() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (vectors, status) = Vectors::open(file.path(), &generation()).await;
    assert_eq!(status.mode, "exact", "{status:?}");
    exercise(&vectors).await;
}

#[cfg(feature = "qdrant-edge")]
mod edge {
    use super::*;

    #[tokio::test]
    async fn edge_conforms() {
        let directory = tempfile::tempdir().unwrap();
        let (vectors, status) = Vectors::open(directory.path(), &generation()).await;
        assert_eq!(status.mode, "qdrant-edge", "{status:?}");
        exercise(&vectors).await;
    }

    #[tokio::test]
    async fn a_second_holder_compares_exactly_and_the_shard_is_free_again_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let (first, _) = Vectors::open(directory.path(), &generation()).await;
        let (second, status) = Vectors::open(directory.path(), &generation()).await;
        assert_eq!(status.mode, "exact");
        assert!(status.reason.contains("another process"), "{}", status.reason);
        exercise(&second).await;
        let kept = point(1, 1, 1, [1.0, 0.0, 0.0, 0.0], &[]);
        first.upsert(Collection::CodePatterns, vec![kept]).await.unwrap();
        first.flush().await.unwrap();
        drop(first);
        let (third, status) = Vectors::open(directory.path(), &generation()).await;
        assert_eq!(status.mode, "qdrant-edge", "{status:?}");
        assert_eq!(found(&third, [1.0, 0.0, 0.0, 0.0], Filter::of(tenant(1)), None, 10).await, [1], "kept on disk");
    }

    #[tokio::test]
    async fn a_damaged_shard_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (vectors, _) = Vectors::open(directory.path(), &generation()).await;
        vectors.upsert(Collection::CodePatterns, vec![point(1, 1, 1, [1.0, 0.0, 0.0, 0.0], &[])]).await.unwrap();
        drop(vectors);
        let shard = directory.path().join("test_model-v1/generation-1").join(Collection::CodePatterns.name());
        for entry in std::fs::read_dir(shard.join("segments")).unwrap() {
            std::fs::write(entry.unwrap().path().join("segment.json"), "{").unwrap();
        }
        let (vectors, status) = Vectors::open(directory.path(), &generation()).await;
        assert_eq!(status.mode, "qdrant-edge", "{status:?}");
        exercise(&vectors).await;
    }

    #[tokio::test]
    async fn the_generation_that_serves_is_remembered_and_what_was_left_behind_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (vectors, _) = Vectors::open(directory.path(), &generation()).await;
        let new = vectors.begin_generation().await.unwrap();
        vectors.upsert_into(new, Collection::CodePatterns, vec![point(1, 1, 1, [1.0, 0.0, 0.0, 0.0], &[])]).await.unwrap();
        vectors.switch_generation(new).await.unwrap();
        vectors.flush().await.unwrap();
        drop(vectors);
        let (vectors, _) = Vectors::open(directory.path(), &generation()).await;
        assert_eq!(vectors.generations().await.unwrap(), (vec![new], new));
        assert_eq!(found(&vectors, [1.0, 0.0, 0.0, 0.0], Filter::of(tenant(1)), None, 10).await, [1]);
        assert!(!directory.path().join("test_model-v1/generation-1").exists());
    }

    #[tokio::test]
    async fn another_generation_is_another_collection() {
        let directory = tempfile::tempdir().unwrap();
        let (vectors, _) = Vectors::open(directory.path(), &generation()).await;
        vectors.upsert(Collection::CodePatterns, vec![point(1, 1, 1, [1.0, 0.0, 0.0, 0.0], &[])]).await.unwrap();
        let other = Generation { model_id: "other".to_owned(), dimension: 2 };
        let (vectors, status) = Vectors::open(directory.path(), &other).await;
        assert_eq!((status.mode, vectors.dimension()), ("qdrant-edge", 2));
        assert!(vectors.versions(Collection::CodePatterns, tenant(1)).await.unwrap().is_empty());
    }
}

/// Against a server: the stand-in always, a real one where one is named.
#[cfg(feature = "qdrant-edge")]
mod server {
    use super::standin::StandIn;
    use super::*;
    use crate::config::{Config, VectorsServer};
    use crate::store::breaker::Position;
    use crate::store::testing;

    const THRESHOLDS: Thresholds = Thresholds { failures: 3, open: Duration::from_mins(1) };

    fn settings(url: &str, key: &str) -> VectorsServer {
        let flags = [("vectors.url", url.into()), ("vectors.api_key", key.into())];
        Config::load(&flags).unwrap().vectors.unwrap()
    }

    /// A model of each test's own, for tests share a real server.
    fn own() -> Generation {
        Generation { model_id: format!("test/{}", Uuid::now_v7()), dimension: DIMENSION }
    }

    fn connected(url: &str, key: &str, generation: &Generation) -> Vectors {
        Vectors::server(&settings(url, key), generation, THRESHOLDS).unwrap().0
    }

    fn standin(server: &StandIn, generation: &Generation) -> Vectors {
        connected(&format!("http://{}", server.address()), "", generation)
    }

    #[tokio::test]
    async fn the_standin_conforms() {
        exercise(&standin(&StandIn::start(None), &own())).await;
    }

    #[tokio::test]
    async fn a_real_server_conforms() {
        // No package of the server exists for the machines that test by default.
        let Some(url) = testing::server_that_may_lack("SPECWAVE_TEST_QDRANT_URL") else { return };
        let vectors = connected(&url, &testing::detail("SPECWAVE_TEST_QDRANT_API_KEY"), &own());
        exercise(&vectors).await;
        assert!(!vectors.info().await.unwrap().unwrap().version.is_empty());
    }

    #[tokio::test]
    async fn processes_that_start_at_once_share_one_set_of_collections() {
        let (server, generation) = (StandIn::start(None), own());
        let all: Vec<Vectors> = (0..4).map(|_| standin(&server, &generation)).collect();
        let write = async |number: u128| {
            let vectors = &all[usize::try_from(number).unwrap()];
            vectors.upsert(Collection::CodePatterns, vec![point(number, 1, 1, [1.0, 0.0, 0.0, 0.0], &[])]).await.unwrap();
        };
        tokio::join!(write(0), write(1), write(2), write(3));
        for vectors in &all {
            assert_eq!(found(vectors, [1.0, 0.0, 0.0, 0.0], Filter::of(tenant(1)), None, 10).await, [0, 1, 2, 3]);
            assert_eq!(vectors.generations().await.unwrap(), (vec![1], 1));
        }
        all[0].begin_generation().await.unwrap();
        all[0].switch_generation(2).await.unwrap();
        assert_eq!(found(&all[1], [1.0, 0.0, 0.0, 0.0], Filter::of(tenant(1)), None, 10).await, [0_u128; 0], "all follow the switch");
    }

    #[tokio::test]
    async fn a_key_is_carried_and_a_wrong_one_is_an_outage_that_names_itself() {
        let server = StandIn::start(Some("right-key"));
        let (url, generation) = (format!("http://{}", server.address()), own());
        exercise(&connected(&url, "right-key", &generation)).await;
        let vectors = connected(&url, "wrong-key", &generation);
        let error = vectors.count(Collection::CodePatterns, tenant(1)).await.unwrap_err().to_string();
        assert!(error.contains("Invalid API key") && !error.contains("wrong-key"), "{error}");
        assert!(!format!("{vectors:?}").contains("wrong-key"));
        assert_eq!(vectors.breaker().unwrap().outages().len(), 1);
    }

    #[tokio::test]
    async fn nobody_there_is_told_at_once_and_after_three_calls_not_asked_any_more() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let vectors = connected(&format!("http://{free}"), "", &own());
        for _ in 0..3 {
            let error = vectors.count(Collection::CodePatterns, tenant(1)).await.unwrap_err();
            assert!(matches!(error, VectorsError::Engine { .. }), "{error}");
        }
        let error = vectors.count(Collection::CodePatterns, tenant(1)).await.unwrap_err();
        assert!(matches!(error, VectorsError::LeftAlone { .. }), "{error}");
        assert_eq!((vectors.breaker().unwrap().position(), vectors.failures()), (Position::Open, 3));
    }

    #[tokio::test]
    async fn addresses_that_are_none_are_refused() {
        for url in ["localhost:6334", "grpc://localhost", "http://user:secret@localhost:6334", "http://"] {
            let result = Vectors::server(&settings(url, ""), &own(), THRESHOLDS);
            assert!(matches!(&result, Err(VectorsError::Address { reason }) if !reason.contains("secret")), "{url}: {result:?}");
        }
    }
}
