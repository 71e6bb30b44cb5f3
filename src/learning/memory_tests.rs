//! Learning, finding and forgetting, over real stores.

use std::sync::Arc;
use std::time::Duration;

use super::trial::Standing;
use super::{Advised, Follower, Learned, Memory, Query};
use crate::embed::{Embedder, Lexical};
use crate::model::id::LOCAL_ORGANIZATION;
use crate::model::{Actor, Pattern, PatternId, PatternKind, RunId};
use crate::store::postgres::{Postgres, audit, patterns, testing};
use crate::store::vectors::{Collection, Generation, Vectors};

const HALF_LIFE: Duration = Duration::from_hours(24 * 90);

fn pattern(kind: PatternKind, text: &str, success: bool) -> Pattern {
    Pattern {
        id: PatternId(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, text.as_bytes())),
        kind,
        title: text.to_owned(),
        text: text.to_owned(),
        code: "def f(): ...".to_owned(),
        language: "python".to_owned(),
        framework: "FastAPI".to_owned(),
        unit_type: "api".to_owned(),
        spec_type: "markdown".to_owned(),
        success,
        run: RunId(uuid::Uuid::from_u128(1)),
        unit_key: "router/books".to_owned(),
        evidence: vec!["probe".to_owned()],
    }
}

fn three() -> [Pattern; 3] {
    [
        pattern(PatternKind::Code, "Paginated list endpoint with filter: GET /books", true),
        pattern(PatternKind::Code, "Delete endpoint: DELETE /books/{id}", false),
        pattern(PatternKind::Task, "Model of a book", true),
    ]
}

async fn memory(postgres: &Postgres, directory: &std::path::Path) -> Memory {
    let embedder = Arc::new(Lexical);
    let generation = Generation { model_id: embedder.model_id(), dimension: embedder.dimension() };
    let (vectors, _) = Vectors::open(directory, &generation).await;
    Memory {
        tenant: LOCAL_ORGANIZATION,
        postgres: postgres.clone(),
        embedder,
        vectors,
        follower: Follower::default(),
        half_life: HALF_LIFE,
    }
}

async fn titles(memory: &Memory, query: Query) -> Vec<String> {
    memory.search(&query).await.unwrap().into_iter().map(|hit| hit.pattern.title).collect()
}

#[tokio::test]
async fn what_was_learned_is_found_once_with_score_and_embedder() {
    let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
    let memory = memory(&postgres, directory.path()).await;
    assert_eq!(memory.learn(&three()).await.unwrap(), Learned { new: 3, known: 0, warnings: 1 });
    assert_eq!(memory.learn(&three()).await.unwrap(), Learned { new: 0, known: 3, warnings: 1 });
    let hits = memory.search(&Query::of("paginated list endpoint with filter")).await.unwrap();
    assert_eq!(hits.len(), 3);
    assert_eq!(hits[0].pattern, three()[0]);
    assert_eq!(hits[0].embedder, "lexical-ngram-v1");
    assert!(hits[0].score > 0.5 && hits.is_sorted_by(|left, right| left.score >= right.score), "{hits:?}");
}

#[tokio::test]
async fn a_unit_is_told_what_is_similar_and_what_failed() {
    let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
    let memory = memory(&postgres, directory.path()).await;
    memory.learn(&three()).await.unwrap();
    let told = async |work: &str| {
        let hits = memory.for_unit(work, "python", "FastAPI", Standing::Candidate).await.unwrap();
        hits.into_iter().map(|hit| (hit.pattern.title, hit.pattern.success)).collect::<Vec<_>>()
    };
    let [list, delete, _] = three();
    assert_eq!(told("Paginated list endpoint with filter").await, [(list.title, true)]);
    assert_eq!(told("Delete endpoint: DELETE /authors/{id}").await, [(delete.title, false)]);
    assert_eq!(told("Dockerfile").await, []);
}

