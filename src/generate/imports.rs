//! Writes a module's imports from the names that its code uses, sorted as the linter wants them.
//!
//! Templates mark the place with a line `# imports`. A name counts as used when it stands in code (also inside the braces
//! of an f-string), is no attribute and no keyword argument.

use std::collections::{BTreeMap, BTreeSet};

/// Where names come from: `name` → module. A module that starts with `=` is imported whole: `dt` → `=datetime`.
pub(super) type Symbols = BTreeMap<String, String>;

/// The line that the imports replace.
const MARK: &str = "# imports";

/// Names of the standard library and of the pinned packages that generated code uses.
const KNOWN: &[(&str, &str)] = &[
    ("Annotated", "typing"),
    ("Any", "typing"),
    ("ClassVar", "typing"),
    ("Final", "typing"),
    ("Literal", "typing"),
    ("NoReturn", "typing"),
    ("Self", "typing"),
    ("TYPE_CHECKING", "typing"),
    ("cast", "typing"),
    ("Callable", "collections.abc"),
    ("Iterator", "collections.abc"),
    ("Mapping", "collections.abc"),
    ("Sequence", "collections.abc"),
    ("Decimal", "decimal"),
    ("UUID", "uuid"),
    ("uuid4", "uuid"),
    ("dt", "=datetime"),
    ("json", "=json"),
    ("sa", "=sqlalchemy"),
    ("ascii_lowercase", "string"),
    ("ascii_uppercase", "string"),
    ("count", "itertools"),
    ("APIRouter", "fastapi"),
    ("Cookie", "fastapi"),
    ("Depends", "fastapi"),
    ("Header", "fastapi"),
    ("Path", "fastapi"),
    ("Query", "fastapi"),
    ("Request", "fastapi"),
    ("Response", "fastapi"),
    ("TestClient", "fastapi.testclient"),
    ("re", "=re"),
    ("math", "=math"),
    ("AfterValidator", "pydantic"),
    ("BaseModel", "pydantic"),
    ("BeforeValidator", "pydantic"),
    ("ConfigDict", "pydantic"),
    ("GetCoreSchemaHandler", "pydantic"),
    ("GetJsonSchemaHandler", "pydantic"),
    ("JsonSchemaValue", "pydantic.json_schema"),
    ("CoreSchema", "pydantic_core"),
    ("core_schema", "pydantic_core"),
    ("DateTime", "sqlalchemy"),
    ("Dialect", "sqlalchemy"),
    ("Numeric", "sqlalchemy"),
    ("TypeDecorator", "sqlalchemy.types"),
    ("TypeEngine", "sqlalchemy.types"),
    ("Field", "pydantic"),
    ("RootModel", "pydantic"),
    ("JSON", "sqlalchemy"),
    ("BigInteger", "sqlalchemy"),
    ("Boolean", "sqlalchemy"),
    ("CheckConstraint", "sqlalchemy"),
    ("ColumnElement", "sqlalchemy"),
    ("Date", "sqlalchemy"),
    ("Double", "sqlalchemy"),
    ("ForeignKeyConstraint", "sqlalchemy"),
    ("Index", "sqlalchemy"),
    ("Integer", "sqlalchemy"),
    ("PrimaryKeyConstraint", "sqlalchemy"),
    ("String", "sqlalchemy"),
    ("Text", "sqlalchemy"),
    ("Time", "sqlalchemy"),
    ("UniqueConstraint", "sqlalchemy"),
    ("Uuid", "sqlalchemy"),
    ("and_", "sqlalchemy"),
    ("delete", "sqlalchemy"),
    ("func", "sqlalchemy"),
    ("or_", "sqlalchemy"),
    ("select", "sqlalchemy"),
    ("IntegrityError", "sqlalchemy.exc"),
    ("Mapped", "sqlalchemy.orm"),
    ("Session", "sqlalchemy.orm"),
    ("mapped_column", "sqlalchemy.orm"),
    ("pytest", "=pytest"),
];

const STANDARD: &[&str] =
    &["collections.abc", "dataclasses", "datetime", "decimal", "itertools", "json", "math", "re", "string", "typing", "uuid"];

/// True when generated code imports that name from elsewhere.
pub(super) fn known(name: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == name)
}

/// Replaces the mark in `source` by the imports that the rest of it needs; `own` are further names of the project.
pub(super) fn with_imports(source: &str, own: &Symbols, package: &str) -> String {
    if !source.lines().any(|line| line == MARK) {
        return source.to_owned();
    }
    let used = names(source);
    let defined = defined(source);
    let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for name in used.iter().filter(|name| !defined.contains(*name)) {
        let known = || KNOWN.iter().find(|(known, _)| known == name).map(|(_, module)| *module);
        if let Some(module) = own.get(name).map(String::as_str).or_else(known) {
            wanted.entry(module).or_default().insert(name);
        }
    }
    let block = block(&wanted, package);
    let lines: Vec<&str> = source.lines().map(|line| if line == MARK { block.as_str() } else { line }).collect();
    lines.join("\n") + "\n"
}

