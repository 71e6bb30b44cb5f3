//! What the standards say of a unit: guidelines before it is done, checks of what came back.
//!
//! Called where a unit is told something (`gathering`) and where somebody who reads has delivered (`told`). Generated files meet the
//! standards by their templates, and are counted with the whole tree.

use std::time::Instant;

use super::unit::Shared;
use crate::context::Guideline;
use crate::exec::tree::Tree;
use crate::generate::TargetPack;
use crate::model::{CheckResult, Task, Verdict};
use crate::pipeline::PipelineError;
use crate::skills::{self, FileVerdict, Judgement, Language, Mapping, Skill, SourceFile};

/// What no unit may leave out: files that can be parsed, and no secrets in them.
const ALWAYS: [&str; 2] = ["global-coding-style", "global-conventions"];
/// Problems of one standard that are told; whoever mends the first ones looks again.
const PROBLEMS_TOLD_MAX: usize = 30;

/// What whoever performs the unit is told of the standards that it must meet.
pub(super) fn guidelines(unit: &Task, pack: Option<&TargetPack>) -> Vec<Guideline> {
    let told = skills::guidelines(&mapping(unit, pack)).into_iter();
    told.map(|guideline| Guideline { skill: guideline.skill, text: guideline.text }).collect()
}

/// Checks what was delivered, one result for each standard that says anything about it.
pub(super) async fn check(shared: &Shared, unit: &Task, tree: &Tree) -> Result<Vec<CheckResult>, PipelineError> {
    let standards = of_unit(unit, shared.run.pack_for(&shared.document).map(AsRef::as_ref));
    let (tree, asked) = (tree.clone(), standards.clone());
    let begun = Instant::now();
    let judged = tokio::task::spawn_blocking(move || {
        let files = tree.iter().map(|(path, file)| SourceFile { path, content: &file.content });
        skills::validate(&asked, files)
    });
    let verdicts = judged.await.map_err(|error| PipelineError::Plan(format!("the standards could not be checked: {error}")))?;
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(standards.iter().filter_map(|skill| result(skill, &verdicts, took_ms)).collect())
}

/// The standards that what comes back is checked against: those of the unit, and those that no unit may leave out.
pub(super) fn of_unit(unit: &Task, pack: Option<&TargetPack>) -> Vec<&'static Skill> {
    let mut standards = mapping(unit, pack).skills;
    for name in ALWAYS {
        let known = standards.iter().any(|skill| skill.name.as_str() == name);
        standards.extend(skills::registry().find(name).filter(|_| !known));
    }
    standards
}

fn mapping(unit: &Task, pack: Option<&TargetPack>) -> Mapping {
    let language = pack.and_then(|pack| Language::named(pack.language()));
    skills::map(unit, language)
}

/// What one standard says; none where it says nothing about any of the files.
fn result(skill: &Skill, verdicts: &[FileVerdict], duration_ms: u64) -> Option<CheckResult> {
    let own: Vec<&FileVerdict> = verdicts.iter().filter(|verdict| verdict.skill == skill.name).collect();
    let made = own.iter().filter(|verdict| !matches!(verdict.judgement, Judgement::Skipped { .. })).count();
    if made == 0 {
        return None;
    }
    let mut problems = Vec::new();
    for verdict in &own {
        if let Judgement::Failed { problems: found, .. } = &verdict.judgement {
            let line = |problem: &skills::Problem| {
                format!("{}:{}:{}: {}: {}; {}", verdict.path, problem.line, problem.column, verdict.check, problem.message, problem.hint)
            };
            problems.extend(found.iter().map(line));
        }
    }
    let verdict = if problems.is_empty() { Verdict::Passed } else { Verdict::Failed };
    let more = problems.len().saturating_sub(PROBLEMS_TOLD_MAX);
    problems.truncate(PROBLEMS_TOLD_MAX);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    let detail = if problems.is_empty() { format!("{made} checks held") } else { problems.join("\n") };
    let name = format!("skill/{}", skill.name.as_str());
    Some(CheckResult { name, subject: None, verdict, command: "specwave skills check".to_owned(), detail, duration_ms })
}
