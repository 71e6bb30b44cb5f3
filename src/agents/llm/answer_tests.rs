//! What an answer may look like, and what is never taken for one.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::answer::{Answer, AnswerError, parse, render_answer};

fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

fn check(text: &str, expected: &[(&str, &str)]) {
    assert_eq!(parse(text).map(|answer| answer.files), Ok(files(expected)), "{text}");
}

fn check_error(text: &str, expected: &str) {
    assert_eq!(parse(text).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
}

const ONE: &str = "%%%specwave file a.py\nx = 1\n%%%specwave end a.py\n%%%specwave done 1\n";

#[test]
fn a_plain_answer_is_read() {
    check(ONE, &[("a.py", "x = 1\n")]);
    check(ONE.trim_end(), &[("a.py", "x = 1\n")]);
}

#[test]
fn chatter_and_fences_around_the_blocks_are_passed_over() {
    let text = "Sure! Here it is:\n```text\n%%%specwave file a.py\nx = 1\n%%%specwave end a.py\n```\nAnd the second:\n\
                %%%specwave file b/c.md\n# C\n```py\ny\n```\n%%%specwave end b/c.md\nThat is all.\n%%%specwave done 2\n```\nEnjoy!";
    check(text, &[("a.py", "x = 1\n"), ("b/c.md", "# C\n```py\ny\n```\n")]);
}

#[test]
fn a_fence_around_a_whole_source_file_is_taken_off_and_that_is_said() {
    let block = |path: &str, content: &str| format!("%%%specwave file {path}\n{content}%%%specwave end {path}\n%%%specwave done 1\n");
    let answer = parse(&block("a.py", "```python\nx = 1\n```\n")).unwrap();
    assert_eq!(answer, Answer { files: files(&[("a.py", "x = 1\n")]), unfenced: vec!["a.py".to_owned()], question: None });
    check(&block("a.md", "```python\nx = 1\n```\n"), &[("a.md", "```python\nx = 1\n```\n")]);
    check(&block("a.py", "\\```python\nx = 1\n```\n"), &[("a.py", "```python\nx = 1\n```\n")]);
    check(&block("a.py", "```python\nx = 1\n"), &[("a.py", "```python\nx = 1\n")]);
}

#[test]
fn line_endings_and_the_last_line_are_kept_as_the_form_says() {
    check(&ONE.replace('\n', "\r\n"), &[("a.py", "x = 1\n")]);
    check("%%%specwave file a\nx\r\n%%%specwave end a\n%%%specwave done 1\n", &[("a", "x\r\n")]);
    check("%%%specwave file a\nx\n%%%specwave end a (no final line break)\n%%%specwave done 1\n", &[("a", "x")]);
    check("%%%specwave file a\n%%%specwave end a\n%%%specwave done 1\n", &[("a", "")]);
}

#[test]
fn what_is_not_of_the_form_is_named() {
    let body = "x\n%%%specwave end a\n%%%specwave done 1\n";
    check_error(&format!("%%%specwave file /a\n{body}"), "line 1: the path \"/a\" is not relative to the project's root");
    check_error(&format!("%%%specwave file a/../b\n{body}"), "line 1: the path \"a/../b\" has an empty part, `.` or `..`");
    check_error(&format!("%%%specwave file b\n{body}"), "line 3: the end line names \"a\", and the open file is b");
    check_error(
        &format!("%%%specwave file a\n%%%specwave file a\n{body}"),
        "line 2: inside a only its own end line may start with the marker, not `file`",
    );
    check_error(
        &format!("%%%specwave fiel a\n{body}"),
        "line 1: `fiel` does not belong here: a file starts with `file`, the answer ends with `done`",
    );
    let twice = "%%%specwave file a\n%%%specwave end a\n".repeat(2);
    check_error(&format!("{twice}%%%specwave done 2\n"), "line 3: a is written twice");
    check_error(
        "%%%specwave file a\nx\n%%%specwave end a\n%%%specwave done 2\n",
        "line 4: the last line says \"2\" files, and 1 were written",
    );
    check_error(&format!("{ONE}{ONE}"), "line 5: nothing of the form may follow its last line");
    check_error(
        "%%%specwave file a\n%%%specwave end a\n%%%specwave file a/b\n%%%specwave end a/b\n%%%specwave done 2\n",
        "a is written as a file and as a folder",
    );
    check_error(
        "%%%specwave file a\n%%%specwave end a (no final line break)\n%%%specwave done 1\n",
        "line 2: a has no line that could lack its line break",
    );
}

#[test]
fn an_answer_without_files_says_what_it_says() {
    check_error("I cannot help with that.", "the answer holds no file; it says: I cannot help with that.");
    check_error("", "the answer holds no file; it says: ");
    check_error("%%%specwave done 0\n", "the answer holds no file; it says: that there are no files");
}

#[test]
fn limits_are_reached() {
    let many: BTreeMap<String, String> = (0..201).map(|at| (format!("f{at}"), String::new())).collect();
    assert!(matches!(parse(&render_answer(&many)), Err(AnswerError::Malformed { problem, .. }) if problem == "more than 200 files"));
    let large = files(&[("a", &"x\n".repeat(300_000))]);
    assert_eq!(parse(&render_answer(&large)), Err(AnswerError::TooLarge("a has more than 524288 bytes".to_owned())));
    assert!(matches!(parse(&"x".repeat(5 << 20)), Err(AnswerError::TooLarge(_))));
}

#[test]
fn files_must_be_those_that_the_unit_declares() {
    let answer = Answer { files: files(&[("a.py", ""), ("tests/x.py", "")]), ..Answer::default() };
    let check = |declared: &[&str], expected: Option<&str>| {
        let declared: Vec<String> = declared.iter().map(|path| (*path).to_owned()).collect();
        assert_eq!(answer.check_declared(&declared, &[]).err().map(|error| error.to_string()).as_deref(), expected);
    };
    check(&["a.py", "tests/"], None);
    check(&["a.py", "tests/x.py"], None);
    check(&["a.py"], Some("these files were not asked for: tests/x.py"));
    check(&["tests/"], Some("these files were not asked for: a.py"));
    check(&["a.py", "tests/", "b.py", "c.py"], Some("these files are missing: b.py, c.py"));
    // Where nothing is declared, everything may be written but what is taken.
    assert_eq!(answer.check_declared(&[], &["b.py".to_owned()]), Ok(()));
    let refused = answer.check_declared(&[], &["a.py".to_owned()]).unwrap_err().to_string();
    assert_eq!(refused, "these files belong to other units: a.py");
}

#[test]
fn a_question_stands_alone_in_the_last_line() {
    let check = |text: &str, expected: &str| {
        let answer = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((answer.question.as_deref(), answer.files.len()), (Some(expected), 0), "{text}");
        assert_eq!(answer.check_declared(&["a.py".to_owned()], &[]), Ok(()));
    };
    check("%%%specwave ask Which currency?", "Which currency?");
    check("I have read it all.\r\n%%%specwave ask  Which currency? \r\n\r\n", "Which currency?");
    check(&format!("%%%specwave ask {}\n", "x".repeat(2_000)), &"x".repeat(2_000));
    assert!(matches!(parse("I would write %%%specwave ask Which currency?\n"), Err(AnswerError::Empty(_))));
    // Chatter that speaks of asking asks nothing.
    let answer = parse(&format!("Or: %%%specwave ask Which?\n{ONE}")).unwrap();
    assert_eq!((answer.question, answer.files.len()), (None, 1));
}

#[test]
fn a_question_with_anything_else_is_malformed() {
    let alone = "write either files or one question and nothing else";
    let (ask, block) = ("%%%specwave ask Which currency?\n", "%%%specwave file a.py\nx = 1\n%%%specwave end a.py\n");
    check_error(&format!("{ask}{ONE}"), &format!("line 2: nothing may follow the question; {alone}"));
    check_error(&format!("{block}{ask}"), &format!("line 4: files were written before the question; {alone}"));
    check_error(&format!("{block}{}", ask.trim_end()), &format!("line 4: files were written before the question; {alone}"));
    check_error(&format!("{ONE}{ask}"), "line 5: nothing of the form may follow its last line");
    check_error(&format!("{ask}{ask}"), &format!("line 2: nothing may follow the question; {alone}"));
    check_error(&format!("{ask}%%%specwave done 0\n"), &format!("line 2: nothing may follow the question; {alone}"));
    check_error(&format!("```\n{ask}```\n"), &format!("line 3: nothing may follow the question; {alone}"));
    check_error("%%%specwave ask \n", &format!("line 1: the question is empty; {alone}"));
    let long = format!("%%%specwave ask {}\n", "x".repeat(2_001));
    check_error(&long, &format!("line 1: the question has 2001 bytes, more than 2000; {alone}"));
    check_error(&format!("%%%specwave file a.py\n{ask}"), "line 2: inside a.py only its own end line may start with the marker, not `ask`");
    assert!(matches!(parse("%%%specwave file a.py\n%%%specwave ask Which"), Err(AnswerError::Truncated(_))));
}

fn partial(text: &str) -> super::Partial {
    match parse(text) {
        Err(AnswerError::Truncated(partial)) => partial,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_cut_in_the_middle_goes_on_at_a_checked_seam() {
    let cut = partial("Here:\n%%%specwave file a.py\none\ntwo\nthree\nfour\nfi");
    assert_eq!((cut.whole(), cut.open(), cut.seam()), (0, Some("a.py"), vec!["two", "three", "four"]));
    let rest = "two\nthree\nfour\nfive\n%%%specwave end a.py\n%%%specwave done 1\n";
    let joined = cut.join(&format!("Going on.\n%%%specwave resume a.py\n{rest}")).unwrap();
    check(&joined, &[("a.py", "one\ntwo\nthree\nfour\nfive\n")]);
    let joined = cut.join(&format!("%%%specwave resume a.py\n{rest}").replace('\n', "\r\n")).unwrap();
    check(&joined, &[("a.py", "one\ntwo\nthree\nfour\nfive\n")]);
    let anew = cut.join("%%%specwave file a.py\nnew\n%%%specwave end a.py\n%%%specwave done 1\n").unwrap();
    check(&anew, &[("a.py", "new\n")]);
    for wrong in ["five\n", "%%%specwave resume b.py\ntwo\n", "%%%specwave resume a.py\nthree\nfour\nfive\n", "%%%specwave end a.py\n"] {
        assert!(matches!(cut.join(wrong), Err(AnswerError::Malformed { .. })), "{wrong}");
    }
}

#[test]
fn an_answer_cut_between_files_goes_on_with_the_next() {
    let cut = partial("%%%specwave file a.py\nx\n%%%specwave end a.py\n%%%specwave fi");
    assert_eq!((cut.whole(), cut.open(), cut.seam().len()), (1, None, 0));
    let joined = cut.join("Now b.\n%%%specwave file b.py\n%%%specwave end b.py\n%%%specwave done 2\n").unwrap();
    check(&joined, &[("a.py", "x\n"), ("b.py", "")]);
}

fn content() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => "[ -~]{0,12}",
        1 => Just("%%%specwave end a".to_owned()),
        1 => Just("\\%%%specwave done 1".to_owned()),
        1 => Just("```".to_owned()),
        1 => Just("\\```py".to_owned()),
        1 => "\\PC{0,4}\r?",
    ];
    (prop::collection::vec(line, 0..8), any::<bool>()).prop_map(|(lines, bare)| {
        let text = lines.join("\n") + if lines.is_empty() { "" } else { "\n" };
        if bare { text.trim_end_matches('\n').to_owned() } else { text }
    })
}

fn answers() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[a-c]{1,2}/[a-z]{1,6}\\.(py|md|ts)", content(), 1..14)
}

