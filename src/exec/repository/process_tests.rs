//! Several processes on one repository, and processes that die at awkward moments. A test that needs another process starts itself once
//! more, with the data directory in the environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Signal, getpid, kill_process};

use super::testing::{Fixture, files, go_on, merge, person, queue, site, work, write};
use super::{ChangeLimits, Git, MergeOutcome, Repository, State};

const HOST: &str = "SPECWAVE_TEST_HOST";

/// The data directory and a number, in the process that is to die or to work beside others.
fn host() -> Option<(PathBuf, usize)> {
    let text = std::env::var(HOST).ok()?;
    let (number, dir) = text.split_once(':').unwrap();
    Some((dir.into(), number.parse().unwrap()))
}

fn another(test: &str, dir: &Path, number: usize) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("exec::repository::process_tests::{test}"), "--exact", "--nocapture"]);
    command.env(HOST, format!("{number}:{}", dir.display())).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn killed(test: &str, dir: &Path) -> Output {
    let output = another(test, dir, 0).wait_with_output().unwrap();
    assert!(!output.status.success() && output.status.code().is_none(), "it was to be killed: {output:?}");
    output
}

fn die() -> ! {
    kill_process(getpid(), Signal::KILL).unwrap();
    loop {
        std::thread::park();
    }
}

async fn open(dir: &Path) -> Repository {
    Repository::open_or_create(&Git::find(None).await.unwrap(), &site(dir), 5).await.unwrap()
}

fn whole(repository: &Repository) {
    person(repository.git_dir(), &["fsck", "--strict", "--no-dangling"]);
}

