//! Migrations: the first one from nothing, later ones from what was delivered before. What was delivered is never rewritten.

use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};

use super::migration_steps::{Neutral, steps};
use super::tables::Snapshot;
use super::{GenerateError, GeneratedFile, Prior};

/// Where migrations stand.
const FOLDER: &str = "migrations/versions/";
/// What they lead to.
const TABLES: &str = "migrations/tables.json";

/// The migrations after this delivery: the earlier ones byte for byte, one more when the tables differ, and the snapshot.
pub(super) fn files(
    snapshot: &Snapshot,
    neutral: &Neutral,
    prior: &Prior,
    render: impl Fn(&Value) -> Result<String, GenerateError>,
) -> Result<Vec<GeneratedFile>, GenerateError> {
    let delivered: BTreeMap<&String, &Vec<u8>> = prior
        .files
        .iter()
        .filter(|(path, _)| {
            path.strip_prefix(FOLDER)
                .is_some_and(|name| !name.contains('/') && Path::new(name).extension().is_some_and(|extension| extension == "py"))
        })
        .collect();
    let before = earlier(prior, delivered.is_empty())?;
    let mut files: Vec<GeneratedFile> = delivered.iter().map(|(path, content)| file((*path).clone(), (*content).clone())).collect();
    if before.tables != snapshot.tables {
        let (down, number) = head(&delivered);
        let revision = format!("{number:04}");
        let name = if down.is_none() { "initial".to_owned() } else { slug(&before, snapshot) };
        let (forth, back) = (steps(&before, snapshot, neutral, "before"), steps(snapshot, &before, neutral, "after"));
        let text = render(&json!({
            "title": title(&before, snapshot),
            "notes": forth.notes,
            "revision": revision,
            "down_revision": down,
            "tables": forth.tables.iter().chain(&back.tables).collect::<Vec<_>>(),
            "upgrade": forth.lines,
            "downgrade": back.lines,
            "guarded": forth.guarded || back.guarded,
        }))?;
        files.push(file(format!("{FOLDER}{revision}_{name}.py"), text.into_bytes()));
    }
    let text = serde_json::to_string_pretty(snapshot).unwrap_or_default() + "\n";
    files.push(file(TABLES.to_owned(), text.into_bytes()));
    Ok(files)
}

fn file(path: String, content: Vec<u8>) -> GeneratedFile {
    GeneratedFile { path, content, executable: false }
}

/// The tables that the delivered migrations lead to.
fn earlier(prior: &Prior, none: bool) -> Result<Snapshot, GenerateError> {
    if none {
        return Ok(Snapshot { format: 1, tables: Vec::new() });
    }
    let broken = |reason: String| GenerateError::Snapshot { path: TABLES.to_owned(), reason };
    let bytes = prior.files.get(TABLES).ok_or_else(|| broken("it is missing, though there are migrations".to_owned()))?;
    serde_json::from_slice(bytes).map_err(|error| broken(error.to_string()))
}

