//! What several commands print alike: JSON documents, tables, durations.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

/// Prints a document as indented JSON on stdout.
pub fn print_json<T: Serialize>(document: &T) -> anyhow::Result<()> {
    Ok(print_all(&format!("{}\n", serde_json::to_string_pretty(document)?))?)
}

/// Prints a document as one line of JSON on stdout.
pub fn print_json_line<T: Serialize>(document: &T) -> anyhow::Result<()> {
    Ok(print_all(&format!("{}\n", serde_json::to_string(document)?))?)
}

/// Prints a line on stdout, as `println!` does; when stdout takes nothing any more, the exit code says so in the end.
macro_rules! say {
    ($($argument:tt)*) => { $crate::cli::output::line(&format!($($argument)*)) };
}
pub(super) use say;

/// True once a line could not be printed although somebody reads.
static UNPRINTED: AtomicBool = AtomicBool::new(false);

/// What [`say`] does with its line.
pub fn line(text: &str) {
    if let Err(error) = print_all(&format!("{text}\n"))
        && !UNPRINTED.swap(true, Ordering::Relaxed)
    {
        anstream::eprintln!("error: cannot write to stdout: {error}");
    }
}

/// True when something that was said is lost, for example because the disk behind stdout is full.
pub fn lost_lines() -> bool {
    UNPRINTED.load(Ordering::Relaxed)
}

/// Prints a text on stdout, coloured where that is wanted. A reader that goes away early (`| head`) is no error.
pub fn print_all(text: &str) -> std::io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints rows as columns, each as wide as its widest cell; the header is bold.
pub fn print_table(header: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::as_str);
        cells.chain(header.get(column).copied()).map(UnicodeWidthStr::width).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width()))));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let bold = anstyle::Style::new().bold();
    say!("{bold}{}{bold:#}", line(header));
    for row in rows {
        say!("{}", line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    }
}

/// An amount of money, given in millionths of the currency of prices.
pub fn money(micros: u64) -> String {
    format!("{}.{:06} of money", micros / 1_000_000, micros % 1_000_000)
}

/// A duration as a person says it: `340 ms`, `4.2 s`, `3 min 07 s`.
pub fn duration(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        millis @ 1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        millis => format!("{} min {:02} s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        let check = |millis, expected: &str| assert_eq!(duration(Duration::from_millis(millis)), expected);
        check(0, "0 ms");
        check(999, "999 ms");
        check(4_260, "4.2 s");
        check(187_000, "3 min 07 s");
    }
}
