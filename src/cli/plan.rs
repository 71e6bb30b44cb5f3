//! `specwave plan`: shows what would be done, and does nothing.
