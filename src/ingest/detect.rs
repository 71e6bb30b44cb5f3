//! Which format a text is in, judged by its content; the file's name only breaks ties.

use crate::model::SpecFormat;

/// Top-level keys of which the structured model has at least one.
const MODEL_KEYS: [&str; 3] = ["entities", "endpoints", "rules"];

/// The format of a text.
pub(super) fn detect(text: &str, name: Option<&str>) -> SpecFormat {
    let keys = if text.trim_start().starts_with('{') { json_keys(text) } else { yaml_keys(text) };
    if keys.iter().any(|key| *key == "openapi" || *key == "swagger") {
        return SpecFormat::OpenApi;
    }
    if text.trim_start().starts_with('{') || named(name, &["yaml", "yml", "json"]) {
        return SpecFormat::Model;
    }
    if structured_markdown(text) {
        return SpecFormat::Markdown;
    }
    let model = keys.contains(&"title") && keys.iter().any(|key| MODEL_KEYS.contains(key));
    if model && !named(name, &["md", "markdown"]) { SpecFormat::Model } else { SpecFormat::Prose }
}

fn named(name: Option<&str>, extensions: &[&str]) -> bool {
    let extension = name.and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| extensions.contains(&extension.as_str()))
}

/// True when a table follows a level-two heading `Entities` or `Endpoints`, outside of code fences.
fn structured_markdown(text: &str) -> bool {
    let mut fenced = false;
    let mut inside = false;
    for line in text.lines() {
        let line = line.trim_end();
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            fenced = !fenced;
        } else if !fenced && (line.starts_with("# ") || line.starts_with("## ")) {
            let title = line.trim_start_matches('#').trim().trim_end_matches('#').trim_end();
            inside = line.starts_with("## ") && ["entities", "endpoints"].contains(&title.to_lowercase().as_str());
        } else if inside && !fenced && line.trim_start().starts_with('|') {
            return true;
        }
    }
    false
}

/// Keys at the left margin of a YAML text.
fn yaml_keys(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_alphabetic() || first == '"' || first == '\''))
        .filter_map(|line| {
            let (key, rest) = line.split_once(':')?;
            (rest.is_empty() || rest.starts_with([' ', '\t', '\r'])).then(|| key.trim().trim_matches(['"', '\'']))
        })
        .collect()
}

/// Keys of the outermost object of a JSON text, as far as it is well-formed.
fn json_keys(text: &str) -> Vec<&str> {
    let mut keys = Vec::new();
    let mut depth = 0_usize;
    let mut start = None;
    let mut last = None;
    let mut escaped = false;
    for (offset, byte) in text.bytes().enumerate() {
        match (start, byte) {
            (Some(_), b'\\') if !escaped => escaped = true,
            (Some(begin), b'"') if !escaped => {
                last = text.get(begin..offset);
                start = None;
            }
            (Some(_), _) => escaped = false,
            (None, b'"') => start = Some(offset + 1),
            (None, b':') if depth == 1 => keys.extend(last.take()),
            (None, b'{' | b'[') => depth += 1,
            (None, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, name: Option<&str>, expected: SpecFormat) {
        assert_eq!(detect(text, name), expected, "{text:?} {name:?}");
    }

    #[test]
    fn the_content_decides() {
        check("openapi: 3.0.3\ninfo: {}\n", Some("x.md"), SpecFormat::OpenApi);
        check("# a comment\n\"openapi\": '3.1.0'\n", None, SpecFormat::OpenApi);
        check("{\"info\": {\"openapi\": 1}, \"openapi\": \"3.0.0\"}", None, SpecFormat::OpenApi);
        check("{\"info\": {\"openapi\": 1}, \"title\": \"x\"}", None, SpecFormat::Model);
        check("{\"a\\\"b\": \"openapi\", \"title\": \"x\"}", None, SpecFormat::Model);
        check("title: Shop\nentities: []\n", None, SpecFormat::Model);
        check("# Shop\n\n## Entities\n\n### A\n\n| field | type |\n", None, SpecFormat::Markdown);
        check("# Shop\n\n## Endpoints\n\n| method | path |\n", Some("x.txt"), SpecFormat::Markdown);
    }

    #[test]
    fn prose_is_what_remains() {
        check("# Shop\n\n## Entities\n\nThere are many.\n\n## Other\n\n| a | b |\n", None, SpecFormat::Prose);
        check("# Shop\n\n```\n## Entities\n| field | type |\n```\n", None, SpecFormat::Prose);
        check("openapi is a standard: we use it\n", None, SpecFormat::Prose);
        check("title: a\nentities: b\n", Some("notes.md"), SpecFormat::Prose);
    }

    #[test]
    fn the_name_breaks_ties() {
        check("name: x\n", Some("x.YAML"), SpecFormat::Model);
        check("name: x\n", None, SpecFormat::Prose);
    }
}
