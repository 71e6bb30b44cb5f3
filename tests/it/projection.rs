//! The commands that build and compare the stores which follow the facts, on servers and through the real binary.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::installation::{Installation, STEPS, file};
use crate::server::Server;
use crate::services;
use crate::standin::StandIn;

/// Installations share the graph server; each has its own name there.
fn graph(command: &mut Command) -> Option<()> {
    let uri = services::server("SPECWAVE_TEST_NEO4J_URI")?;
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} belongs to SPECWAVE_TEST_NEO4J_URI"));
    command.env("NEO4J_URI", uri).env("NEO4J_USER", variable("SPECWAVE_TEST_NEO4J_USER"));
    command.env("NEO4J_PASSWORD", variable("SPECWAVE_TEST_NEO4J_PASSWORD"));
    Some(())
}

fn output(command: &mut Command, code: i32) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output
}

fn json(command: &mut Command, code: i32) -> Value {
    serde_json::from_slice(&output(command, code).stdout).unwrap()
}

/// Plans that the graph holds, and how many of them are not what the facts say.
fn compared(found: &Value) -> (u64, usize) {
    let graph = found.as_array().unwrap().iter().find(|store| store["store"] == "graph").unwrap();
    (graph["aggregates"].as_u64().unwrap(), graph["differences"].as_array().unwrap().len())
}

#[tokio::test]
async fn a_dump_restored_into_another_cluster_is_followed_anew() {
    if services::server("SPECWAVE_TEST_NEO4J_URI").is_none() {
        return;
    }
    let installation = Installation::own();
    let (first, second) = (Server::start_with_clients().await, Server::start_with_clients().await);
    let scratch = TempDir::new().unwrap();
    let (spec, out) = (file(scratch.path(), "steps.md", STEPS), scratch.path().join("out"));
    let vectors = StandIn::start(None);
    let on = |server: &Server, arguments: &[&str]| {
        let mut command = installation.command(arguments);
        graph(&mut command)?;
        command.env("DATABASE_URL", server.url("specwave", "secret", "specwave"));
        command.env("QDRANT_URL", format!("http://{}", vectors.address()));
        Some(command)
    };
    let Some(mut run) = on(&first, &["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"]) else { return };
    output(&mut run, 3);
    let verify = |server: &Server| compared(&json(&mut on(server, &["verify", "--json"]).unwrap(), 0));
    assert_eq!(verify(&first), (1, 0));

    first.copy_to(&second);
    assert_eq!(verify(&second), (1, 0), "the old cursors mean nothing here, so everything was built anew");
    assert_eq!(verify(&first), (1, 0), "and the two do not get into each other's way");

    let built = json(&mut on(&second, &["rebuild", "all", "--json"]).unwrap(), 0);
    let stores: Vec<(&str, &str)> =
        built.as_array().unwrap().iter().map(|store| (store["store"].as_str().unwrap(), store["mode"].as_str().unwrap())).collect();
    assert_eq!(stores, [("graph", "neo4j"), ("vectors", "qdrant"), ("cache", "in process")]);
    assert_eq!(built[0]["aggregates"], 1, "{built:#}");
    assert_eq!(verify(&second), (1, 0));
}

#[test]
fn without_servers_there_is_nothing_to_build_but_the_vectors() {
    let installation = Installation::own();
    let built = json(&mut installation.command(&["rebuild", "all", "--json"]), 0);
    let modes: Vec<&str> = built.as_array().unwrap().iter().map(|store| store["mode"].as_str().unwrap()).collect();
    assert_eq!(modes, ["in process", "qdrant-edge", "in process"]);
    assert_eq!(built[0]["aggregates"], Value::Null);
    let compared = json(&mut installation.command(&["verify", "--json"]), 0);
    assert_eq!((compared.as_array().unwrap().len(), &compared[0]["store"]), (1, &Value::from("vectors")));
}

#[test]
fn a_server_that_is_away_ends_the_commands_that_are_about_it() {
    let installation = Installation::own();
    let mut command = installation.command(&["rebuild", "graph"]);
    command.env("NEO4J_URI", "bolt://127.0.0.1:1").env("NEO4J_USER", "neo4j").env("NEO4J_PASSWORD", "x");
    let said = output(&mut command, 5).stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("graph") && said.contains("hint:"), "{said}");
}
