//! Which of a unit's changes lie within its declared files. Pure.

use serde::{Deserialize, Serialize};

use crate::exec::tree::check_path;

/// What to do with changes outside the declared files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Widening {
    /// They are not taken.
    Refused,
    /// They are taken, and reported.
    Allowed,
}

/// Why a path is outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The unit does not declare it.
    Undeclared,
    /// Another unit declares it: it is never taken.
    Owned {
        /// Its key.
        unit: String,
    },
    /// Another unit has changed it, and declares it no more than this one does.
    Shared {
        /// Its key.
        unit: String,
    },
    /// No unit may ever change it.
    Never {
        /// Why not.
        reason: String,
    },
}

/// Another unit to which a path belongs, by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// It declares it.
    Declares(String),
    /// It came first.
    Has(String),
}

/// A path outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// Which.
    pub path: String,
    /// Why.
    pub why: Why,
}

/// What became of the changed paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Within the declared files.
    pub inside: Vec<String>,
    /// Outside, and taken because the scope may be widened.
    pub widened: Vec<Outside>,
    /// Outside, and not taken.
    pub outside: Vec<Outside>,
}

impl Scope {
    /// Judges changed paths. In `declared`, an entry with a `/` at its end is a folder; an empty list declares whatever no other unit
    /// does. `owned_by_others` names the unit that a path belongs to, if it is another one. What another one declares is not taken, however
    /// wide the scope is, and some paths are never taken, declared or not.
    pub fn check<'a>(
        paths: impl IntoIterator<Item = &'a str>,
        declared: &[String],
        owned_by_others: &dyn Fn(&str) -> Option<Owner>,
        widening: Widening,
    ) -> Self {
        let mut scope = Self::default();
        for path in paths {
            let why = match (never(path), owned_by_others(path)) {
                (Some(reason), _) => Some(Why::Never { reason }),
                (None, _) if declares(declared, path) => None,
                (None, Some(Owner::Declares(unit))) => Some(Why::Owned { unit }),
                (None, Some(Owner::Has(unit))) => Some(Why::Shared { unit }),
                (None, None) if declared.is_empty() => None,
                (None, None) => Some(Why::Undeclared),
            };
            match why {
                None => scope.inside.push(path.to_owned()),
                Some(why @ (Why::Undeclared | Why::Shared { .. })) if widening == Widening::Allowed => {
                    scope.widened.push(Outside { path: path.to_owned(), why });
                }
                Some(why) => scope.outside.push(Outside { path: path.to_owned(), why }),
            }
        }
        scope
    }

    /// True for a path that is taken.
    pub fn takes(&self, path: &str) -> bool {
        self.inside.iter().any(|inside| inside == path) || self.widened.iter().any(|outside| outside.path == path)
    }
}

fn declares(declared: &[String], path: &str) -> bool {
    declared.iter().map(|entry| entry.trim_start_matches("./")).any(|entry| match entry.strip_suffix('/') {
        Some(folder) => path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
        None => path == entry,
    })
}

/// Why no unit may change a path, if so: it leads elsewhere, it steers git or specwave, or it is where secrets are kept.
fn never(path: &str) -> Option<String> {
    if let Err(error) = check_path(path) {
        return Some(error.reason.to_owned());
    }
    for name in path.split('/').map(str::to_ascii_lowercase) {
        match name.as_str() {
            name if names_git(name) || name == ".gitmodules" => return Some("it steers git".to_owned()),
            ".specwave" => return Some("it is specwave's own".to_owned()),
            name if holds_secrets(name) => return Some("secrets are kept in files of this name".to_owned()),
            _ => {}
        }
    }
    None
}

/// True for a name that is git's own directory on some system: case and invisible characters do not count on the one, a dot or a space at
/// the end, what follows a colon, and short names on the other.
pub(super) fn names_git(name: &str) -> bool {
    let invisible = |c: char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let plain: String = name.chars().filter(|c| !invisible(*c)).collect::<String>().to_ascii_lowercase();
    let plain = plain.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    matches!(plain, ".git" | "git~1")
}

