//! Files against skills: which checks are made of which file, and what they found.
//!
//! Called by the command line, and by phases that check a tree. Pure and blocking: nothing is executed and nothing is read but what is
//! given. A check that cannot be made is skipped with the reason, never passed.

use super::checks::{Check, Code, Run, Text};
use super::language::Language;
use super::registry::registry;
use super::skill::{CheckUse, Skill};
use super::syntax::{self, Syntax, SyntaxError};
use super::verdict::{FileVerdict, Judgement};

/// A file that is checked: its path below the project's root, `/`-separated, and its bytes.
#[derive(Debug, Clone, Copy)]
pub struct SourceFile<'a> {
    /// The path.
    pub path: &'a str,
    /// The bytes.
    pub content: &'a [u8],
}

/// Makes every check of these skills of every file that they are about. Verdicts come in the order of the files, then of the skills'
/// precedence, highest first.
pub fn validate<'a>(skills: &[&Skill], files: impl IntoIterator<Item = SourceFile<'a>>) -> Vec<FileVerdict> {
    let mut skills = skills.to_vec();
    skills.sort_by_key(|skill| std::cmp::Reverse(skill.precedence));
    files.into_iter().flat_map(|file| validate_file(&skills, file)).collect()
}

fn validate_file(skills: &[&Skill], file: SourceFile<'_>) -> Vec<FileVerdict> {
    let present: Vec<&Skill> = skills.iter().copied().filter(|skill| skill.about(file.path)).collect();
    if present.is_empty() {
        return Vec::new();
    }
    let language = Language::of(file.path);
    let made = |stated: &CheckUse| stated.files.holds(file.path) && stated.check.reads(language);
    let all = present.iter().flat_map(|skill| skill.checks.iter().map(move |stated| (*skill, stated)));
    let wanted: Vec<(&Skill, &CheckUse)> = all.filter(|(_, stated)| made(stated)).collect();
    let read = std::str::from_utf8(file.content).map_err(|_| "not UTF-8 text".to_owned());
    let tree = read.as_ref().map_err(Clone::clone).and_then(|text| syntax::parse(language, text).map_err(|error| reason(&error)));
    let code = tree.as_ref().map_err(Clone::clone).and_then(|tree| {
        let text = read.as_ref().map_err(Clone::clone)?;
        Syntax::of(tree, text).map_err(|error| reason(&error))
    });
    let judge = |(skill, stated): (&Skill, &CheckUse)| {
        let aside = registry().precedence.set_aside(skill, stated.check.name, &present);
        let judgement = aside.map_or_else(|| make(stated, file.path, language, &read, &code), Judgement::skipped);
        FileVerdict {
            path: file.path.to_owned(),
            skill: skill.name.clone(),
            version: skill.version,
            check: stated.check.name.to_owned(),
            judgement,
        }
    };
    wanted.into_iter().map(judge).collect()
}

fn reason(error: &SyntaxError) -> String {
    error.to_string()
}

/// Makes one check of one file.
fn make(stated: &CheckUse, path: &str, language: Language, read: &Result<&str, String>, code: &Result<Syntax<'_>, String>) -> Judgement {
    let Check { run, .. } = stated.check;
    match (run, read, code) {
        (_, Err(reason), _) | (Run::Tree(_) | Run::Whole(_), _, Err(reason)) => Judgement::skipped(reason),
        (Run::Text(run), Ok(text), _) if text.len() <= TEXT_BYTES_MAX => Judgement::of(run(&Text { path, text }, &stated.parameters)),
        (Run::Text(_), _, _) => Judgement::skipped(format!("larger than {} MiB", TEXT_BYTES_MAX >> 20)),
        (Run::Whole(run), _, Ok(syntax)) => Judgement::of(run(&Code { path, language, syntax }, &stated.parameters)),
        (Run::Tree(run), _, Ok(syntax)) => match syntax.first_error() {
            Some(error) => Judgement::skipped(format!("line {} is not {}", error.line(), language.as_str())),
            None => Judgement::of(run(&Code { path, language, syntax }, &stated.parameters)),
        },
    }
}

/// A longer text is not read even by checks that need no tree; coverage reports of large projects have some megabytes.
pub(super) const TEXT_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, content: &[u8], wanted: &str, expected: &str) {
        let skills: Vec<&Skill> = registry().all().collect();
        let verdicts = validate(&skills, [SourceFile { path, content }]);
        let found: Vec<String> = verdicts
            .iter()
            .filter(|verdict| format!("{}/{}", verdict.skill, verdict.check) == wanted)
            .map(|verdict| match &verdict.judgement {
                Judgement::Passed => "passed".to_owned(),
                Judgement::Failed { problems, .. } => format!("failed at {}:{}", problems[0].line, problems[0].column),
                Judgement::Skipped { reason } => format!("skipped: {reason}"),
            })
            .collect();
        assert_eq!(found, [expected], "{path}: {wanted}");
    }

    #[test]
    fn a_check_that_cannot_be_made_is_skipped_with_the_reason() {
        let nesting = "global-coding-style/nesting-depth";
        check("src/a.py", b"x = 1\n", nesting, "passed");
        check("src/a.py", b"\xff\xfe", nesting, "skipped: not UTF-8 text");
        check("src/a.py", b"x = 1\ndef f(:\n    pass\n", nesting, "skipped: line 2 is not python");
        check("src/a.py", b"x = 1\ndef f(:\n    pass\n", "global-coding-style/syntax", "failed at 2:7");
        check("src/a.py", &vec![b'#'; syntax::SOURCE_BYTES_MAX + 1], nesting, "skipped: larger than 1024 KiB");
        check("src/a.py", &vec![b'#'; TEXT_BYTES_MAX + 1], "global-conventions/secret", "skipped: larger than 16 MiB");
    }

    #[test]
    fn where_two_skills_contradict_the_winner_decides_and_the_loser_says_so() {
        let long = format!("def test_all() -> None:\n{}    assert x\n", "    x = 1\n".repeat(90));
        let found = validate(&registry().all().collect::<Vec<_>>(), [SourceFile { path: "tests/test_a.py", content: long.as_bytes() }]);
        let of = |skill: &str, check: &str| {
            found.iter().find(|verdict| verdict.skill.as_str() == skill && verdict.check == check).map(|verdict| verdict.judgement.clone())
        };
        assert!(of("testing-test-writing", "test-size").unwrap().failed());
        let Some(Judgement::Skipped { reason }) = of("global-coding-style", "function-length") else { panic!("{found:?}") };
        assert!(reason.starts_with("testing-test-writing decides about "), "{reason}");
    }

    #[test]
    fn a_file_that_no_skill_is_about_has_no_verdict() {
        let api = registry().find("backend-api").unwrap();
        assert_eq!(validate(&[api], [SourceFile { path: "README.md", content: b"# Books\n" }]), Vec::new());
    }
}
