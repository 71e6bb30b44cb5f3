//! The merge queue and what the branch tells afterwards.

use std::cell::Cell;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::testing::{Fixture, files, go_on, land, merge, person, queue, take_back, work, write};
use super::{Conflict, Landing, MergeOutcome, Merged, RepositoryError, TakenBack};

const TEN: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";

fn merged(outcome: MergeOutcome) -> Merged {
    match outcome {
        MergeOutcome::Merged(merged) => *merged,
        other => panic!("not merged: {other:?}"),
    }
}

fn conflict(outcome: MergeOutcome) -> Conflict {
    match outcome {
        MergeOutcome::Conflict(conflict) => *conflict,
        other => panic!("no conflict: {other:?}"),
    }
}

#[tokio::test]
async fn two_units_that_change_different_lines_of_a_file_are_merged() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let base = land(repository, "unit/base", 1, |root| write(root, "list", TEN)).await.head;
    let a = work(repository, "unit/a", 1, &base, |root| write(root, "list", TEN.replace("1\n2", "one\n2"))).await;
    let b = work(repository, "unit/b", 1, &base, |root| write(root, "list", TEN.replace("9\n10", "9\nten"))).await;
    let first = merged(merge(repository, &a).await);
    assert_eq!((&first.head, &first.commit, first.already), (&a, &a, false), "nothing in between: the very commit");
    let second = merged(merge(repository, &b).await);
    assert_ne!(second.commit, b, "it was put on top of what came before");
    assert_eq!(files(repository, &second.head).await["list"], "one\n2\n3\n4\n5\n6\n7\n8\n9\nten\n");
    assert_eq!(second.changed.tree.get("list").unwrap().content, b"one\n2\n3\n4\n5\n6\n7\n8\n9\nten\n");
    let units: Vec<String> =
        repository.changes_between(repository.start(), &second.head).await.unwrap().into_iter().map(|landed| landed.unit).collect();
    assert_eq!(units, ["unit/base", "unit/a", "unit/b"]);
    assert_eq!(
        person(repository.git_dir(), &["log", "-1", "--format=%an <%ae> %at %s", second.head.as_str()]),
        "specwave <specwave@localhost> 1700000100 Do unit/b"
    );
}

#[tokio::test]
async fn two_units_that_change_the_same_lines_are_a_conflict_with_both_sides() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let base = land(repository, "unit/base", 1, |root| write(root, "list", TEN)).await.head;
    let a = work(repository, "unit/a", 1, &base, |root| {
        write(root, "list", TEN.replace("5\n", "five\n"));
        write(root, "new", "a\n");
    });
    let a = a.await;
    let other = work(repository, "unit/other", 1, &base, |root| write(root, "elsewhere", "x")).await;
    let b = work(repository, "unit/b", 1, &base, |root| {
        write(root, "list", TEN.replace("5\n", "FIVE\n"));
        write(root, "new", "b\n");
    });
    let b = b.await;
    merged(merge(repository, &a).await);
    let head = merged(merge(repository, &other).await).head;
    let conflict = conflict(merge(repository, &b).await);
    assert_eq!(conflict.paths, ["list", "new"]);
    assert_eq!((conflict.ours.units, conflict.theirs.units), (vec!["unit/a".to_owned()], vec!["unit/b".to_owned()]));
    assert!(conflict.ours.diff.text.contains("-5\n+five\n") && !conflict.ours.diff.text.contains("elsewhere"), "{:?}", conflict.ours.diff);
    assert!(conflict.theirs.diff.text.contains("-5\n+FIVE\n"), "{:?}", conflict.theirs.diff);
    assert_eq!(repository.head().await.unwrap(), head, "nothing was merged");
    // Done anew on top of the branch it fits.
    let again = work(repository, "unit/b", 2, &head, |root| write(root, "list", TEN.replace("5\n", "five and FIVE\n"))).await;
    assert!(!merged(merge(repository, &again).await).already);
}

#[tokio::test]
async fn an_edit_follows_a_file_that_another_unit_moved() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let base = land(repository, "unit/base", 1, |root| write(root, "old", TEN)).await.head;
    let moving = work(repository, "unit/move", 1, &base, |root| std::fs::rename(root.join("old"), root.join("new")).unwrap()).await;
    let edit = work(repository, "unit/edit", 1, &base, |root| write(root, "old", TEN.replace("5\n", "five\n"))).await;
    let first = merged(merge(repository, &moving).await);
    assert_eq!(first.removed, ["old"]);
    let head = merged(merge(repository, &edit).await).head;
    let after = files(repository, &head).await;
    assert_eq!((after.len(), after["new"].contains("five")), (1, true));
}

