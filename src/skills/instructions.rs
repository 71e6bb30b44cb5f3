//! What nothing mends by itself, as an instruction for whoever wrote it.

use std::fmt::Write;

use super::verdict::{FileVerdict, Judgement};

/// An instruction is read by an agent with a small context: what does not fit is counted.
pub const INSTRUCTIONS_BYTES_MAX: usize = 6 * 1024;
/// Room for the last line.
const REST_BYTES: usize = 80;

/// Everything that failed, one line a problem, at most [`INSTRUCTIONS_BYTES_MAX`] bytes; empty when nothing failed.
pub fn repair_instructions(verdicts: &[FileVerdict]) -> String {
    let mut text = String::new();
    let mut left_out = 0;
    for verdict in verdicts {
        let Judgement::Failed { problems, omitted } = &verdict.judgement else { continue };
        left_out += omitted;
        for problem in problems {
            let mut line = String::new();
            let FileVerdict { path, skill, check, .. } = verdict;
            let written =
                writeln!(line, "{path}:{}:{}: {skill}/{check}: {}; {}", problem.line, problem.column, problem.message, problem.hint);
            written.expect("a string takes everything");
            if text.len() + line.len() > INSTRUCTIONS_BYTES_MAX - REST_BYTES {
                left_out += 1;
            } else {
                text.push_str(&line);
            }
        }
    }
    if left_out > 0 {
        writeln!(text, "and {left_out} more; mend these first").expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skills::SkillName;
    use crate::skills::verdict::Problem;

    fn failed(count: usize) -> FileVerdict {
        let problems = (1..=count).map(|line| Problem::new(line, 5, "error swallowed", "say why")).collect();
        let skill = SkillName("global-error-handling".to_owned());
        FileVerdict {
            path: "src/a.py".to_owned(),
            skill,
            version: 1,
            check: "swallowed-error".to_owned(),
            judgement: Judgement::of(problems),
        }
    }

    #[test]
    fn each_problem_is_a_line_with_its_place_and_what_to_do() {
        let passed = FileVerdict { judgement: Judgement::Passed, ..failed(1) };
        assert_eq!(repair_instructions(std::slice::from_ref(&passed)), "");
        let text = repair_instructions(&[passed, failed(1)]);
        assert_eq!(text, "src/a.py:1:5: global-error-handling/swallowed-error: error swallowed; say why\n");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let all: Vec<FileVerdict> = (0..10).map(|_| failed(60)).collect();
        let text = repair_instructions(&all);
        assert!(text.len() <= INSTRUCTIONS_BYTES_MAX);
        let told = text.lines().count() - 1;
        assert!(text.ends_with(&format!("and {} more; mend these first\n", 600 - told)), "{text}");
    }
}
