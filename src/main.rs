//! specwave: from a specification to a running, checked service.

fn main() {}
