//! Short-lived results.
