//! aider's plain text: what it applied, its tokens and costs, and the errors of its model, after which it exits as if all were well.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::claude::micros;
use super::report::{Report, Usage};

static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^Tokens: (?P<sent>[\d.,]+[kM]?) sent, (?:(?P<write>[\d.,]+[kM]?) cache write, )?(?:(?P<hit>[\d.,]+[kM]?) cache hit, )?(?P<received>[\d.,]+[kM]?) received\.(?: Cost: .*\$(?P<session>[\d.]+) session\.)?")
        .expect("the pattern is a constant that a test uses")
});

/// What is remembered between lines.
#[derive(Debug, Default)]
pub(super) struct Aider {
    totals: [u64; 3],
    turns: u64,
}

impl Aider {
    pub(super) fn line(&mut self, line: &str, worktree: &Path, report: &mut Report) {
        if let Some(found) = TOKENS.captures(line) {
            let count = |name| found.name(name).and_then(|text| amount(text.as_str())).unwrap_or(0);
            // What went into and came out of the cache is not part of what it calls sent.
            let input = count("sent").saturating_add(count("write")).saturating_add(count("hit"));
            for (total, more) in self.totals.iter_mut().zip([input, count("hit"), count("received")]) {
                *total = total.saturating_add(more);
            }
            self.turns += 1;
            let cost_micros = found.name("session").and_then(|text| text.as_str().parse().ok()).and_then(micros);
            let [input, cached, output] = self.totals.map(Some);
            // It goes on as long as it wants and never sums up; what it printed last holds for all before.
            report.usage = Usage { input, cached, output, cost_micros, turns: Some(self.turns), complete: true };
            report.problem = None;
        } else if let Some(path) = line.strip_prefix("Applied edit to ") {
            report.edit(path.trim(), worktree);
        } else if line.starts_with("litellm.") || line.contains("API provider") {
            report.complain(line);
        } else {
            report.text(line);
        }
    }
}

/// `2.3k` is 2,300.
fn amount(text: &str) -> Option<u64> {
    let (digits, factor) = match (text.strip_suffix('k'), text.strip_suffix('M')) {
        (Some(digits), _) => (digits, 1e3),
        (_, Some(digits)) => (digits, 1e6),
        _ => (text, 1.0),
    };
    let number: f64 = digits.replace(',', "").parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (0.0..1e9).contains(&number).then(|| (number * factor).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::amount;

    #[test]
    fn amounts_are_read_as_they_are_written() {
        for (text, number) in [("145", 145), ("2.3k", 2_300), ("1.2M", 1_200_000), ("12,345", 12_345), ("0", 0)] {
            assert_eq!(amount(text), Some(number), "{text}");
        }
        assert_eq!((amount("x"), amount("1.2.3")), (None, None));
    }
}
