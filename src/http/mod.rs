//! The HTTP interface: JSON over HTTP/1.1, described by its own OpenAPI document.
//!
//! [`router`] is the table of contents; each resource has a file of its own. Called by `serve`. It holds no rule of the domain and no
//! SQL: a handler reads its input, calls `engine`, `pipeline` or `store`, and shows what came of it. Every error, whoever makes it,
//! leaves as a problem document (RFC 9457).

mod agents;
mod commands;
mod cursor;
mod decisions;
mod docs;
mod error;
mod etag;
mod events;
mod extract;
mod guard;
mod hand_ins;
mod health;
mod idempotency;
mod load;
pub mod metrics;
mod openapi;
mod patterns;
mod plans;
mod problem;
mod progress;
mod questions;
mod reply;
mod request;
pub mod router;
mod runs;
mod server;
mod specs;
mod state;
mod submission;
mod tasks;
mod waves;

pub use server::{Limits, serve};
pub use state::{Api, StartError};
