//! Phase 5: order, waves, critical path and slack of a plan.
