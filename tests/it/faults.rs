//! PostgreSQL that dies, is stopped, cannot be reached or is not what it should be: a clear error, and the same command goes on.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use crate::installation::{Ended, Installation, NOTES, Running, STEPS, alive, file, until};
use crate::server::Server;

/// How long a command may take to give up on a server that does not answer: each of a few tries waits ten seconds for a
/// connection, and a loaded machine adds its own.
const GIVE_UP_MAX: Duration = Duration::from_mins(2);

fn gave_up(ended: &Ended, said: &str) {
    assert_eq!(ended.code, Some(5), "{}", ended.said);
    for part in ["error: ", said, "hint: "] {
        assert!(ended.said.contains(part), "{part:?} is missing from\n{}", ended.said);
    }
}

#[test]
fn a_run_survives_the_death_of_the_managed_server() {
    let (installation, scratch) = (Installation::own(), TempDir::new().unwrap());
    let spec = file(scratch.path(), "notes.md", NOTES);
    let out = scratch.path().join("out");
    let mut running = installation.run(&spec, &out, "notes");
    let run = running.id();
    running.until_built(3);
    kill_process(installation.postmaster().unwrap(), Signal::KILL).unwrap();
    let died_at = Instant::now();
    let ended = running.end();
    gave_up(&ended, "postgresql is not available");
    assert!(ended.said.contains("the same command starts the managed server again"), "{}", ended.said);
    assert!(died_at.elapsed() < GIVE_UP_MAX, "it took {:?} to give up", died_at.elapsed());
    assert!(installation.working_on(&run).is_empty() && !out.exists());
    let built = |ended: &Ended, state: &str| {
        let units = ended.events.iter().filter(|event| event["event"] == "unit" && event["state"] == state);
        units.map(|event| event["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let settled = built(&ended, "succeeded");

    let ended = installation.run(&spec, &out, "notes").end();
    let report = ended.expect(0, "succeeded");
    assert_eq!((report["run"].as_str(), ended.how().contains("resumed")), (Some(run.as_str()), true), "{}", ended.how());
    let again = built(&ended, "running");
    assert!(settled.iter().all(|key| !again.contains(key)), "{settled:?} were settled, {again:?} are done again");
    assert_eq!(installation.postmaster(), None, "the last one out stops the server");
}

#[test]
fn parallel_calls_share_one_server_and_a_killed_one_leaves_it_to_be_adopted() {
    let (installation, scratch) = (Installation::own(), TempDir::new().unwrap());
    let spec = file(scratch.path(), "steps.md", STEPS);
    let run = |name: &str| installation.run(&spec, &scratch.path().join(name), name);

    // Two different specifications at once on a data directory that has nothing yet.
    let (mut one, mut other) = (run("one"), run("other"));
    let _ = (one.id(), other.id());
    let postmaster = installation.postmaster().unwrap();
    let owner = std::fs::metadata(format!("/proc/{}", postmaster.as_raw_nonzero())).unwrap().uid();
    assert_ne!(owner, 0, "postgresql never runs as root");
    one.end().expect(3, "partial");
    other.end().expect(3, "partial");
    until("the last one out stopped the server", || !alive(postmaster.as_raw_nonzero().get()));
    assert_eq!(installation.postmaster(), None);

    // Killed: the server stays, the next call adopts it and stops it.
    let mut killed = run("killed");
    killed.id();
    let postmaster = installation.postmaster().unwrap();
    killed.signal(Signal::KILL);
    assert_eq!(killed.end().code, None);
    assert!(alive(postmaster.as_raw_nonzero().get()));
    let mut adopter = run("killed");
    adopter.id();
    assert_eq!(installation.postmaster(), Some(postmaster));
    let ended = adopter.end();
    ended.expect(3, "partial");
    until("the adopter stopped the server", || !alive(postmaster.as_raw_nonzero().get()));

    // Both dead: the next call replaces the server.
    let mut killed = run("killed-again");
    killed.id();
    let postmaster = installation.postmaster().unwrap();
    killed.signal(Signal::KILL);
    kill_process(postmaster, Signal::KILL).unwrap();
    assert_eq!(killed.end().code, None);
    run("killed-again").end().expect(3, "partial");
    assert_eq!(installation.postmaster(), None);
}

#[test]
fn an_address_without_a_server_is_named_in_bounded_time() {
    let (installation, scratch) = (Installation::shared(), TempDir::new().unwrap());
    let spec = file(scratch.path(), "steps.md", STEPS);
    let out = scratch.path().join("out");
    // Nobody listens there any more; and there somebody listens who never answers.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let check = |url: &str, said: &str| {
        let started = Instant::now();
        let mut command = installation.command(&["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"]);
        command.env("DATABASE_URL", url);
        let ended = Running::start(command).end();
        gave_up(&ended, said);
        assert!(!ended.said.contains("secret"), "{}", ended.said);
        assert!(started.elapsed() < GIVE_UP_MAX, "{url}: {:?}", started.elapsed());
        assert!(!out.exists());
    };
    check(&format!("postgres://me:secret@{closed}/specwave"), &closed.to_string());
    check(&format!("postgres://me:secret@{}/specwave", silent.local_addr().unwrap()), &silent.local_addr().unwrap().to_string());
    check("postgres://me:secret@no-such-host.invalid/specwave", "no-such-host.invalid");
    check("mysql://me:secret@127.0.0.1/specwave", "DATABASE_URL");
}

#[tokio::test]
async fn a_run_survives_the_restart_and_the_stop_of_a_server_of_ones_own() {
    let (installation, scratch, server) = (Installation::own(), TempDir::new().unwrap(), Server::start().await);
    let spec = file(scratch.path(), "notes.md", NOTES);
    let out = scratch.path().join("out");
    let url = server.url("specwave", "secret", "specwave");
    let start = || {
        let mut command = installation.command(&["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"]);
        command.env("DATABASE_URL", &url);
        Running::start(command)
    };
    let mut running = start();
    let run = running.id();
    running.until_built(2);
    server.ctl("restart", "fast");
    running.until_built(2);
    // It went on over the restart; now the server crashes and stays away.
    server.ctl("stop", "immediate");
    let died_at = Instant::now();
    let ended = running.end();
    gave_up(&ended, "postgresql is not available");
    assert!(ended.said.contains("when the server is back, the same command goes on"), "{}", ended.said);
    assert!(died_at.elapsed() < GIVE_UP_MAX, "it took {:?} to give up", died_at.elapsed());
    assert!(installation.working_on(&run).is_empty() && !out.exists());

    server.ctl("start", "fast");
    let ended = start().end();
    assert_eq!(ended.expect(0, "succeeded")["run"], run.as_str());
    // A driver on a server that was away may come back for as long as a lease: until then its run is followed.
    assert!(ended.how().contains("resumed") || ended.how().contains("followed"), "{}", ended.how());
    assert!(installation.postmaster().is_none(), "no managed server is started beside it");
}

#[tokio::test]
async fn a_server_that_does_not_let_us_in_or_will_not_do_says_so() {
    let (installation, scratch, server) = (Installation::own(), TempDir::new().unwrap(), Server::start().await);
    let spec = file(scratch.path(), "steps.md", STEPS);
    let out = scratch.path().join("out");
    server
        .sql("postgres", "create role old login createrole password 'secret'; create role mighty login superuser password 'secret'")
        .await;
    // Stands in for an old server: the one function that tells its version answers what such a one would.
    server.sql("postgres", "create database old owner old").await;
    let answer = "create function past.current_setting(text) returns text language sql as \
                  $$ select case when $1 like '%num' then '140012' else '14.12' end $$";
    server.sql("old", &format!("create schema past; grant usage on schema past to old; {answer}")).await;
    server.sql("old", "alter role old set search_path = past, pg_catalog, public").await;
    let check = |url: &str, said: &str, hint: &str| {
        let started = Instant::now();
        for arguments in [&["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"][..], &["status"]] {
            let mut command = installation.command(arguments);
            command.env("DATABASE_URL", url);
            let ended = Running::start(command).end();
            gave_up(&ended, said);
            assert!(ended.said.contains(hint) && !ended.said.contains("secret"), "{}", ended.said);
        }
        assert!(started.elapsed() < GIVE_UP_MAX && !out.exists());
    };
    check(&server.url("specwave", "wrong", "specwave"), "password authentication failed", "check the user, the password");
    check(&server.url("specwave", "secret", "nowhere"), "database \"nowhere\" does not exist", "the database of DATABASE_URL");
    check(&server.url("mighty", "secret", "specwave"), "bypasses row-level security", "make a plain role");
    check(&server.url("old", "secret", "old"), "postgresql 14.12 is too old", "PostgreSQL 15 or newer");
}
