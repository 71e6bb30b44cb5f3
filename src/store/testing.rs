//! Servers that tests are given beside the stores in process. Without one a test that needs it says so and passes, except where
//! `SPECWAVE_REQUIRE_SERVICES=1` makes that a failure.

/// The value of the variable that names a server for tests; none after having said what is skipped.
pub(crate) fn server(variable: &str) -> Option<String> {
    let value = server_that_may_lack(variable);
    assert!(
        value.is_some() || std::env::var("SPECWAVE_REQUIRE_SERVICES").as_deref() != Ok("1"),
        "{variable} is not set, and services are required"
    );
    value
}

/// The same for a server that cannot be had everywhere: its absence is told and never a failure.
pub(crate) fn server_that_may_lack(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        eprintln!("skipped: {variable} names no server");
    }
    value
}

/// The value of a variable that goes with a server's; empty where there is none.
pub(crate) fn detail(variable: &str) -> String {
    std::env::var(variable).unwrap_or_default()
}
