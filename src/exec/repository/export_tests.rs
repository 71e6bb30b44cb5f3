use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::testing::{Fixture, go_on, land, queue, snapshot, write};
use super::{CommitId, Landed, Repository, Snapshot, TakenBack};

async fn standing(repository: &Repository, head: &CommitId) -> Vec<Landed> {
    repository.standing_between(repository.start(), head).await.unwrap()
}

/// The files of a state, by name.
async fn exported(fixture: &Fixture, at: &Snapshot) -> BTreeMap<String, String> {
    let dir = fixture.dir.path().join("exported");
    write(&dir, "left/over", "x");
    assert!(fixture.repository.export(at, &dir).await.unwrap().absent().is_empty());
    let name = |path: &Path| path.strip_prefix(&dir).unwrap().to_str().unwrap().to_owned();
    snapshot(&dir, &|_| false).into_iter().map(|(path, content)| (name(&path), String::from_utf8(content).unwrap())).collect()
}

fn files(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

#[tokio::test]
async fn a_state_without_somebodys_work_is_what_the_others_made() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    land(repository, "unit/a", 1, |root| write(root, "a", "1\n")).await;
    land(repository, "unit/b", 1, |root| write(root, "b", "1\n")).await;
    let head = land(repository, "unit/c", 1, |root| write(root, "b", "2\n")).await.head;
    assert_eq!(exported(&fixture, &(&head).into()).await, files(&[("a", "1\n"), ("b", "2\n")]));
    let all = standing(repository, &head).await;
    assert_eq!(all.iter().map(|landed| (landed.unit.as_str(), landed.agent())).collect::<Vec<_>>()[1], ("unit/b", "command/test"));
    let without = repository.without(&head, &all[0]).await.unwrap().unwrap();
    assert_eq!(exported(&fixture, &without).await, files(&[("b", "2\n")]));
    assert_eq!(repository.without(&head, &all[1]).await.unwrap(), None, "another unit built on it");
    assert_eq!(repository.head().await.unwrap(), head, "the branch stays where it is");
}

#[tokio::test]
async fn work_that_is_built_on_each_other_is_taken_back_together() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    for (unit, content) in [("unit/a", "1\n"), ("unit/b", "1\n2\n"), ("unit/c", "0\n1\n2\n")] {
        land(repository, unit, 1, |root| write(root, "f", content)).await;
    }
    let back = |units: &[&str]| units.iter().map(|unit| (*unit).to_owned()).collect::<Vec<_>>();
    let hindered = queue(repository).await.take_back_all(&back(&["unit/a", "unit/b"]), 1, go_on).await.unwrap();
    assert!(matches!(hindered, TakenBack::Conflict(_)), "{hindered:?}");
    let taken = queue(repository).await.take_back_all(&back(&["unit/a", "unit/b", "unit/c"]), 1, go_on).await.unwrap();
    let TakenBack::Taken { head, reverted } = taken else { panic!("{taken:?}") };
    assert_eq!((reverted.len(), standing(repository, &head).await.len()), (3, 0));
    assert!(exported(&fixture, &(&head).into()).await.is_empty());
}

#[tokio::test]
async fn equal_changes_have_equal_fingerprints_wherever_they_are_made() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let first = land(repository, "unit/a", 1, |root| write(root, "a", "1\n")).await.head;
    super::testing::take_back(repository, "unit/a").await;
    land(repository, "unit/b", 1, |root| write(root, "b", "1\n")).await;
    let again = land(repository, "unit/a", 2, |root| write(root, "a", "1\n")).await.head;
    super::testing::take_back(repository, "unit/a").await;
    let other = land(repository, "unit/a", 3, |root| write(root, "a", "2\n")).await.head;
    let gone = land(repository, "unit/a", 4, |root| fs::remove_file(root.join("a")).unwrap()).await.head;
    let mut all = Vec::new();
    for commit in [&first, &again, &other, &gone] {
        all.push(repository.fingerprint(commit).await.unwrap());
    }
    assert_eq!(all[0], all[1]);
    assert!(all[0] != all[2] && all[2] != all[3] && all[0] != all[3]);
}
