//! What a program means when it complains, by the words that the providers and programs use. Only words on their error channels are
//! looked at, never what the model says.

use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use time::OffsetDateTime;

use super::error::Cause;

/// A reset farther away than this is no reset: a number that was read wrongly, or a contract that has ended.
const RESET_MAX: Duration = Duration::from_hours(24 * 31);

/// The kinds, the more particular ones first.
static KINDS: LazyLock<Vec<(Kind, Regex)>> = LazyLock::new(|| {
    let compile = |pattern: &str| Regex::new(&format!("(?i){pattern}")).expect("the patterns are constants that a test uses");
    vec![
        (Kind::Exhausted, compile(r"credit balance|insufficient[_ ]quota|billing|payment required|\b402\b")),
        (
            Kind::Limited,
            compile(
                r"rate[ _-]?limit|\b429\b|too many requests|(usage|session|weekly|hour) limit|hit your limit|quota exceeded|RateLimitError",
            ),
        ),
        (
            Kind::Unauthorized,
            compile(
                r"\b401\b|\b403\b|unauthori[sz]ed|authentication|invalid (api|x-api)[ -]?key|invalid bearer|api key|not logged in|/login\b|log in\b|login required|oauth token|authenticate you|permission_error",
            ),
        ),
        (
            Kind::Overloaded,
            compile(
                r"overloaded|\b5(00|02|03|04|29)\b|service unavailable|internal server error|bad gateway|timed? ?out|connection (error|reset|refused|lost|closed)|connect(ion)? failed|stream (disconnected|error|closed)|ServiceUnavailableError|APIConnectionError|ECONN|ENOTFOUND|EAI_AGAIN|fetch failed",
            ),
        ),
        (Kind::Refused, compile(r"usage policy|policy violation|content[ _]filter|content policy|refusal|refused to|cannot help with")),
        (Kind::MaxTurns, compile(r"max(imum)?[ _-]?(number of )?turns")),
    ]
});

static AFTER: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?i)(?:again in|retry[ -]after:?|retrying in|reset(?:s)? in|wait)\s+(?P<all>(?:\d+(?:\.\d+)?\s*(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)\b[\s,]*(?:and\s+)?)+)";
    Regex::new(pattern).expect("the pattern is a constant that a test uses")
});

static PART: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)(\d+(?:\.\d+)?)\s*(ms|milli|[smhd])").expect("the pattern is a constant that a test uses"));

/// A moment in seconds since 1970, after a bar or a name.
static AT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?i)(?:\||resets?_?at"?\s*[:=]?\s*)(\d{10})\b"#).expect("the pattern is a constant that a test uses"));

#[derive(Debug, Clone, Copy)]
enum Kind {
    Exhausted,
    Limited,
    Unauthorized,
    Overloaded,
    Refused,
    MaxTurns,
}

/// What a complaint means; none when it means nothing that is known.
pub(super) fn classify(said: &str, now: OffsetDateTime) -> Option<Cause> {
    let (kind, _) = KINDS.iter().find(|(_, pattern)| pattern.is_match(said))?;
    let said = said.to_owned();
    Some(match kind {
        Kind::Exhausted => Cause::Exhausted(said),
        Kind::Limited => Cause::RateLimited { reset_after: reset(&said, now), said },
        Kind::Unauthorized => Cause::Unauthorized(said),
        Kind::Overloaded => Cause::Overloaded(said),
        Kind::Refused => Cause::Refused(said),
        Kind::MaxTurns => Cause::MaxTurns,
    })
}

/// When it may be tried again, if that is told.
fn reset(said: &str, now: OffsetDateTime) -> Option<Duration> {
    let after = match (AT.captures(said), AFTER.captures(said)) {
        (Some(found), _) => {
            let at = OffsetDateTime::from_unix_timestamp(found[1].parse().ok()?).ok()?;
            Duration::try_from(at - now).unwrap_or(Duration::ZERO)
        }
        (None, Some(found)) => {
            PART.captures_iter(&found["all"]).try_fold(Duration::ZERO, |sum, part| sum.checked_add(length(&part[1], &part[2])?))?
        }
        (None, None) => return None,
    };
    (after <= RESET_MAX).then_some(after)
}

fn length(number: &str, unit: &str) -> Option<Duration> {
    let secs = match unit.to_ascii_lowercase().as_str() {
        "ms" | "milli" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => 86_400.0,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * secs).ok()
}
