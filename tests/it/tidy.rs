//! The repository's own rules, held as tests: layering, sizes, who may name what, unused files, documents in step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use specwave::learning::trial::{Standing, StandingEvent};
use specwave::model::run_state::{RunEvent, RunState};
use specwave::model::unit_state::{UnitEvent, UnitState};

/// The rows of the layering table; a module imports only from rows above its own.
const ROWS: &[&[&str]] = &[
    &["model"],
    &["dag", "config", "redact", "failpoint"],
    &["telemetry", "exec", "embed"],
    &["store", "llm"],
    &["security", "codebase", "learning", "engine", "ingest", "generate"],
    &["skills", "context", "integrations"],
    &["agents"],
    &["pipeline", "workflows"],
    &["runner"],
    &["app"],
    &["http", "mcp"],
    &["cli"],
];

/// No file is longer.
const LINES_MAX: usize = 600;
/// From here on a file stands in `LONG_FILES`, with the reason.
const LINES_LISTED: usize = 400;
const LONG_FILES: &[(&str, &str)] = &[
    ("src/engine/reference.rs", "the whole engine without a database, one event after the other"),
    ("src/exec/output/tests.rs", "one scenario after the other of delivering into a directory"),
    ("src/generate/context_router.rs", "what each template of the transport layer is given, operation by operation"),
    ("src/generate/layout.rs", "one pass that lays out Python like its formatter, each rule of it a function"),
    ("src/generate/project.rs", "the specification as one target sees it, names resolved once"),
    ("src/ingest/openapi/entities.rs", "how a schema becomes an entity, field by field"),
    ("src/ingest/openapi/tests.rs", "one quirk of a document after the other"),
];

/// Who may name a library, and how its name appears in code.
const OWNED: &[(&[&str], &[&str])] = &[
    (&["store"], &["sqlx::", "qdrant_edge::", "qdrant_client::", "tonic::", "neo4rs::", "redis::"]),
    (&["http"], &["axum::"]),
    (&["embed"], &["fastembed::"]),
    (&["generate", "agents"], &["minijinja::"]),
    (&["agents"], &["genai::"]),
    (&["exec"], &["landlock::", "seccompiler::", "libc::", "close_fds::"]),
];

/// Words that no file contains, put together here so that this one does not either.
fn forbidden() -> Vec<String> {
    let hosts =
        [["crates", ".io"], ["static.crates", ".io"], ["py", "pi.org"], ["pythonhosted", ".org"], ["npmjs", ".org"], ["npmjs", ".com"]];
    let more = [["hugging", "face.co"], ["repo1.maven", ".org"], ["proxy.golang", ".org"], ["TO", "DO"], ["FIX", "ME"]];
    let code = [["todo", "!("], ["unimplemented", "!("], ["#[ig", "nore"], ["dev", "matrix"], ["/work", "/"]];
    hosts.into_iter().chain(more).chain(code).map(|parts| parts.concat()).collect()
}

