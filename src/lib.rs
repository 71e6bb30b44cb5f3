#![doc = include_str!("ARCHITECTURE.md")]

pub mod model;

pub mod config;
pub mod dag;
pub mod failpoint;
pub mod redact;

pub mod embed;
pub mod exec;
pub mod telemetry;

pub mod store;

pub mod engine;
pub mod generate;
pub mod ingest;
pub mod learning;

pub mod context;
pub mod skills;

pub mod agents;

pub mod pipeline;

pub mod runner;

pub mod app;

pub mod http;

pub mod cli;
