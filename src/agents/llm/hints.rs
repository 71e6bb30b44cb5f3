//! When a server wants to be asked again, as its headers say.

use std::time::Duration;

use reqwest::header::HeaderMap;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// A wait beyond this is a mistake of the server's.
const WAIT_MAX: Duration = Duration::from_hours(24);
/// What providers count, as it stands in the names of their headers.
const COUNTED: [&str; 4] = ["requests", "tokens", "input-tokens", "output-tokens"];

/// How long to wait: `retry-after-ms`, else `retry-after` in seconds or as a date, else the latest reset of a limit that is used up.
pub(super) fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let stated = text("retry-after-ms").and_then(|ms| seconds(ms).map(|ms| ms / 1_000));
    let stated = stated.or_else(|| text("retry-after").and_then(|value| seconds(value).or_else(|| until(value, now))));
    let resets = COUNTED.into_iter().flat_map(|counted| {
        let used_up = |remaining: Option<&str>| remaining == Some("0");
        let anthropic = used_up(text(&format!("anthropic-ratelimit-{counted}-remaining")))
            .then(|| text(&format!("anthropic-ratelimit-{counted}-reset")).and_then(|value| until(value, now)));
        let openai = used_up(text(&format!("x-ratelimit-remaining-{counted}")))
            .then(|| text(&format!("x-ratelimit-reset-{counted}")).and_then(spoken));
        [anthropic.flatten(), openai.flatten()]
    });
    stated.or_else(|| resets.flatten().max()).map(|wait| wait.min(WAIT_MAX))
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse::<f64>().ok().and_then(|secs| Duration::try_from_secs_f64(secs).ok())
}

/// The time until a date; none left when it is past.
fn until(text: &str, now: OffsetDateTime) -> Option<Duration> {
    let date = OffsetDateTime::parse(text, &Rfc2822).or_else(|_| OffsetDateTime::parse(text, &Rfc3339)).ok()?;
    Some(Duration::try_from(date - now).unwrap_or(Duration::ZERO))
}

/// A span as `1h2m3s`, `6m0s`, `1.5s`, `20ms`.
fn spoken(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let factor = match &after[..unit] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor).ok()?)?;
        rest = &after[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};
    use time::macros::datetime;

    use super::*;

    fn check(headers: &[(&'static str, &'static str)], expected_ms: Option<u64>) {
        let map: HeaderMap = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        assert_eq!(retry_after(&map, datetime!(2026-03-01 12:00:00 UTC)), expected_ms.map(Duration::from_millis), "{headers:?}");
    }

    #[test]
    fn hints_of_every_form_are_understood() {
        check(&[], None);
        check(&[("retry-after", "7")], Some(7_000));
        check(&[("retry-after", "1.5"), ("retry-after-ms", "20")], Some(20));
        check(&[("retry-after", "Sun, 01 Mar 2026 12:00:30 GMT")], Some(30_000));
        check(&[("retry-after", "Sun, 01 Mar 2026 11:00:00 GMT")], Some(0));
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "-3")], None);
        check(&[("retry-after", "99999999")], Some(86_400_000));
        check(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "6m0s")], Some(360_000));
        check(&[("x-ratelimit-remaining-requests", "3"), ("x-ratelimit-reset-requests", "6m0s")], None);
        check(&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "20ms")], Some(20));
        check(&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "later")], None);
        check(
            &[
                ("anthropic-ratelimit-requests-remaining", "0"),
                ("anthropic-ratelimit-requests-reset", "2026-03-01T12:00:05Z"),
                ("anthropic-ratelimit-output-tokens-remaining", "0"),
                ("anthropic-ratelimit-output-tokens-reset", "2026-03-01T12:00:09Z"),
            ],
            Some(9_000),
        );
    }
}