/// What is told of one thing that worked, by two runs, and failed.
#[tokio::test]
async fn of_what_contradicts_itself_the_better_supported_is_told() {
    let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
    let memory = memory(&postgres, directory.path()).await;
    let words = "Paginated list endpoint with filter";
    let run = |number: u128| RunId(uuid::Uuid::from_u128(number));
    let worked = pattern(PatternKind::Code, words, true);
    let failed = pattern(PatternKind::Code, &format!("{words} Failed the check probe: no page"), false);
    let elsewhere = pattern(PatternKind::Code, "Delete endpoint Failed the check probe: no page", false);
    let told = async || {
        let hits = memory.for_unit(words, "python", "FastAPI", Standing::Candidate).await.unwrap();
        hits.into_iter().map(|hit| hit.pattern.id).collect::<Vec<_>>()
    };
    let lost = async |id: PatternId| {
        let mut tx = postgres.tenant(LOCAL_ORGANIZATION).await.unwrap();
        Advised::of(&mut tx, &[id], HALF_LIFE).await.unwrap().lost(id).map(|one| one.winner)
    };
    memory.learn(&[worked.clone(), failed.clone()]).await.unwrap();
    memory.learn(&[Pattern { run: run(2), ..worked.clone() }]).await.unwrap();
    assert_eq!((told().await, lost(failed.id).await, lost(worked.id).await), (vec![worked.id], Some(worked.id), None));
    // The same run again proves nothing more; other runs do.
    for _ in 0..3 {
        memory.learn(std::slice::from_ref(&failed)).await.unwrap();
    }
    assert_eq!(told().await, [worked.id]);
    for number in 3..6 {
        memory.learn(&[Pattern { run: run(number), ..failed.clone() }]).await.unwrap();
    }
    assert_eq!((told().await, lost(failed.id).await, lost(worked.id).await), (vec![failed.id], None, Some(failed.id)));
    // What failed at something else contradicts nothing.
    memory.learn(std::slice::from_ref(&elsewhere)).await.unwrap();
    assert_eq!(lost(elsewhere.id).await, None);
}

#[tokio::test]
async fn what_was_confirmed_long_ago_gives_way_and_comes_back_when_it_is_confirmed() {
    let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
    let memory = memory(&postgres, directory.path()).await;
    let nearest = pattern(PatternKind::Code, "Paginated list endpoint with filter", true);
    let near = pattern(PatternKind::Code, "Paginated list endpoint with filters", true);
    let told = async || {
        let hits = memory.for_unit("Paginated list endpoint with filter", "python", "FastAPI", Standing::Candidate).await.unwrap();
        hits.into_iter().map(|hit| hit.pattern.id).collect::<Vec<_>>()
    };
    memory.learn(&[nearest.clone(), near.clone()]).await.unwrap();
    assert_eq!(told().await, [nearest.id, near.id]);
    testing::verified_before(&postgres, nearest.id, 4 * HALF_LIFE).await;
    assert_eq!(told().await, [near.id, nearest.id]);
    memory.learn(&[Pattern { run: RunId(uuid::Uuid::from_u128(2)), ..nearest.clone() }]).await.unwrap();
    assert_eq!(told().await, [nearest.id, near.id]);
}

#[tokio::test]
async fn restrictions_hold() {
    let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
    let memory = memory(&postgres, directory.path()).await;
    memory.learn(&three()).await.unwrap();
    let query = || Query::of("endpoint of books");
    assert_eq!(titles(&memory, Query { kinds: vec![PatternKind::Task], ..query() }).await, ["Model of a book"]);
    assert_eq!(titles(&memory, Query { success: Some(false), ..query() }).await, ["Delete endpoint: DELETE /books/{id}"]);
    assert_eq!(titles(&memory, Query { limit: 1, ..query() }).await.len(), 1);
    assert_eq!(titles(&memory, Query { language: Some("rust".to_owned()), ..query() }).await.len(), 0);
    assert_eq!(titles(&memory, Query { threshold: Some(1.0), ..query() }).await.len(), 0);
}

/// Two handles on one directory, as two processes have them: whoever learns, the other one finds it.
#[tokio::test]
async fn processes_on_one_directory_learn_from_each_other() {
    let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
    let (first, second) = (memory(&postgres, directory.path()).await, memory(&postgres, directory.path()).await);
    let [one, two, three] = three();
    first.learn(&[one]).await.unwrap();
    assert_eq!(titles(&second, Query::of("endpoint")).await.len(), 1);
    second.learn(&[two, three]).await.unwrap();
    assert_eq!(titles(&first, Query::of("endpoint")).await.len(), 3);
    drop(first);
    let third = memory(&postgres, directory.path()).await;
    assert_eq!(titles(&third, Query::of("endpoint")).await.len(), 3);
}

