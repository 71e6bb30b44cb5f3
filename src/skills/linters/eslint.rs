//! eslint, for a project that has its configuration and its program.

use std::path::Path;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{Found, Tools, answer, command, relative};
use crate::exec::{Confinement, Level};
use crate::skills::verdict::Problem;

/// Names of its configuration, newest first.
const CONFIGURATIONS: &[&str] = &[
    "eslint.config.js",
    "eslint.config.mjs",
    "eslint.config.cjs",
    "eslint.config.ts",
    ".eslintrc.js",
    ".eslintrc.cjs",
    ".eslintrc.json",
    ".eslintrc.yml",
    ".eslintrc.yaml",
    ".eslintrc",
];
/// Warnings are 1; the project decides which rules are errors.
const ERROR: u8 = 2;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    file_path: String,
    messages: Vec<Diagnostic>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Diagnostic {
    rule_id: Option<String>,
    severity: u8,
    message: String,
    line: Option<usize>,
    column: Option<usize>,
}

pub(super) async fn run(root: &Path, files: &[&String], tools: &Tools, cancel: &CancellationToken) -> Result<Found, String> {
    if !CONFIGURATIONS.iter().any(|name| root.join(name).is_file()) {
        return Err("the project has no configuration of eslint".to_owned());
    }
    let eslint = tools.eslint.as_ref().ok_or("eslint is not installed in the project")?;
    let options = ["--format", "json", "--no-error-on-unmatched-pattern", "--"].map(str::to_owned);
    let argv = [eslint.to_string_lossy().into_owned()].into_iter().chain(options).chain(files.iter().map(|file| (*file).clone()));
    let mut command = command(argv, root, tools);
    // Its configuration is a program of the project.
    command.confinement = Confinement::needing(Level::Seccomp, tools.weaker_sandbox);
    read(root, &answer(&command, &[0, 1], cancel).await?)
}

fn read(root: &Path, answer: &str) -> Result<Found, String> {
    let files: Vec<File> = serde_json::from_str(answer).map_err(|error| format!("eslint's answer cannot be read: {error}"))?;
    let mut found = Found::new();
    for File { file_path, messages } in files {
        let errors = messages.into_iter().filter(|message| message.severity >= ERROR);
        let problem = |message: Diagnostic| {
            let rule = message.rule_id.unwrap_or_else(|| "syntax".to_owned());
            let (line, column) = (message.line.unwrap_or(1), message.column.unwrap_or(1));
            Problem::new(line, column, format!("{rule} {}", message.message), "see the rule in eslint's documentation")
        };
        found.insert(relative(root, &file_path), errors.map(problem).collect());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_count_and_warnings_do_not() {
        let answer = r#"[{"filePath":"/p/a.ts","messages":[
            {"ruleId":"eqeqeq","severity":2,"message":"Expected '==='.","line":3,"column":7,"nodeType":"x"},
            {"ruleId":"no-alert","severity":1,"message":"Unexpected alert.","line":4,"column":1}],"errorCount":1}]"#;
        let found = read(Path::new("/p"), answer).unwrap();
        assert_eq!(found["a.ts"].iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>(), ["eqeqeq Expected '==='."]);
        assert!(read(Path::new("/p"), "Oops").is_err());
    }

    #[tokio::test]
    async fn without_a_configuration_it_is_not_asked() {
        let dir = tempfile::TempDir::new().unwrap();
        let none = run(dir.path(), &[], &Tools::default(), &CancellationToken::new()).await;
        assert_eq!(none.unwrap_err(), "the project has no configuration of eslint");
        std::fs::write(dir.path().join("eslint.config.js"), "export default [];\n").unwrap();
        let none = run(dir.path(), &[], &Tools::default(), &CancellationToken::new()).await;
        assert_eq!(none.unwrap_err(), "eslint is not installed in the project");
    }
}
