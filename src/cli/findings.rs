//! Findings as compilers print them: severity and code, message, place, hint.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::model::{Finding, Severity};

/// The findings of one source, a few lines each, in the order given.
pub fn render(findings: &[Finding], source: &str) -> String {
    findings.iter().map(|finding| one(finding, source)).collect()
}

fn one(finding: &Finding, source: &str) -> String {
    let (style, word) = label(finding.severity);
    let bold = Style::new().bold();
    let dim = Style::new().dimmed();
    let mut text = format!("{style}{word}[{}]{style:#}{bold}: {}{bold:#}\n", finding.code, finding.message);
    if let Some(position) = finding.position {
        writeln!(text, "  {dim}-->{dim:#} {source}:{position}").expect("a string takes everything");
    }
    if !finding.hint.is_empty() {
        writeln!(text, "  {dim}hint:{dim:#} {}", finding.hint).expect("a string takes everything");
    }
    text
}

fn label(severity: Severity) -> (Style, &'static str) {
    match severity {
        Severity::Error => (AnsiColor::Red.on_default().bold(), "error"),
        Severity::Warning => (AnsiColor::Yellow.on_default().bold(), "warning"),
        Severity::Info => (AnsiColor::Cyan.on_default().bold(), "note"),
    }
}

/// How many there are of each severity, in words: `1 error, 2 warnings, 3 notes`.
pub fn count(findings: &[Finding]) -> String {
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let parts = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "note")];
    let counted = parts.into_iter().map(|(severity, word)| (of(severity), word)).filter(|(count, _)| *count > 0);
    let words: Vec<String> = counted.map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" })).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Position;

    #[test]
    fn a_finding_reads_like_a_compiler_message() {
        let place = Some(Position { line: 3, column: 7 });
        let findings = [
            Finding::error("unknown-type", "`strin` is no type", place, "did you mean `string`?"),
            Finding::info("derived", "a key was added", None, ""),
        ];
        let text = anstream::adapter::strip_str(&render(&findings, "shop.md")).to_string();
        let expect =
            "error[unknown-type]: `strin` is no type\n  --> shop.md:3:7\n  hint: did you mean `string`?\nnote[derived]: a key was added\n";
        assert_eq!(text, expect);
        assert_eq!(count(&findings), "1 error, 1 note");
        assert_eq!(count(&[]), "none");
    }
}