/// `.env`, `.env.local`, `.envrc`; an example for others to copy holds none.
fn holds_secrets(name: &str) -> bool {
    const EXAMPLES: [&str; 5] = ["example", "sample", "template", "dist", "defaults"];
    match name.strip_prefix(".env") {
        Some("" | "rc") => true,
        Some(rest) => {
            rest.strip_prefix('.').is_some_and(|kind| !EXAMPLES.iter().any(|example| kind.split('.').any(|part| part == *example)))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(declared: &[&str], path: &str, widening: Widening, expected: Result<(), Why>) {
        let declared: Vec<String> = declared.iter().map(|&entry| entry.to_owned()).collect();
        let others = |path: &str| match path.split_once('/') {
            Some(("other", _)) => Some(Owner::Declares("unit/other".to_owned())),
            Some(("first", _)) => Some(Owner::Has("unit/first".to_owned())),
            _ => None,
        };
        let scope = Scope::check([path], &declared, &others, widening);
        let outside = |why: Why| vec![Outside { path: path.to_owned(), why }];
        let expected = match (expected, widening) {
            (Ok(()), _) => Scope { inside: vec![path.to_owned()], ..Scope::default() },
            (Err(why @ (Why::Never { .. } | Why::Owned { .. })), _) | (Err(why), Widening::Refused) => {
                Scope { outside: outside(why), ..Scope::default() }
            }
            (Err(why), Widening::Allowed) => Scope { widened: outside(why), ..Scope::default() },
        };
        assert_eq!(scope, expected, "{declared:?} {path}");
        assert_eq!(scope.takes(path), scope.outside.is_empty());
    }

    #[test]
    fn files_and_folders_are_declared() {
        for widening in [Widening::Refused, Widening::Allowed] {
            check(&["src/a.py"], "src/a.py", widening, Ok(()));
            check(&["src/a.py"], "src/a.pyc", widening, Err(Why::Undeclared));
            check(&["./src/"], "src/b/c.py", widening, Ok(()));
            check(&["src/"], "src", widening, Err(Why::Undeclared));
            check(&["src/"], "srcs/b", widening, Err(Why::Undeclared));
            check(&["src"], "src/b", widening, Err(Why::Undeclared));
            check(&["src/"], "other/x", widening, Err(Why::Owned { unit: "unit/other".to_owned() }));
            check(&["src/"], "first/x", widening, Err(Why::Shared { unit: "unit/first".to_owned() }));
            check(&[], "first/x", widening, Err(Why::Shared { unit: "unit/first".to_owned() }));
            check(&["other/x"], "other/x", widening, Ok(()));
        }
    }

    #[test]
    fn a_unit_without_declared_files_may_change_what_no_other_declares() {
        check(&[], "src/a.py", Widening::Refused, Ok(()));
        check(&[], "other/a.py", Widening::Refused, Err(Why::Owned { unit: "unit/other".to_owned() }));
    }

    #[test]
    fn some_paths_are_never_taken() {
        let git = || Why::Never { reason: "it steers git".to_owned() };
        for path in [".git/config", "a/.GIT/hooks/x", ".gitmodules", ".g\u{200c}it/x", ".git./x", ".git::$INDEX_ALLOCATION/x", "GIT~1/x"] {
            check(&[path], path, Widening::Allowed, Err(git()));
        }
        check(&[], ".specwave/manifest.json", Widening::Allowed, Err(Why::Never { reason: "it is specwave's own".to_owned() }));
        for path in [".env", "a/.env", ".env.local", ".env.production", ".envrc"] {
            let secret = Why::Never { reason: "secrets are kept in files of this name".to_owned() };
            check(&[path], path, Widening::Allowed, Err(secret));
        }
        for path in [".env.example", ".env.production.sample", "env", ".environment", ".gitignore", ".github/workflows/ci.yml"] {
            check(&[path], path, Widening::Refused, Ok(()));
        }
        for (path, reason) in [("/etc/passwd", "it starts with /"), ("a/../../b", "it holds . or .."), ("", "it is empty")] {
            let Some(Why::Never { reason: found }) =
                Scope::check([path], &[], &|_| None, Widening::Allowed).outside.pop().map(|out| out.why)
            else {
                panic!("{path} is taken")
            };
            assert!(found == reason || path.starts_with('/'), "{path}: {found}");
        }
    }
}