#[tokio::test]
async fn a_lost_vector_store_is_filled_again() {
    let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
    memory(&postgres, directory.path()).await.learn(&three()).await.unwrap();
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(titles(&memory(&postgres, empty.path()).await, Query::of("endpoint")).await.len(), 3);
}

#[tokio::test]
async fn another_organization_finds_nothing_of_it() {
    let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
    let own = memory(&postgres, directory.path()).await;
    own.learn(&three()).await.unwrap();
    let other = Memory { tenant: testing::other_organization(&postgres).await, ..own };
    assert_eq!(titles(&other, Query::of("endpoint")).await.len(), 0);
}

#[tokio::test]
async fn what_is_taken_over_from_elsewhere_is_found_and_leaves_alone_what_is_known() {
    let (postgres, dir) = (testing::store().await, tempfile::tempdir().unwrap());
    let memory = memory(&postgres, dir.path()).await;
    let known = pattern(PatternKind::Code, "Delete endpoint: DELETE /books/{id}", false);
    memory.learn(std::slice::from_ref(&known)).await.unwrap();
    let elsewhere = RunId(uuid::Uuid::from_u128(2));
    let foreign: Vec<Pattern> = three().into_iter().map(|pattern| Pattern { run: elsewhere, ..pattern }).collect();
    let actor = Actor { organization: LOCAL_ORGANIZATION, name: "ada".to_owned() };
    let imported = memory.import(&actor, &foreign).await.unwrap();
    assert_eq!((imported.new, imported.known), (2, 1));
    let again = memory.import(&actor, &foreign).await.unwrap();
    assert_eq!((again.new, again.known), (0, 3));
    assert!(titles(&memory, Query::of("Model of a book")).await.contains(&"Model of a book".to_owned()));
    let mut tx = postgres.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let row = patterns::find(&mut tx, &[known.id]).await.unwrap().pop().unwrap();
    assert_eq!((row.pattern.run, row.version), (known.run, 1), "nobody here has verified it again");
    let log = audit::of_subject(&mut tx, "patterns").await.unwrap();
    assert_eq!(log.len(), 2);
}

/// What another process learned in a transaction that was open while this one compared everything.
#[tokio::test]
async fn a_change_that_commits_late_is_not_missed() {
    let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
    let memory = memory(&postgres, directory.path()).await;
    let [late, early, other] = three();
    let mut tx = postgres.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let vector = Lexical.embed(vec![late.text.clone()]).await.unwrap().remove(0);
    patterns::store(&mut tx, &late, &Lexical.model_id(), &vector).await.unwrap();

    memory.learn(&[early]).await.unwrap();
    assert_eq!(titles(&memory, Query::of("endpoint")).await.len(), 1, "compared");
    memory.learn(&[other]).await.unwrap();
    assert_eq!(titles(&memory, Query::of("endpoint")).await.len(), 2, "followed");
    tx.commit().await.unwrap();
    assert_eq!(titles(&memory, Query::of("endpoint")).await.len(), 3);
    assert_eq!(titles(&memory, Query::of("endpoint")).await.len(), 3);
}

#[tokio::test]
async fn what_was_learned_again_is_found_as_it_is_now() {
    let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
    let (first, second) = (memory(&postgres, directory.path()).await, memory(&postgres, directory.path()).await);
    let [list, ..] = three();
    first.learn(std::slice::from_ref(&list)).await.unwrap();
    let failed = || Query { success: Some(false), ..Query::of("endpoint") };
    assert_eq!(titles(&second, failed()).await.len(), 0);
    first.learn(&[Pattern { success: false, ..list }]).await.unwrap();
    assert_eq!(titles(&second, failed()).await.len(), 1);
}

