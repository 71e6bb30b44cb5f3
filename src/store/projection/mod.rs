//! The stores that follow the facts: outbox to graph and vectors, built anew from the tables, compared with them.
//!
//! Called by `runner` (the loop that keeps them in step) and `cli` (`rebuild`, `verify`, `doctor`). A change is announced by its id;
//! what it came to is read from the tables when it is taken in, so that order, repetition and delay of announcements do not matter. It
//! never decides anything from what a projection says.

pub mod relay;
pub mod verify;
