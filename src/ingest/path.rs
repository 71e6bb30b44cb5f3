//! Paths of endpoints: `/books/{book_id}/reviews`.

use std::collections::BTreeSet;

use super::draft::Text;
use super::names;
use crate::model::Finding;

/// Most segments of a path.
const SEGMENTS_MAX: usize = 16;
/// Most characters of a path.
const PATH_CHARS_MAX: usize = 300;

/// A checked path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    /// As written.
    pub(super) text: String,
    /// Its parts.
    pub(super) segments: Vec<Segment>,
}

/// A part of a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Segment {
    /// A fixed name.
    Name(String),
    /// A parameter.
    Parameter(String),
}

impl Path {
    /// The parameters with their indices.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (usize, &str)> {
        self.segments.iter().enumerate().filter_map(|(index, segment)| match segment {
            Segment::Parameter(name) => Some((index, name.as_str())),
            Segment::Name(_) => None,
        })
    }

    /// The last fixed name: `books` in `/books/{id}`.
    pub(super) fn last_name(&self) -> Option<&str> {
        self.names().next_back()
    }

    /// The fixed names in order.
    pub(super) fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Name(name) => Some(name.as_str()),
            Segment::Parameter(_) => None,
        })
    }

    /// True when a request could mean either: they differ in the names of parameters only.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        let same = |(left, right): (&Segment, &Segment)| match (left, right) {
            (Segment::Name(left), Segment::Name(right)) => left == right,
            (Segment::Parameter(_), Segment::Parameter(_)) => true,
            _ => false,
        };
        self.segments.len() == other.segments.len() && self.segments.iter().zip(&other.segments).all(same)
    }
}

/// Reads a path.
pub(super) fn parse(written: &Text) -> Result<Path, Finding> {
    let bad = |message: String, hint: &str| Finding::error("bad-path", message, Some(written.position), hint);
    let text = written.text.as_str();
    if text.chars().count() > PATH_CHARS_MAX {
        return Err(bad(format!("the path has more than {PATH_CHARS_MAX} characters"), "choose a shorter path"));
    }
    let shown = text.escape_debug();
    let Some(rest) = text.strip_prefix('/') else {
        return Err(bad(format!("the path `{shown}` does not begin with `/`"), "write for example `/books/{id}`"));
    };
    let mut segments = Vec::new();
    let mut seen = BTreeSet::new();
    for part in rest.split('/').filter(|_| !rest.is_empty()) {
        if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            if let Some(finding) = names::check("path parameter", name, Some(written.position)) {
                return Err(finding);
            }
            if name.contains(' ') || !name.is_ascii() {
                return Err(bad(format!("the path parameter `{name}` is no plain name"), "use ASCII letters, digits and `_`"));
            }
            if !seen.insert(names::ident(name)) {
                return Err(bad(format!("the path names the parameter `{name}` twice"), "give each parameter its own name"));
            }
            segments.push(Segment::Parameter(name.to_owned()));
        } else if plain(part) {
            segments.push(Segment::Name(part.to_owned()));
        } else {
            let hint = "use letters, digits, `-`, `_`, `.` and `{parameter}`, and no slash at the end";
            return Err(bad(format!("the path `{shown}` has the part `{}`", part.escape_debug()), hint));
        }
    }
    if segments.len() > SEGMENTS_MAX {
        return Err(bad(format!("the path has more than {SEGMENTS_MAX} parts"), "choose a shorter path"));
    }
    Ok(Path { text: text.to_owned(), segments })
}

fn plain(part: &str) -> bool {
    let dots_only = part.chars().all(|c| c == '.');
    !part.is_empty() && !dots_only && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Position;

    fn read(text: &str) -> Result<Path, Finding> {
        parse(&Text::new(text, Position::line(1)))
    }

    #[test]
    fn paths_are_names_and_parameters() {
        let path = read("/books/{book_id}/reviews").expect("sound");
        assert_eq!(path.parameters().collect::<Vec<_>>(), [(1, "book_id")]);
        assert_eq!(path.last_name(), Some("reviews"));
        assert!(path.same_place(&read("/books/{id}/reviews").expect("sound")));
        assert!(!path.same_place(&read("/books/{id}/authors").expect("sound")));
        assert_eq!(read("/").expect("sound").segments, []);
    }

    #[test]
    fn unsafe_paths_are_refused() {
        for text in ["books", "/../etc", "/books/", "/a b", "/books/{id}/x/{id}", "/books/:id", "/{}", "/{a/b}", "/a\0", "", "/{../x}"] {
            assert!(read(text).is_err(), "{text:?}");
        }
        assert!(read(&format!("/{}", "a".repeat(500))).is_err());
    }
}
