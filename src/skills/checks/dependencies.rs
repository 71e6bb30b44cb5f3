//! What a project is built from, stated so that it is the same tomorrow.

use super::{Check, Text, file_name};
use crate::skills::skill::Parameters;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[Check::text("pinned-dependencies", pinned_dependencies)];

const HINT: &str = "state the version that was tested, and let a tool raise it";

fn pinned_dependencies(text: &Text<'_>, _: &Parameters) -> Vec<Problem> {
    let name = file_name(text.path);
    let open: Vec<(usize, String)> = match name {
        "package.json" => quoted_versions(text.text),
        "Cargo.toml" => {
            text.text.lines().enumerate().filter(|(_, line)| starred(line)).map(|(at, line)| (at + 1, line.trim().to_owned())).collect()
        }
        _ if name == "Dockerfile" || name.ends_with(".Dockerfile") || name.starts_with("Dockerfile.") => images(text.text),
        _ if name.starts_with("requirements") && name.rsplit_once('.').is_some_and(|(_, end)| end == "txt") => requirements(text.text),
        _ => Vec::new(),
    };
    open.into_iter().map(|(line, what)| Problem::new(line, 1, format!("{what} may be another version tomorrow"), HINT)).collect()
}

/// Lines of `requirements*.txt` that no `==`, hash or address holds to a version.
fn requirements(text: &str) -> Vec<(usize, String)> {
    let mut continued = false;
    let mut open = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let begins = !std::mem::replace(&mut continued, line.trim_end().ends_with('\\'));
        let stated = line.split(" #").next().unwrap_or(line).trim().trim_end_matches('\\').trim();
        let package = begins && stated.starts_with(|c: char| c.is_ascii_alphanumeric());
        if package && !stated.contains("==") && !stated.contains('@') {
            open.push((number + 1, stated.to_owned()));
        }
    }
    open
}

/// Dependencies of `package.json` that take anything.
fn quoted_versions(text: &str) -> Vec<(usize, String)> {
    let Ok(document) = serde_json::from_str::<serde_json::Value>(text) else {
        return vec![(1, "what is no JSON".to_owned())];
    };
    let sections = ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"];
    let entries = sections.iter().filter_map(|section| document.get(section)?.as_object()).flatten();
    let open = entries.filter(|(_, version)| matches!(version.as_str(), Some("" | "*" | "x" | "latest" | "next")));
    let line = |name: &str| text.lines().position(|line| line.contains(&format!("\"{name}\""))).map_or(1, |at| at + 1);
    open.map(|(name, _)| (line(name), name.clone())).collect()
}

/// `name = "*"` and `version = "*"`.
fn starred(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or(line);
    line.split_once('=').is_some_and(|(_, value)| value.trim() == "\"*\"" || value.contains("version = \"*\""))
}

/// Base images without a tag, or with one that moves. A stage of the same file needs none.
fn images(text: &str) -> Vec<(usize, String)> {
    let mut stages: Vec<&str> = vec!["scratch"];
    let mut open = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace().filter(|word| !word.starts_with("--"));
        if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("from")) {
            continue;
        }
        let image = words.next().unwrap_or_default();
        let last = image.rsplit('/').next().unwrap_or(image);
        let moving = !last.contains(':') && !image.contains('@') || last.ends_with(":latest");
        if moving && !stages.contains(&image) && !image.contains('$') {
            open.push((number + 1, image.to_owned()));
        }
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case("as")) {
            stages.extend(words.next());
        }
    }
    open
}