#[tokio::test]
async fn a_dependent_starts_from_the_merged_work_of_what_it_depends_on() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let start = repository.start().clone();
    let model = work(repository, "model/book", 1, &start, |root| write(root, "book.py", "class Book: ...\n")).await;
    let other = work(repository, "model/author", 1, &start, |root| write(root, "author.py", "class Author: ...\n")).await;
    merged(merge(repository, &model).await);
    let head = merged(merge(repository, &other).await).head;
    let worktree = repository.worktree("api/books", 1, &head).await.unwrap();
    let seen = |name: &str| std::fs::read_to_string(worktree.path().join(name)).unwrap();
    assert_eq!((seen("book.py"), seen("author.py")), ("class Book: ...\n".to_owned(), "class Author: ...\n".to_owned()));
    assert_eq!(worktree.base(), &head);
}

#[tokio::test]
async fn a_merge_that_is_repeated_changes_nothing() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let commit = work(repository, "unit/a", 3, repository.start(), |root| write(root, "a", "1")).await;
    assert_eq!(queue(repository).await.find_merged("unit/a", None).await.unwrap(), None);
    let head = merged(merge(repository, &commit).await).head;
    land(repository, "unit/b", 1, |root| write(root, "b", "1")).await;
    let now = repository.head().await.unwrap();
    let again = merged(merge(repository, &commit).await);
    assert_eq!((again.already, &again.head, &again.commit), (true, &now, &head));
    assert_eq!(again.changed.tree.get("a").unwrap().content, b"1");
    let queue = queue(repository).await;
    let found = queue.find_merged("unit/a", None).await.unwrap().unwrap();
    assert_eq!((found.commit, found.landing), (head, Landing::Merged { token: 3, agent: "command/test".to_owned() }));
    assert!(queue.find_merged("unit/a", Some(3)).await.unwrap().is_some());
    assert_eq!(queue.find_merged("unit/a", Some(4)).await.unwrap(), None, "an older attempt's work is not this one's");
    assert_eq!(queue.find_merged("unit/never", None).await.unwrap(), None);
}

#[tokio::test]
async fn nothing_moves_when_the_caller_says_no_or_cannot_tell() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let before = repository.head().await.unwrap();
    let commit = work(repository, "unit/a", 1, &before, |root| write(root, "a", "1")).await;
    let queue = queue(repository).await;
    let no = queue.merge(&commit, async |_| Ok::<_, std::io::Error>(false)).await.unwrap();
    assert_eq!(no, MergeOutcome::Stopped);
    let lost = queue.merge(&commit, async |_| Err::<bool, _>(std::io::Error::other("no database"))).await.unwrap_err();
    assert!(lost.to_string().contains("no database") && lost.is_transient(), "{lost}");
    assert_eq!(repository.head().await.unwrap(), before);
}

#[tokio::test]
async fn a_foreign_commit_in_between_is_not_lost() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let start = repository.start().clone();
    let commit = work(repository, "unit/a", 1, &start, |root| write(root, "a", "1")).await;
    let foreign = work(repository, "unit/foreign", 1, &start, |root| write(root, "foreign", "1")).await;
    let asked = Cell::new(0);
    let recheck = async |replaced: Option<super::CommitId>| {
        asked.set(asked.get() + 1);
        assert_eq!(replaced.is_some(), asked.get() > 1, "on top of the foreign one it is another commit");
        if asked.get() == 1 {
            person(repository.git_dir(), &["update-ref", &repository.site.branch(), foreign.as_str()]);
        }
        Ok::<_, std::io::Error>(true)
    };
    let head = merged(queue(repository).await.merge(&commit, recheck).await.unwrap()).head;
    assert_eq!((asked.get(), files(repository, &head).await.len()), (2, 2));
    let moving = work(repository, "unit/b", 1, &start, |root| write(root, "b", "1")).await;
    let always = async |_| {
        let tree = person(repository.git_dir(), &["rev-parse", &format!("{}^{{tree}}", repository.site.branch())]);
        let head = person(repository.git_dir(), &["rev-parse", &repository.site.branch()]);
        let next = person(repository.git_dir(), &["commit-tree", "-p", &head, "-m", "by hand", &tree]);
        person(repository.git_dir(), &["update-ref", &repository.site.branch(), &next]);
        Ok::<_, std::io::Error>(true)
    };
    let error = queue(repository).await.merge(&moving, always).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Moving { .. }), "{error}");
}