#[test]
fn a_module_imports_only_from_rows_above_its_own() {
    let row = |module: &str| ROWS.iter().position(|row| row.contains(&module));
    let path = Regex::new(r"\bcrate::(?:(\w+)|\{([^;]*)\})").unwrap();
    let mut wrong = Vec::new();
    for file in sources() {
        let Some(module) = module_of(&file) else { continue };
        let Some(own) = row(&module) else {
            wrong.push(format!("{module} is in no row of the layering table"));
            continue;
        };
        for found in path.captures_iter(&code(&file)) {
            let names = found.get(1).or_else(|| found.get(2)).unwrap().as_str();
            for name in top_names(names).filter(|name| *name != module) {
                if row(&name).is_some_and(|row| row >= own) {
                    wrong.push(format!("{} imports from {name}, which is not above {module}", shown(&file)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short_or_listed_with_a_reason() {
    let mut wrong = Vec::new();
    let mut long = BTreeSet::new();
    for file in sources().into_iter().chain(files_below("tests")).filter(|file| has_extension(file, "rs")) {
        let lines = read(&file).lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{} has {lines} lines, more than {LINES_MAX}", shown(&file)));
        }
        if lines >= LINES_LISTED {
            long.insert(shown(&file));
        }
    }
    let listed: BTreeSet<String> = LONG_FILES.iter().map(|(file, _)| (*file).to_owned()).collect();
    wrong.extend(long.difference(&listed).map(|file| format!("{file} has {LINES_LISTED} lines or more and is not listed")));
    wrong.extend(listed.difference(&long).map(|file| format!("{file} is listed as long and is not")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_are_named_only_by_the_module_that_owns_them() {
    let mut wrong = Vec::new();
    for file in sources() {
        let text = code_without_tests(&file);
        let module = module_of(&file).unwrap_or_default();
        for (owners, names) in OWNED.iter().filter(|(owners, _)| !owners.contains(&module.as_str())) {
            let found = names.iter().filter(|name| text.contains(&format!("use {name}")) || text.contains(&format!(" {name}")));
            wrong.extend(found.map(|name| format!("{} names {name}, which only {} may", shown(&file), owners.join(" and "))));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_some_modules_reach_outside() {
    // Who may say what, beside tests: printing, reading the environment, the connection that sees every tenant.
    let rules: &[(&str, &[&str])] = &[
        (r"\be?print(ln)?!\(", &["cli", "main", "exec", "telemetry"]),
        (r"\benv::vars?(_os)?\(", &["config", "failpoint"]),
        (r"\bSystemTx\b", &["store", "engine", "runner", "security"]),
        // Everything else runs commands through `exec::Command`. `cli` asks the interpreter for its version.
        (r"\bprocess::(Command|\{[^}]*Command)", &["exec", "store", "embed", "cli"]),
    ];
    let mut wrong = Vec::new();
    for (pattern, owners) in rules {
        let pattern = Regex::new(pattern).unwrap();
        for file in sources() {
            let module = module_of(&file).unwrap_or_else(|| "main".to_owned());
            if !owners.contains(&module.as_str()) && pattern.is_match(&code_without_tests(&file)) {
                wrong.push(format!("{} matches {pattern}, which only {} may", shown(&file), owners.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_template_and_statement_file_is_used() {
    let mut wrong = Vec::new();
    for pack in folders_below("targets") {
        let files = files_in(&pack);
        let manifest = read(&pack.join("pack.toml"));
        let texts: Vec<(PathBuf, String)> = files.iter().map(|file| (file.clone(), read(file))).collect();
        for file in files.iter().filter(|file| file.starts_with(pack.join("templates"))) {
            let name = file.strip_prefix(pack.join("templates")).unwrap().to_string_lossy().into_owned();
            let used = |text: &str| text.contains(&format!("\"{name}\"")) || text.contains(&format!("'{name}'"));
            if !used(&manifest) && !texts.iter().any(|(other, text)| other != file && used(text)) {
                wrong.push(format!("{} is used by no unit and no template", shown(file)));
            }
        }
    }
    let all: String = sources().iter().map(|file| read(file)).collect();
    for file in files_below("src")
        .into_iter()
        .chain(files_below("cypher"))
        .filter(|file| !has_extension(file, "rs") && !has_extension(file, "snap"))
    {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !all.contains(&name) {
            wrong.push(format!("{} is named by no source file", shown(&file)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_route_is_called_by_a_test() {
    let described = Regex::new(r#"#\[utoipa::path\(\s*(\w+),\s*path = "([^"]+)""#).unwrap();
    let beside = Regex::new(r#"\.route\(\s*"([^"]+)",\s*(\w+)\("#).unwrap();
    let mut routes = BTreeSet::new();
    for text in files_below("src/http").iter().filter(|file| has_extension(file, "rs")).map(|file| read(file)) {
        routes.extend(described.captures_iter(&text).map(|found| format!("{} {}", found[1].to_uppercase(), &found[2])));
        routes.extend(beside.captures_iter(&text).map(|found| format!("{} {}", found[2].to_uppercase(), &found[1])));
    }
    assert!(routes.len() > 30, "the routes are found: {routes:?}");
    let tests = files_below("tests/it").into_iter().filter(|file| file.file_name().unwrap().to_string_lossy().starts_with("http"));
    let tests: String = tests.map(|file| code(&file)).collect();
    let missing: Vec<&String> = routes.iter().filter(|route| !tests.contains(&format!("\"{route}\""))).collect();
    assert!(missing.is_empty(), "no test of tests/it/http*.rs calls\n{missing:#?}");
}

#[test]
fn migrations_are_numbered_without_gaps() {
    let names: Vec<String> =
        files_below("migrations").iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert!(!names.is_empty());
    for (at, name) in names.iter().enumerate() {
        assert!(
            name.starts_with(&format!("{:04}_", at + 1)) && has_extension(Path::new(name), "sql"),
            "{name} is not migration {}",
            at + 1
        );
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let mut section = String::new();
    let mut wrong = Vec::new();
    for line in read(&root().join("Cargo.toml")).lines() {
        if line.starts_with('[') {
            line.clone_into(&mut section);
        } else if section.ends_with("dependencies]") && line.contains('=') && !line.contains(" # ") {
            wrong.push(line.to_owned());
        }
    }
    assert!(wrong.is_empty(), "no reason beside:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_contains_a_forbidden_word() {
    let words = forbidden();
    let mut wrong = Vec::new();
    let folders = ["src", "tests", "migrations", "cypher", "targets", "examples", "scripts", "benches", ".ci"];
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let files = folders
        .into_iter()
        .flat_map(files_below)
        .chain(top)
        .filter(|file| file.file_name().is_none_or(|name| name != "Cargo.lock" && name != ".git"));
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            let found = words.iter().filter(|word| line.contains(word.as_str()));
            wrong.extend(found.map(|word| format!("{}:{}: {word}", shown(&file), number + 1)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_architecture_names_every_module() {
    let text = read(&root().join("src/ARCHITECTURE.md"));
    let lib = read(&root().join("src/lib.rs"));
    for module in top_modules() {
        assert!(text.contains(&format!("`{module}`")), "src/ARCHITECTURE.md does not name `{module}`");
        assert!(lib.contains(&format!("pub mod {module};")), "src/lib.rs does not name {module}");
    }
}

#[test]
fn the_architecture_shows_the_states_as_they_are() {
    let text = read(&root().join("src/ARCHITECTURE.md"));
    let unit = chart(&UnitState::ALL, &UnitEvent::ALL, UnitState::next, UnitState::as_str);
    let run = chart(&RunState::ALL, &RunEvent::ALL, RunState::next, RunState::as_str);
    let standing = chart(&Standing::ALL, &StandingEvent::ALL, Standing::next, Standing::as_str);
    for chart in [unit, run, standing] {
        assert!(text.contains(&chart), "src/ARCHITECTURE.md lacks this chart, word for word:\n\n{chart}");
    }
}

/// A state chart: from each state, in order, where it goes and by which events.
fn chart<S: Copy + PartialEq, E: Copy + Debug>(
    states: &[S],
    events: &[E],
    next: fn(S, E) -> Option<S>,
    name: fn(S) -> &'static str,
) -> String {
    let mut text = format!("```mermaid\nstateDiagram-v2\n    [*] --> {}\n", name(states[0]));
    for &from in states {
        for &to in states {
            let by: Vec<String> =
                events.iter().filter(|event| next(from, **event) == Some(to)).map(|event| spoken(&format!("{event:?}"))).collect();
            if !by.is_empty() {
                writeln!(text, "    {} --> {}: {}", name(from), name(to), by.join(", ")).unwrap();
            }
        }
    }
    text + "```\n"
}

/// `CamelCase` as words in lower case.
fn spoken(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).to_string_lossy().into_owned()
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

fn sources() -> Vec<PathBuf> {
    files_below("src").into_iter().filter(|file| has_extension(file, "rs")).collect()
}

/// Every file below a folder of the repository, sorted; none when there is no such folder.
fn files_below(folder: &str) -> Vec<PathBuf> {
    files_in(&root().join(folder))
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn folders_below(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

fn top_modules() -> BTreeSet<String> {
    sources().iter().filter_map(|file| module_of(file)).collect()
}

/// The top-level module of a source file; none for `lib.rs` and `main.rs`.
fn module_of(file: &Path) -> Option<String> {
    let inside = file.strip_prefix(root().join("src")).ok()?;
    let first = inside.components().next()?.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
    (first != "lib" && first != "main").then_some(first)
}

/// The names at the top of `a::b` or of `a::{b, c}, d`.
fn top_names(names: &str) -> impl Iterator<Item = String> {
    let mut depth = 0_usize;
    let mut found = vec![String::new()];
    for c in names.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => found.push(String::new()),
            c if depth == 0 && !c.is_whitespace() => found.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    found.into_iter().map(|name| name.split("::").next().unwrap_or_default().to_owned())
}

/// A source file without its comments.
fn code(file: &Path) -> String {
    let text = read(file);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    lines.join("\n")
}

/// A source file without comments and tests; of files that hold nothing else, nothing.
fn code_without_tests(file: &Path) -> String {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let only_tests = ["tests", "testing", "sample", "oracle"].iter().any(|test| name.ends_with(test));
    let text = code(file);
    let tests = Regex::new(r"#\[cfg\(test\)\]\s*(#\[[^\n]*\]\s*)*(pub(\(\w+\))? )?mod tests \{").unwrap();
    let end = tests.find(&text).map_or(text.len(), |found| found.start());
    if only_tests { String::new() } else { text[..end].to_owned() }
}

#[test]
fn the_rules_notice_what_they_forbid() {
    assert_eq!(top_names("model::{a, b}, dag").collect::<Vec<_>>(), ["model", "dag"]);
    assert_eq!(top_names("store").collect::<Vec<_>>(), ["store"]);
    assert_eq!(spoken("DependenciesDone"), "dependencies done");
    let rows: BTreeMap<&str, usize> = ROWS.iter().enumerate().flat_map(|(at, row)| row.iter().map(move |module| (*module, at))).collect();
    assert!(rows["cli"] > rows["app"] && rows["app"] > rows["pipeline"] && rows["pipeline"] > rows["store"]);
}
