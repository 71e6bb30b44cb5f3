//! One behaviour for every variant of [`Vectors`].

use super::*;

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
        let shard = directory.path().join("test_model-v1").join(Collection::CodePatterns.name());
        for entry in std::fs::read_dir(shard.join("segments")).unwrap() {
            std::fs::write(entry.unwrap().path().join("segment.json"), "{").unwrap();
        }
        let (vectors, status) = Vectors::open(directory.path(), &generation()).await;
        assert_eq!(status.mode, "qdrant-edge", "{status:?}");
        exercise(&vectors).await;
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
