//! Servers that tests are given beside the stores in process. Without one a test that needs it says so and passes, except where
//! `SPECWAVE_REQUIRE_SERVICES=1` makes that a failure.

/// The value of the variable that names a server for tests; none after having said what is skipped.
pub(crate) fn server(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        assert!(std::env::var("SPECWAVE_REQUIRE_SERVICES").as_deref() != Ok("1"), "{variable} is not set, and services are required");
        eprintln!("skipped: {variable} names no server");
    }
    value
}
