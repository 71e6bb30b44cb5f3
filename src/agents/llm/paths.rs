//! Which paths a model may name: relative, plain, below the project's root.

/// Longer ones do not fit into every archive and file system.
const PATH_BYTES_MAX: usize = 240;

/// What is wrong with a path, if anything.
pub(super) fn check_path(path: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("the path {:?} {why}", path.chars().take(PATH_BYTES_MAX).collect::<String>()));
    if path.is_empty() {
        return wrong("is empty");
    }
    if path.len() > PATH_BYTES_MAX {
        return wrong("is too long");
    }
    if path.starts_with('/') || path.starts_with('~') || path.contains(':') {
        return wrong("is not relative to the project's root");
    }
    if path.trim() != path || path.chars().any(|c| c.is_control() || matches!(c, '\\' | '`' | '"' | '\'' | '<' | '>' | '|' | '*' | '?')) {
        return wrong("holds characters that no path here has");
    }
    if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return wrong("has an empty part, `.` or `..`");
    }
    if path.split('/').next() == Some(".git") {
        return wrong("is the version control's own");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_path;

    fn check(path: &str, problem: Option<&str>) {
        assert_eq!(check_path(path).err(), problem.map(|problem| format!("the path {path:?} {problem}")));
    }

    #[test]
    fn only_plain_relative_paths_pass() {
        check("src/app.py", None);
        check("app/(shop)/[id]/page.tsx", None);
        check(".github/workflows/ci.yml", None);
        check("", Some("is empty"));
        let outside = Some("is not relative to the project's root");
        check("/etc/passwd", outside);
        check("~/x", outside);
        check("C:/x", outside);
        let parts = Some("has an empty part, `.` or `..`");
        check("../x", parts);
        check("a/../../x", parts);
        check("./x", parts);
        check("a//b", parts);
        check("folder/", parts);
        let characters = Some("holds characters that no path here has");
        check("a\\b", characters);
        check("`a.py`", characters);
        check("a\u{0}b", characters);
        check(" a", characters);
        check(".git/hooks/pre-commit", Some("is the version control's own"));
    }

    #[test]
    fn long_paths_are_refused() {
        assert!(check_path(&"a".repeat(240)).is_ok());
        assert!(check_path(&"a".repeat(241)).is_err());
    }
}
