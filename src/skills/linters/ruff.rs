//! ruff, by the project's own configuration.

use std::path::Path;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{Found, Tools, answer, command, relative};
use crate::skills::verdict::Problem;

#[derive(Deserialize)]
struct Diagnostic {
    filename: String,
    code: Option<String>,
    message: String,
    location: Location,
    fix: Option<Fix>,
}

#[derive(Deserialize)]
struct Fix {
    applicability: String,
}

#[derive(Deserialize)]
struct Location {
    row: usize,
    column: usize,
}

pub(super) async fn run(root: &Path, files: &[&String], tools: &Tools, cancel: &CancellationToken) -> Result<Found, String> {
    let ruff = tools.ruff.as_ref().ok_or("ruff is not installed")?;
    let options = ["check", "--no-cache", "--exit-zero", "--output-format=json", "--"].map(str::to_owned);
    let argv = [ruff.to_string_lossy().into_owned()].into_iter().chain(options).chain(files.iter().map(|file| (*file).clone()));
    let answer = answer(&command(argv, root, tools), &[0], cancel).await?;
    read(root, &answer)
}

fn read(root: &Path, answer: &str) -> Result<Found, String> {
    let messages: Vec<Diagnostic> = serde_json::from_str(answer).map_err(|error| format!("ruff's answer cannot be read: {error}"))?;
    let mut found = Found::new();
    for Diagnostic { filename, code, message, location, fix } in messages {
        let code = code.unwrap_or_else(|| "syntax".to_owned());
        let hint = if fix.is_some_and(|fix| fix.applicability == "safe") {
            "`ruff check --fix` mends it"
        } else {
            "see `ruff rule` with its code"
        };
        let problem = Problem::new(location.row, location.column, format!("{code} {message}"), hint);
        found.entry(relative(root, &filename)).or_default().push(problem);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_problems_of_their_files() {
        let answer = r#"[{"cell":null,"code":"F401","end_location":{"column":10,"row":1},"filename":"/p/src/a.py",
            "fix":{"applicability":"safe","edits":[],"message":"Remove unused import"},"location":{"column":8,"row":1},
            "message":"`os` imported but unused","noqa_row":1,"url":"x"},
            {"code":null,"filename":"/p/b.py","fix":null,"location":{"column":1,"row":3},"message":"Expected an expression"}]"#;
        let found = read(Path::new("/p"), answer).unwrap();
        let expected = Problem::new(1, 8, "F401 `os` imported but unused", "`ruff check --fix` mends it");
        assert_eq!(found["src/a.py"], [expected]);
        assert_eq!(found["b.py"][0].message, "syntax Expected an expression");
        assert!(read(Path::new("/p"), "error: no").unwrap_err().starts_with("ruff's answer cannot be read"));
    }
}
