//! Complaints in the words of real programs, and what they mean.

use std::time::Duration;

use time::OffsetDateTime;

use super::error::Cause;
use super::fault::classify;

/// The kind of a complaint, and the seconds after which it may be tried again.
fn check(said: &str, kind: &str, after_secs: Option<u64>) {
    let now = OffsetDateTime::from_unix_timestamp(1_764_000_000).unwrap();
    let found = match classify(said, now) {
        None => ("unknown", None),
        Some(Cause::RateLimited { reset_after, .. }) => ("limited", reset_after),
        Some(Cause::Unauthorized(_)) => ("unauthorized", None),
        Some(Cause::Exhausted(_)) => ("exhausted", None),
        Some(Cause::Overloaded(_)) => ("overloaded", None),
        Some(Cause::Refused(_)) => ("refused", None),
        Some(Cause::MaxTurns) => ("turns", None),
        Some(other) => panic!("{other:?}"),
    };
    assert_eq!(found, (kind, after_secs.map(Duration::from_secs)), "{said}");
}

#[test]
fn complaints_are_told_apart() {
    check("Invalid API key · Please run /login", "unauthorized", None);
    check(
        "API Error: 401 {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key\"}}",
        "unauthorized",
        None,
    );
    check("OAuth token has expired. Please obtain a new token", "unauthorized", None);
    check("unexpected status 401 Unauthorized: Missing bearer", "unauthorized", None);
    check("litellm.AuthenticationError: Missing credentials", "unauthorized", None);
    check("Credit balance is too low", "exhausted", None);
    check("Error code: 429 - insufficient_quota", "exhausted", None);
    check("API Error: 529 {\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}", "overloaded", None);
    check("stream disconnected before completion: connection closed", "overloaded", None);
    check("API Error: Connection error.", "overloaded", None);
    check("getaddrinfo EAI_AGAIN api.example", "overloaded", None);
    check("Claude Code is unable to respond: it appears to violate our Usage Policy", "refused", None);
    check("Reached maximum number of turns (3)", "turns", None);
    check("Segmentation fault", "unknown", None);
    check("", "unknown", None);
}

#[test]
fn a_rate_limit_says_until_when() {
    check("API Error: 429 rate_limit_error", "limited", None);
    check("Claude AI usage limit reached|1764003600", "limited", Some(3_600));
    check("Claude AI usage limit reached|1763990000", "limited", Some(0));
    check("Claude AI usage limit reached|9999999999", "limited", None);
    check("Rate limit reached for gpt-5. Please try again in 20s.", "limited", Some(20));
    check("Rate limit reached: try again in 1h 30m", "limited", Some(5_400));
    check("You've hit your usage limit. Try again in 3 days 2 hours 5 minutes.", "limited", Some(3 * 86_400 + 2 * 3_600 + 300));
    check("Too many requests, retry after 7 seconds", "limited", Some(7));
    check("usage limit, resets_at: 1764000060", "limited", Some(60));
    check("rate limit: try again in 999999 days", "limited", None);
    check("rate limit: try again in 999999999999999999999999999999 days", "limited", None);
}
