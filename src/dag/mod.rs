//! The pure graph: nodes, edges, and everything that follows from them. No I/O, no clock, no recursion.
//!
//! The planner and the in-process graph store build a [`Graph`] and ask it for waves, the critical path, closures and
//! file conflicts; the plan view asks for simulated schedules. Everything is O(V+E) unless it says otherwise, and equal
//! input gives equal output: ties are broken by the order in which nodes were given. A gate is a node of weight 0.

mod conflict;
mod critical;
mod graph;
mod layers;
mod reach;
mod simulate;

#[cfg(test)]
mod oracle;

pub use conflict::Conflict;
pub use critical::Timing;
pub use graph::{Defect, Edge, Graph, Node};
pub use reach::Direction;
pub use simulate::{Bounds, Schedule};