fn block(wanted: &BTreeMap<&str, BTreeSet<&str>>, package: &str) -> String {
    let section = |module: &str| match module.trim_start_matches('=') {
        name if STANDARD.contains(&name) => 0,
        name if name == package || name.starts_with(&format!("{package}.")) || name.starts_with("tests") => 2,
        _ => 1,
    };
    let mut sections: [Vec<String>; 3] = [Vec::new(), Vec::new(), Vec::new()];
    for whole in [true, false] {
        for (module, names) in wanted.iter().filter(|(module, _)| module.starts_with('=') == whole) {
            let lines = &mut sections[section(module)];
            if whole {
                let module = &module[1..];
                for name in names {
                    lines.push(if *name == module { format!("import {module}") } else { format!("import {module} as {name}") });
                }
            } else {
                let mut names: Vec<&str> = names.iter().copied().collect();
                names.sort_by_key(|name| (rank(name), name.to_lowercase(), (*name).to_owned()));
                let line = format!("from {module} import {}", names.join(", "));
                lines.push(if line.len() <= 88 { line } else { format!("from {module} import (\n    {},\n)", names.join(",\n    ")) });
            }
        }
    }
    let filled: Vec<String> = sections.iter().filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n")).collect();
    filled.join("\n\n")
}

/// Constants before classes before the rest, as the linter sorts members.
fn rank(name: &str) -> u8 {
    if name.len() > 1 && name.chars().all(|letter| letter.is_uppercase() || letter == '_' || letter.is_ascii_digit()) {
        0
    } else if name.starts_with(char::is_uppercase) {
        1
    } else {
        2
    }
}

/// Classes, functions and module variables that the source defines itself.
fn defined(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in source.lines() {
        let rest = line.strip_prefix("class ").or_else(|| line.strip_prefix("def "));
        if let Some(rest) = rest {
            found.insert(identifier(rest));
        } else if !line.starts_with(' ') && (line.contains(" = ") || line.contains(": ")) {
            found.insert(identifier(line));
        }
    }
    found
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// The names that code uses.
fn names(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(source, &mut found);
    found
}

fn collect(source: &str, found: &mut BTreeSet<String>) {
    let letters: Vec<char> = source.chars().collect();
    let mut place = 0;
    let mut previous = ' ';
    let mut defining = false;
    while place < letters.len() {
        let letter = letters[place];
        if letter == '#' {
            while place < letters.len() && letters[place] != '\n' {
                place += 1;
            }
        } else if letter == '"' || letter == '\'' {
            let formatted = previous == 'f' || previous == 'F';
            let (inner, after) = text_at(&letters, place);
            if formatted {
                for part in braces(&inner) {
                    collect(&part, found);
                }
            }
            place = after;
            previous = '"';
        } else if letter.is_alphabetic() || letter == '_' {
            let start = place;
            while place < letters.len() && (letters[place].is_alphanumeric() || letters[place] == '_') {
                place += 1;
            }
            let name: String = letters[start..place].iter().collect();
            let keyword = letters.get(place) == Some(&'=') && letters.get(place + 1) != Some(&'=');
            if previous != '.' && !keyword && !defining && !declared(&letters, start, place) {
                found.insert(name.clone());
            }
            defining = name == "def" || name == "class";
            previous = letters[place - 1];
        } else {
            previous = letter;
            place += 1;
        }
    }
}

/// True for the name in `    name: type`, an attribute or a parameter on a line of its own.
fn declared(letters: &[char], start: usize, end: usize) -> bool {
    let indent = letters[..start].iter().rev().take_while(|letter| **letter == ' ').count();
    let first = indent > 0 && letters[..start - indent].last().is_none_or(|letter| *letter == '\n');
    first && letters.get(end) == Some(&':') && letters.get(end + 1) == Some(&' ') && letters[start].is_lowercase()
}

/// The content of the text that begins at `start`, and the place after it.
fn text_at(letters: &[char], start: usize) -> (String, usize) {
    let mark = letters[start];
    let triple = letters.get(start + 1) == Some(&mark) && letters.get(start + 2) == Some(&mark);
    let width = if triple { 3 } else { 1 };
    let mut place = start + width;
    let mut inner = String::new();
    while place < letters.len() {
        if letters[place] == '\\' {
            place += 2;
            continue;
        }
        if letters[place..].iter().take(width).filter(|letter| **letter == mark).count() == width {
            return (inner, place + width);
        }
        inner.push(letters[place]);
        place += 1;
    }
    (inner, place)
}

/// The code between the braces of an f-string.
fn braces(text: &str) -> Vec<String> {
    let text = text.replace("{{", "").replace("}}", "");
    let parts = text.split('{').skip(1);
    parts.filter_map(|part| part.split('}').next()).map(|part| part.split(':').next().unwrap_or(part).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expect: &str) {
        let own = Symbols::from([("Book".to_owned(), "shop.models.book".to_owned()), ("models".to_owned(), "shop".to_owned())]);
        assert_eq!(with_imports(&format!("# imports\n{body}"), &own, "shop"), format!("{expect}\n{body}\n"));
    }

    #[test]
    fn only_used_names_are_imported() {
        check(
            "x: Mapped[Decimal] = mapped_column(Uuid, default=uuid4)",
            "from decimal import Decimal\nfrom uuid import uuid4\n\nfrom sqlalchemy import Uuid\nfrom sqlalchemy.orm import Mapped, mapped_column",
        );
    }

    #[test]
    fn attributes_keywords_texts_and_own_definitions_are_not() {
        check("y = a.select, f(func=1), \"Decimal\"  # UUID", "");
        check("class A:\n    select: int", "");
    }

    #[test]
    fn code_inside_formatted_texts_counts() {
        check("z = f\"{dt.date} {{Decimal}}\"", "import datetime as dt");
    }

    #[test]
    fn sections_are_separate() {
        check(
            "z = [models, Book, dt, pytest]",
            "import datetime as dt\n\nimport pytest\n\nfrom shop import models\nfrom shop.models.book import Book",
        );
    }
}
