//! Phase 2: from a specification to numbered, classified, checkable requirements.
