//! Phase 4: which nodes of a plan are executed, and that no two of them get in each other’s way.
