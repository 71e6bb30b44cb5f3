//! Embedded texts and their neighbours.
