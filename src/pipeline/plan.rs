//! Phase 3: from a specification and the blueprints of a target pack to a plan.
