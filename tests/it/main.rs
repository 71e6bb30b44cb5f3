//! The one binary of integration tests.
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "the tests of the client itself use the rest")]
#[path = "../standin/agentapi.rs"]
mod agentapi;
mod agents;
mod asking;
mod command_agent;
mod commands;
mod compose;
mod contexts;
mod contract;
mod degraded_cache;
mod degraded_graph;
mod degraded_run;
mod degraded_vectors;
mod delivery;
mod egress;
mod environment;
mod escape;
mod exec;
mod faults;
mod generated;
mod grown;
mod http;
mod http_contract;
mod http_events;
mod http_idempotency;
mod http_operation;
mod http_serving;
mod http_tasks;
mod http_units;
mod injection;
mod input;
mod installation;
mod learning;
#[expect(dead_code, reason = "the tests of the agent itself use the rest")]
#[path = "../standin/model.rs"]
mod model;
mod output;
mod plan;
mod probe;
mod probe_generated;
mod progress;
mod projection;
mod prose;
mod proxy;
mod questions;
mod repairing;
mod retrieval;
mod run;
mod server;
mod services;
mod signals;
mod skills;
mod stack;
#[path = "../standin/mod.rs"]
mod standin;
mod terminal;
mod tidy;
mod trees;
mod wave_checks;
mod worker;