#[tokio::test]
async fn a_pattern_that_another_process_forgot_takes_no_place_among_the_hits() {
    let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
    let (first, second) = (memory(&postgres, directory.path()).await, memory(&postgres, directory.path()).await);
    first.learn(&three()).await.unwrap();
    let nearest = || Query { limit: 1, ..Query::of("Paginated list endpoint with filter: GET /books") };
    let [list, delete, model] = three();
    assert_eq!(titles(&second, nearest()).await.as_slice(), std::slice::from_ref(&list.title));
    let forgotten = first.forget(&Actor::local("ada"), list.id).await.unwrap();
    assert_eq!(forgotten.as_ref(), Some(&list));
    assert_eq!(first.forget(&Actor::local("ada"), list.id).await.unwrap(), None);
    assert_eq!(titles(&second, nearest()).await.len(), 1, "the next one takes its place");
    let mut left = titles(&second, Query::of("anything")).await;
    left.sort();
    assert_eq!(left, [delete.title, model.title]);

    let mut tx = postgres.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let audited = audit::of_subject(&mut tx, &format!("pattern:{}", list.id)).await.unwrap();
    let told: Vec<_> =
        audited.iter().map(|row| (row.actor.as_str(), row.action.as_str(), row.before.as_ref().unwrap()["title"].clone())).collect();
    assert_eq!(told, [("user:ada", "pattern.delete", list.title.clone().into())]);
    tx.commit().await.unwrap();
    assert_eq!(first.learn(&[list]).await.unwrap().new, 1, "it may be learned again");
    assert_eq!(titles(&first, nearest()).await.len(), 1);
}

#[tokio::test]
async fn what_another_embedder_saw_is_embedded_when_it_is_searched() {
    let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
    let memory = memory(&postgres, directory.path()).await;
    assert_eq!(titles(&memory, Query::of("endpoint")).await.len(), 0, "compared");
    let mut tx = postgres.tenant(LOCAL_ORGANIZATION).await.unwrap();
    for pattern in three() {
        patterns::store(&mut tx, &pattern, "another", &[1.0, 0.0]).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(titles(&memory, Query::of("endpoint")).await.len(), 3);
}

/// Against the stand-in for a server.
#[cfg(feature = "qdrant-edge")]
mod server {
    use std::time::Duration;

    use super::*;
    use crate::config::Config;
    use crate::store::breaker::Thresholds;

    fn memory(postgres: &Postgres, url: &str) -> Memory {
        let config = Config::load(&[("vectors.url", url.into())]).unwrap();
        let generation = Generation { model_id: Lexical.model_id(), dimension: Lexical.dimension() };
        let thresholds = Thresholds { failures: 3, open: Duration::ZERO };
        let (vectors, _) = Vectors::server(&config.vectors.unwrap(), &generation, thresholds).unwrap();
        let (postgres, embedder) = (postgres.clone(), Arc::new(Lexical));
        Memory { tenant: LOCAL_ORGANIZATION, postgres, embedder, vectors, follower: Follower::default(), half_life: HALF_LIFE }
    }

    #[tokio::test]
    async fn processes_share_a_server_and_compare_rows_while_it_is_gone() {
        let (postgres, server) = (testing::store().await, crate::store::vectors::StandIn::start(None));
        let url = format!("http://{}", server.address());
        let (first, second) = (memory(&postgres, &url), memory(&postgres, &url));
        let [one, two, three] = three();
        assert_eq!(titles(&second, Query::of("endpoint")).await.len(), 0);
        first.learn(&[one]).await.unwrap();
        assert_eq!(titles(&second, Query::of("endpoint")).await.len(), 1);
        assert_eq!(second.vectors.count(Collection::CodePatterns, LOCAL_ORGANIZATION).await.unwrap(), 1);

        drop(server);
        first.learn(&[two, three]).await.unwrap();
        assert_eq!(titles(&second, Query::of("endpoint")).await.len(), 3, "the rows are compared");
        let failures = second.vectors.failures();
        assert!(failures > 0);
        assert_eq!(titles(&second, Query::of("endpoint")).await.len(), 3);
    }

    #[tokio::test]
    async fn an_empty_server_is_filled_from_the_rows() {
        let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
        super::memory(&postgres, directory.path()).await.learn(&three()).await.unwrap();
        let server = crate::store::vectors::StandIn::start(None);
        let memory = memory(&postgres, &format!("http://{}", server.address()));
        assert_eq!(titles(&memory, Query::of("endpoint")).await.len(), 3);
        assert_eq!(memory.vectors.count(Collection::CodePatterns, LOCAL_ORGANIZATION).await.unwrap(), 2);
        assert_eq!(memory.vectors.failures(), 0);
    }
}
