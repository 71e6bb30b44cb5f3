//! Trees that are held ready: at most so many, nobody else's business, gone in the end.

use std::fs;
use std::path::Path;

use super::pool_testing::{Stage, first, second, shape, written};
use super::testing::{site, write};
use super::{Git, Repository, State};

#[tokio::test]
async fn a_tree_that_somebody_touched_while_it_was_ready_is_not_used() {
    let mut stage = Stage::new(1).await;
    let start = stage.pooled.start().clone();
    let one = stage.commit(&start, first).await;
    let edits: [fn(&Path); 3] = [
        |root| write(root, "kept", "KEPT\n"),
        |root| fs::remove_file(root.join("edited")).unwrap(),
        |root| fs::rename(root, root.with_extension("away")).unwrap(),
    ];
    for edit in edits {
        let former = stage.tree(&one).await;
        former.retire().await.unwrap();
        let ready = stage.pooled.worktrees().await.unwrap().pop().unwrap();
        assert_eq!((ready.state, ready.unit.as_str()), (State::Prepared, "unit/pooled"));
        edit(&ready.path);
        let tree = stage.tree(&one).await;
        stage.same("touched", &one, &tree).await;
        tree.remove().await.unwrap();
    }
    assert!(!stage.fixture.dir.path().join("worktrees/0190-r1").exists());
}

#[tokio::test]
async fn so_many_are_held_ready_and_none_after_the_work() {
    let mut stage = Stage::new(2).await;
    let start = stage.pooled.start().clone();
    let mut trees = Vec::new();
    for _ in 0..4 {
        trees.push(stage.tree(&start).await);
    }
    let late = trees.pop().unwrap();
    for tree in trees {
        tree.retire().await.unwrap();
    }
    assert_eq!(stage.ready().await, 2);
    let listed = stage.pooled.worktrees().await.unwrap();
    for ready in listed.iter().filter(|listed| listed.state == State::Prepared) {
        assert!(!stage.pooled.discard(ready).await.unwrap(), "what a living process holds is not thrown away");
    }
    let taken = stage.tree(&start).await;
    assert_eq!(stage.ready().await, 1);
    taken.retire().await.unwrap();
    stage.pooled.hold_none_ready().await.unwrap();
    assert_eq!(stage.ready().await, 0);
    late.retire().await.unwrap();
    assert!(!stage.fixture.dir.path().join("worktrees/0190-r1").exists(), "whoever is late leaves nothing");
    let without = stage.fixture.repository.worktree("unit/a", 1, &start).await.unwrap();
    without.retire().await.unwrap();
    assert!(!stage.fixture.dir.path().join("worktrees/0190-r1").exists(), "without room nothing is held ready");
}

#[tokio::test]
async fn what_another_holds_ready_is_left_alone_while_it_lives() {
    let mut stage = Stage::new(1).await;
    let start = stage.pooled.start().clone();
    let git = Git::find(None).await.unwrap();
    let other = async || Repository::open_or_create(&git, &site(stage.fixture.dir.path()), 0).await.unwrap().holding_ready(1);
    let (living, next) = (other().await, other().await);
    living.worktree("unit/other", 1, &start).await.unwrap().retire().await.unwrap();
    let tree = stage.tree(&start).await;
    assert_eq!(stage.ready().await, 1, "neither taken nor removed");
    tree.retire().await.unwrap();
    assert_eq!(stage.ready().await, 2, "each has a bound of its own");
    drop(living);
    let left = stage.pooled.worktrees().await.unwrap().into_iter().filter(|listed| listed.state == State::Left).count();
    assert_eq!((stage.ready().await, left), (1, 1));
    let tree = next.worktree("unit/next", 1, &start).await.unwrap();
    assert_eq!((stage.ready().await, stage.pooled.worktrees().await.unwrap().len()), (1, 2));
    tree.remove().await.unwrap();
}

#[tokio::test]
async fn states_for_checks_and_trees_for_agents_are_made_of_each_other() {
    let mut stage = Stage::new(1).await;
    let start = stage.pooled.start().clone();
    let one = stage.commit(&start, first).await;
    let two = stage.commit(&one, second).await;
    let dir = stage.fixture.dir.path().join("exported");
    let exported = stage.pooled.export(&(&one).into(), &dir).await.unwrap();
    let before = written(&dir, "kept");
    write(&dir, ".cache/x", "left");
    exported.retire().await.unwrap();
    assert!(!dir.exists());
    let tree = stage.tree(&two).await;
    assert_eq!(written(&tree.path(), "kept"), before);
    stage.same("after a check", &two, &tree).await;
    let expected = shape(&tree.path());
    tree.retire().await.unwrap();
    let exported = stage.pooled.export(&(&two).into(), &dir).await.unwrap();
    assert_eq!(written(&dir, "kept"), before);
    let mut found = shape(&dir);
    found.insert("added".into(), expected[Path::new("added")].clone());
    assert_eq!(found, expected);
    drop(exported);
}
