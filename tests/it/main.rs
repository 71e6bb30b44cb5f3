//! The one binary of integration tests.
#![expect(clippy::unwrap_used, reason = "tests")]

mod exec;
mod tidy;
