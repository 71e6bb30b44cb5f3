//! Which language a file is written in, by its name, and the grammar that reads it.

use serde::{Deserialize, Serialize};

/// The languages that checks tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Language {
    Python,
    JavaScript,
    TypeScript,
    Tsx,
    Rust,
    Css,
    Html,
    /// Any other text: only what needs no grammar is checked in it.
    Other,
}

/// JavaScript and its relatives.
pub(super) const SCRIPTS: &[Language] = &[Language::JavaScript, Language::TypeScript, Language::Tsx];
/// Languages in which programs are written.
pub(super) const CODE: &[Language] = &[Language::Python, Language::JavaScript, Language::TypeScript, Language::Tsx, Language::Rust];
/// Languages in which pages and components are written.
pub(super) const MARKUP: &[Language] = &[Language::JavaScript, Language::Tsx, Language::Html];

impl Language {
    /// The language of a file of that name.
    pub fn of(path: &str) -> Self {
        match path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension) {
            Some("py" | "pyi") => Self::Python,
            Some("js" | "jsx" | "mjs" | "cjs") => Self::JavaScript,
            Some("ts" | "mts" | "cts") => Self::TypeScript,
            Some("tsx") => Self::Tsx,
            Some("rs") => Self::Rust,
            Some("css") => Self::Css,
            Some("html" | "htm") => Self::Html,
            _ => Self::Other,
        }
    }

    /// The language of that name; none for one that no check tells apart.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Python, Self::JavaScript, Self::TypeScript, Self::Tsx, Self::Rust, Self::Css, Self::Html];
        all.into_iter().find(|language| language.as_str() == name)
    }

    /// The text in JSON, and the name by which plans and target packs call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
            Self::TypeScript => "typescript",
            Self::Tsx => "tsx",
            Self::Rust => "rust",
            Self::Css => "css",
            Self::Html => "html",
            Self::Other => "other",
        }
    }

    /// What parses it; none for text that has no grammar here.
    pub(super) fn grammar(self) -> Option<tree_sitter::Language> {
        Some(match self {
            Self::Python => tree_sitter_python::LANGUAGE.into(),
            Self::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Self::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Self::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
            Self::Rust => tree_sitter_rust::LANGUAGE.into(),
            Self::Css => tree_sitter_css::LANGUAGE.into(),
            Self::Html => tree_sitter_html::LANGUAGE.into(),
            Self::Other => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Language;

    #[test]
    fn a_file_is_known_by_the_end_of_its_name() {
        let check = |path, expected| assert_eq!(Language::of(path), expected, "{path}");
        check("src/app/main.py", Language::Python);
        check("web/App.tsx", Language::Tsx);
        check("web/app.test.mjs", Language::JavaScript);
        check("src.rs/Dockerfile", Language::Other);
        check("py", Language::Other);
    }
}