#[tokio::test]
async fn work_is_taken_back_and_may_be_merged_again() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let first = land(repository, "unit/a", 1, |root| write(root, "a", "1\n")).await;
    land(repository, "unit/b", 1, |root| write(root, "b", "1\n")).await;
    let second = land(repository, "unit/a", 2, |root| write(root, "a", "1\n2\n")).await;
    let TakenBack::Taken { head, reverted } = take_back(repository, "unit/a").await else { panic!("it is taken back") };
    assert_eq!(reverted, [second.commit, first.commit], "all of it, the newest first");
    assert_eq!(files(repository, &head).await.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(queue(repository).await.find_merged("unit/a", None).await.unwrap(), None);
    assert_eq!(take_back(repository, "unit/a").await, TakenBack::Nothing);
    let anew = land(repository, "unit/a", 3, |root| write(root, "a", "better\n")).await;
    assert_eq!(files(repository, &anew.head).await["a"], "better\n");
    let all = repository.changes_between(repository.start(), &anew.head).await.unwrap();
    let backs = all.iter().filter(|landed| matches!(landed.landing, Landing::TakenBack { .. })).count();
    assert_eq!((all.len(), backs), (6, 2));
}

#[tokio::test]
async fn work_that_others_built_on_is_not_taken_back_from_under_them() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    land(repository, "unit/a", 1, |root| write(root, "a", "1\n")).await;
    let head = land(repository, "unit/b", 1, |root| write(root, "a", "1 and more\n")).await.head;
    let TakenBack::Conflict(conflict) = take_back(repository, "unit/a").await else { panic!("it is in the way") };
    assert_eq!((conflict.paths, conflict.ours.units), (vec!["a".to_owned()], vec!["unit/b".to_owned()]));
    assert_eq!(repository.head().await.unwrap(), head);
    assert!(matches!(take_back(repository, "unit/b").await, TakenBack::Taken { .. }));
    assert!(matches!(take_back(repository, "unit/a").await, TakenBack::Taken { .. }));
    let stopped = queue(repository).await.take_back("unit/none", 0, go_on).await.unwrap();
    assert_eq!(stopped, TakenBack::Nothing);
}

#[tokio::test]
async fn the_first_bad_unit_is_found_with_few_checks() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let mut commits = vec![repository.start().clone()];
    for at in 1..=20 {
        commits.push(land(repository, &format!("unit/{at}"), 1, |root| write(root, &format!("f{at}"), "x")).await.head);
        if at == 10 {
            let tree = format!("{}^{{tree}}", repository.site.branch());
            let head = commits[10].to_string();
            let by_hand = person(repository.git_dir(), &["commit-tree", "-p", &head, "-m", "by hand", &tree]);
            person(repository.git_dir(), &["update-ref", &repository.site.branch(), &by_hand]);
        }
    }
    for bad in [1, 2, 7, 10, 11, 19, 20] {
        let check = async |commit| {
            let files = repository.tree(&commit).await?;
            Ok::<_, RepositoryError>(files.tree.get(&format!("f{bad}")).is_none())
        };
        let found = repository.bisect(repository.start(), &commits[20], check).await.unwrap().unwrap();
        assert_eq!((&found.first_bad.commit, found.first_bad.unit), (&commits[bad], format!("unit/{bad}")));
        assert!(found.checks <= 5, "{} checks of 20", found.checks);
    }
    let none = repository.bisect(&commits[20], &commits[20], async |_| Ok::<_, RepositoryError>(true)).await.unwrap();
    assert_eq!(none, None);
}

#[tokio::test]
async fn the_lock_is_waited_for_and_given_up() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let held = queue(repository).await;
    let late = repository.merges(Duration::from_millis(50), &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(late, RepositoryError::Locked { .. }) && late.is_transient(), "{late}");
    let cancel = CancellationToken::new();
    let (called_off, ()) = tokio::join!(repository.merges(Duration::from_mins(1), &cancel), async { cancel.cancel() });
    assert!(matches!(called_off, Err(RepositoryError::Cancelled { .. })));
    let never = CancellationToken::new();
    let (next, ()) = tokio::join!(repository.merges(Duration::from_mins(1), &never), async { drop(held) });
    assert!(next.is_ok());
}

#[tokio::test]
async fn what_is_no_units_work_is_not_merged() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let start = repository.start().clone();
    let by_hand = person(repository.git_dir(), &["commit-tree", "-p", start.as_str(), "-m", "x", &format!("{start}^{{tree}}")]);
    let by_hand = super::CommitId::parse(&by_hand).unwrap();
    let error = queue(repository).await.merge(&by_hand, |_| go_on()).await.unwrap_err();
    assert!(error.to_string().contains("no unit's work of this run"), "{error}");
}