const UNITS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_merge_at_once_lose_nothing() {
    if let Some((dir, number)) = host() {
        let repository = open(&dir).await;
        for at in 0..UNITS {
            let unit = format!("unit/{number}-{at}");
            let line = format!("{number}-{at}\n");
            let commit = work(&repository, &unit, 1, repository.start(), |root| write(root, &unit, line)).await;
            assert!(matches!(merge(&repository, &commit).await, MergeOutcome::Merged(_)));
        }
        return;
    }
    let fixture = Fixture::new().await;
    let others: Vec<_> = (0..3).map(|number| another("processes_that_merge_at_once_lose_nothing", fixture.dir.path(), number)).collect();
    // And two handles of this one.
    let mut handles = tokio::task::JoinSet::new();
    for number in 3..5 {
        let dir = fixture.dir.path().to_owned();
        handles.spawn(async move {
            let repository = open(&dir).await;
            for at in 0..UNITS {
                let unit = format!("unit/{number}-{at}");
                let commit = work(&repository, &unit, 1, repository.start(), |root| write(root, &unit, "x")).await;
                assert!(matches!(merge(&repository, &commit).await, MergeOutcome::Merged(_)));
            }
        });
    }
    handles.join_all().await;
    for other in others {
        let output = other.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let head = fixture.repository.head().await.unwrap();
    assert_eq!(files(&fixture.repository, &head).await.len(), 5 * UNITS);
    assert_eq!(fixture.repository.changes_between(fixture.repository.start(), &head).await.unwrap().len(), 5 * UNITS);
    whole(&fixture.repository);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_open_at_once_agree_where_the_branch_starts() {
    if let Some((dir, _)) = host() {
        println!("\nstart {}", open(&dir).await.start());
        return;
    }
    let dir = tempfile::TempDir::new().unwrap();
    let others: Vec<_> =
        (0..4).map(|number| another("processes_that_open_at_once_agree_where_the_branch_starts", dir.path(), number)).collect();
    let mut starts: Vec<String> = Vec::new();
    for other in others {
        let output = other.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        starts.extend(text.lines().filter_map(|line| line.strip_prefix("start ")).map(str::to_owned));
    }
    let repository = open(dir.path()).await;
    assert_eq!(starts, vec![repository.start().to_string(); 4]);
    assert_eq!(&repository.head().await.unwrap(), repository.start());
}

#[tokio::test]
async fn dying_between_the_commit_and_the_branch_leaves_the_branch_whole() {
    if let Some((dir, _)) = host() {
        let repository = open(&dir).await;
        let commit = work(&repository, "unit/a", 1, repository.start(), |root| write(root, "a", "1")).await;
        let _ = queue(&repository).await.merge(&commit, async |_| -> Result<bool, std::io::Error> { die() }).await;
        return;
    }
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    super::testing::land(repository, "unit/b", 1, |root| write(root, "b", "1")).await;
    let before = repository.head().await.unwrap();
    killed("dying_between_the_commit_and_the_branch_leaves_the_branch_whole", fixture.dir.path());
    assert_eq!(repository.head().await.unwrap(), before);
    whole(repository);
    assert_eq!(queue(repository).await.find_merged("unit/a", None).await.unwrap(), None, "the lock went with its holder");
    let commit = work(repository, "unit/a", 1, repository.start(), |root| write(root, "a", "1")).await;
    assert!(matches!(merge(repository, &commit).await, MergeOutcome::Merged(_)));
}

#[tokio::test]
async fn dying_after_the_branch_moved_is_found_out() {
    if let Some((dir, _)) = host() {
        let repository = open(&dir).await;
        let commit = work(&repository, "unit/a", 1, repository.start(), |root| write(root, "a", "1")).await;
        let _ = queue(&repository).await.merge(&commit, |_| go_on()).await;
        die();
    }
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    killed("dying_after_the_branch_moved_is_found_out", fixture.dir.path());
    let found = queue(repository).await.find_merged("unit/a", Some(1)).await.unwrap().unwrap();
    let commit = work(repository, "unit/a", 1, repository.start(), |root| write(root, "a", "1")).await;
    let MergeOutcome::Merged(again) = merge(repository, &commit).await else { panic!("it is there") };
    assert!(again.already && again.commit == found.commit && again.head == found.commit);
    whole(repository);
}

#[tokio::test]
async fn what_a_dead_process_left_of_an_attempt_is_made_anew() {
    if let Some((dir, _)) = host() {
        let repository = open(&dir).await;
        let worktree = repository.worktree("unit/a", 4, repository.start()).await.unwrap();
        write(&worktree.path(), "half", "done");
        die();
    }
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    killed("what_a_dead_process_left_of_an_attempt_is_made_anew", fixture.dir.path());
    let left = repository.worktrees().await.unwrap().pop().unwrap();
    assert_eq!((left.unit.as_str(), left.token, left.state, left.path.join("half").exists()), ("unit/a", 4, State::Left, true));
    let worktree = repository.worktree("unit/a", 4, repository.start()).await.unwrap();
    assert_eq!(worktree.path(), left.path);
    assert!(worktree.diff(&ChangeLimits::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_dead_process_held_ready_goes_at_the_next_use() {
    if let Some((dir, _)) = host() {
        let repository = open(&dir).await.holding_ready(2);
        for unit in ["unit/a", "unit/b"] {
            repository.worktree(unit, 1, repository.start()).await.unwrap().retire().await.unwrap();
        }
        let worktree = repository.worktree("unit/c", 1, repository.start()).await.unwrap();
        repository.worktree("unit/d", 1, repository.start()).await.unwrap().retire().await.unwrap();
        worktree.retire().await.unwrap();
        die();
    }
    let fixture = Fixture::new().await;
    let repository = fixture.repository.clone().holding_ready(2);
    killed("what_a_dead_process_held_ready_goes_at_the_next_use", fixture.dir.path());
    let states: Vec<State> = repository.worktrees().await.unwrap().iter().map(|listed| listed.state).collect();
    assert_eq!(states, [State::Left; 2]);
    let worktree = repository.worktree("unit/a", 2, repository.start()).await.unwrap();
    assert_eq!(repository.worktrees().await.unwrap().len(), 1);
    worktree.remove().await.unwrap();
    assert!(!fixture.dir.path().join("worktrees/0190-r1").exists());
}
