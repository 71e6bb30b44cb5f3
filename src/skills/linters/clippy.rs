//! clippy, for a Cargo project and a `cargo` that was named: it compiles what it judges, build scripts included.

use std::path::Path;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{Found, Tools, answer, command, relative};
use crate::exec::{Confinement, Level};
use crate::skills::verdict::Problem;

#[derive(Deserialize)]
struct Line {
    reason: String,
    message: Option<Diagnostic>,
}

#[derive(Deserialize)]
struct Diagnostic {
    message: String,
    level: String,
    code: Option<Code>,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: usize,
    column_start: usize,
    is_primary: bool,
}

pub(super) async fn run(root: &Path, tools: &Tools, cancel: &CancellationToken) -> Result<Found, String> {
    if !root.join("Cargo.toml").is_file() {
        return Err("no Cargo project".to_owned());
    }
    let cargo = tools.cargo.as_ref().ok_or("cargo was not named; clippy compiles what it judges")?;
    let scratch = tempfile::TempDir::new().map_err(|error| format!("no scratch directory: {error}"))?;
    let options = ["clippy", "--offline", "--locked", "--all-targets", "--quiet", "--message-format=json"].map(str::to_owned);
    let mut command = command([cargo.to_string_lossy().into_owned()].into_iter().chain(options), root, tools);
    command.env.insert("CARGO_TARGET_DIR".to_owned(), scratch.path().to_string_lossy().into_owned());
    command.writable.push(scratch.path().to_owned());
    command.confinement = Confinement::needing(Level::Seccomp, tools.weaker_sandbox);
    // 101: it found errors, and says so in its answer.
    let answer = answer(&command, &[0, 101], cancel).await?;
    read(root, &answer)
}

fn read(root: &Path, answer: &str) -> Result<Found, String> {
    let mut found = Found::new();
    let mut finished = false;
    for line in answer.lines().filter(|line| line.starts_with('{')) {
        let line: Line = serde_json::from_str(line).map_err(|error| format!("clippy's answer cannot be read: {error}"))?;
        finished |= line.reason == "build-finished";
        let Some(Diagnostic { message, level, code, spans }) = line.message.filter(|_| line.reason == "compiler-message") else { continue };
        if level != "warning" && level != "error" {
            continue;
        }
        let Some(span) = spans.into_iter().find(|span| span.is_primary) else { continue };
        let name = code.map_or(level, |code| code.code);
        let problem =
            Problem::new(span.line_start, span.column_start, format!("{name} {message}"), "see the lint in clippy's documentation");
        found.entry(relative(root, &span.file_name)).or_default().push(problem);
    }
    // Without it cargo never came to judge anything.
    if finished { Ok(found) } else { Err("cargo did not build the project".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_told_where_they_begin_and_a_build_that_never_was_is_no_success() {
        let warning = r#"{"reason":"compiler-message","message":{"message":"unneeded return","level":"warning","code":{"code":"clippy::needless_return"},
            "spans":[{"file_name":"src/lib.rs","line_start":4,"column_start":5,"is_primary":true}]}}"#
            .replace('\n', "");
        let end = r#"{"reason":"build-finished","success":true}"#;
        let found = read(Path::new("/p"), &format!("{warning}\n{end}\n")).unwrap();
        assert_eq!(found["src/lib.rs"][0].message, "clippy::needless_return unneeded return");
        assert_eq!(read(Path::new("/p"), "").unwrap_err(), "cargo did not build the project");
    }
}