proptest! {
    #[test]
    fn any_set_of_files_is_read_back(files in answers()) {
        prop_assert_eq!(parse(&render_answer(&files)), Ok(Answer { files, ..Answer::default() }));
    }

    #[test]
    fn no_truncated_answer_is_taken_for_a_whole_one(files in answers(), at in 0.0..1.0_f64) {
        let text = render_answer(&files);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index below the length")]
        let mut end = (at * (text.len() - 1) as f64) as usize;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        prop_assert!(parse(&text[..end]).is_err(), "{}", &text[..end]);
    }

    #[test]
    fn a_cut_answer_that_goes_on_gives_the_same_files(files in answers(), at in 0.0..1.0_f64) {
        let text = render_answer(&files);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index below the length")]
        let mut end = (at * (text.len() - 1) as f64) as usize;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        if let Err(AnswerError::Truncated(partial)) = parse(&text[..end]) {
            let rest = &text[partial.kept().len()..];
            let next = match partial.open() {
                Some(path) => {
                    let seam = partial.seam().iter().flat_map(|line| [*line, "\n"]).collect::<String>();
                    format!("%%%specwave resume {path}\n{seam}{rest}")
                }
                None => rest.to_owned(),
            };
            let joined = partial.join(&next).unwrap();
            prop_assert_eq!(parse(&joined).map(|answer| answer.files), Ok(files));
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(%%%specwave (file|end|done|resume|ask)? ?[a1/.]{0,2}\r?\n?|`{3}\n|.{0,3}\n?){0,12}") {
        let _ = parse(&text).map_err(|error| error.to_string());
    }
}