/// The revision that no other one follows, and the next number.
fn head(delivered: &BTreeMap<&String, &Vec<u8>>) -> (Option<String>, u32) {
    let named = Regex::new(r#"(?m)^(down_revision|revision)\b[^=\n]*=\s*["']([^"']+)["']"#).expect("the pattern is a constant");
    let (mut revisions, mut followed, mut number) = (Vec::new(), Vec::new(), 0);
    for (path, content) in delivered {
        let name = path.strip_prefix(FOLDER).unwrap_or(path);
        let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
        number = number.max(digits.parse().unwrap_or(0));
        for found in named.captures_iter(&String::from_utf8_lossy(content)) {
            if &found[1] == "revision" { revisions.push(found[2].to_owned()) } else { followed.push(found[2].to_owned()) }
        }
    }
    let head = revisions.iter().rev().find(|revision| !followed.contains(revision)).or(revisions.last()).cloned();
    (head, number + 1)
}

/// What changes, in a phrase.
fn title(before: &Snapshot, after: &Snapshot) -> String {
    if before.tables.is_empty() {
        return "Create the tables".to_owned();
    }
    let names = |from: &Snapshot, to: &Snapshot| -> Vec<String> {
        from.tables.iter().filter(|table| to.tables.iter().all(|other| other.name != table.name)).map(|table| table.name.clone()).collect()
    };
    let (added, dropped) = (names(after, before), names(before, after));
    let changed: Vec<String> = after
        .tables
        .iter()
        .filter(|table| before.tables.iter().any(|other| other.name == table.name && other != *table))
        .map(|table| table.name.clone())
        .collect();
    let parts = [("create", added), ("drop", dropped), ("change", changed)];
    let parts: Vec<String> =
        parts.iter().filter(|(_, names)| !names.is_empty()).map(|(verb, names)| format!("{verb} {}", names.join(", "))).collect();
    let text = if parts.is_empty() { "reorder the tables".to_owned() } else { parts.join("; ") };
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn slug(before: &Snapshot, after: &Snapshot) -> String {
    let title = title(before, after).to_lowercase();
    let words: Vec<&str> = title.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("_").chars().take(40).collect::<String>().trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::tables::{Column, ColumnKind, Key, Table};

    fn table(name: &str, columns: &[(&str, ColumnKind, bool)]) -> Table {
        let column = |(name, kind, nullable): &(&str, ColumnKind, bool)| Column {
            name: (*name).to_owned(),
            kind: kind.clone(),
            nullable: *nullable,
            default: None,
            numbered: false,
        };
        Table {
            name: name.to_owned(),
            columns: columns.iter().map(column).collect(),
            primary_key: Key { name: format!("pk_{name}"), columns: vec!["id".to_owned()] },
            uniques: Vec::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            indexes: Vec::new(),
        }
    }

    fn snapshot(tables: Vec<Table>) -> Snapshot {
        Snapshot { format: 1, tables }
    }

    fn deliver(snapshot: &Snapshot, prior: &Prior) -> Prior {
        let files = files(snapshot, &Neutral::new(), prior, |context| {
            Ok(format!("revision = {}\ndown_revision = {}\n{context}", context["revision"], context["down_revision"]))
        })
        .expect("renders");
        Prior { files: files.into_iter().map(|file| (file.path, file.content)).collect() }
    }

    fn paths(prior: &Prior) -> Vec<&str> {
        prior.files.keys().map(String::as_str).collect()
    }

    #[test]
    fn the_first_delivery_creates_the_tables() {
        let first = deliver(&snapshot(vec![table("books", &[("id", ColumnKind::Uuid, false)])]), &Prior::default());
        assert_eq!(paths(&first), ["migrations/tables.json", "migrations/versions/0001_initial.py"]);
    }

    #[test]
    fn equal_tables_add_nothing() {
        let tables = snapshot(vec![table("books", &[("id", ColumnKind::Uuid, false)])]);
        let first = deliver(&tables, &Prior::default());
        assert_eq!(deliver(&tables, &first), first);
    }

    #[test]
    fn changed_tables_add_a_migration_and_keep_the_earlier_ones() {
        let first = deliver(&snapshot(vec![table("books", &[("id", ColumnKind::Uuid, false)])]), &Prior::default());
        let changed = snapshot(vec![table("books", &[("id", ColumnKind::Uuid, false), ("title", ColumnKind::Text, true)])]);
        let second = deliver(&changed, &first);
        assert_eq!(
            paths(&second),
            ["migrations/tables.json", "migrations/versions/0001_initial.py", "migrations/versions/0002_change_books.py"]
        );
        let old = "migrations/versions/0001_initial.py";
        assert_eq!(second.files[old], first.files[old]);
        let text = String::from_utf8_lossy(&second.files["migrations/versions/0002_change_books.py"]).into_owned();
        assert!(text.contains("down_revision = \"0001\""), "{text}");
        assert!(text.contains("batch.add_column(sa.Column(\\\"title\\\", sa.Text(), nullable=True))"), "{text}");
    }

    #[test]
    fn migrations_without_their_snapshot_are_refused() {
        let mut prior = Prior::default();
        prior.files.insert("migrations/versions/0001_initial.py".to_owned(), b"revision = '0001'".to_vec());
        let error = files(&snapshot(Vec::new()), &Neutral::new(), &prior, |_| Ok(String::new())).expect_err("refused");
        assert!(error.to_string().starts_with("`migrations/tables.json` of the earlier delivery is not readable"), "{error}");
    }
}
