//! How well skills are met: counts of verdicts, for each version of a skill.

use std::collections::{BTreeMap, BTreeSet};

use super::skill::SkillName;
use super::verdict::{FileVerdict, Judgement};
use crate::model::SkillCounts;

/// Counts by skill and version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkillMetrics {
    counts: BTreeMap<(SkillName, u32), SkillCounts>,
}

impl SkillMetrics {
    /// Counts verdicts. A file counts once for a skill: as failed when any check failed, else as passed when any check was made, else as
    /// skipped.
    pub fn of(verdicts: &[FileVerdict]) -> Self {
        let mut files: BTreeMap<(&SkillName, u32), BTreeMap<&str, Vec<&Judgement>>> = BTreeMap::new();
        for verdict in verdicts {
            let skill = files.entry((&verdict.skill, verdict.version)).or_default();
            skill.entry(&verdict.path).or_default().push(&verdict.judgement);
        }
        let count = |((skill, version), files): ((&SkillName, u32), BTreeMap<&str, Vec<&Judgement>>)| {
            let mut counts = SkillCounts::of(skill.as_str(), version);
            for judgements in files.values() {
                let made = judgements.iter().any(|judgement| !matches!(judgement, Judgement::Skipped { .. }));
                let failed = judgements.iter().any(|judgement| judgement.failed());
                counts.files_checked += u32::from(made);
                counts.files_failed += u32::from(failed);
                counts.files_skipped += u32::from(!made);
                let problems: usize = judgements.iter().map(|judgement| judgement.problems()).sum();
                counts.problems = counts.problems.saturating_add(u32::try_from(problems).unwrap_or(u32::MAX));
            }
            ((skill.clone(), version), counts)
        };
        Self { counts: files.into_iter().map(count).collect() }
    }

    /// The counts of `before`, and as fixed every file that failed a skill then and does not fail it in `after`, where it was looked at
    /// again.
    pub fn with_fixes(before: &[FileVerdict], after: &[FileVerdict]) -> Self {
        let places = |verdicts: &[FileVerdict], failed: bool| -> BTreeSet<(SkillName, u32, String)> {
            let chosen = verdicts.iter().filter(|verdict| !failed || verdict.judgement.failed());
            chosen.map(|verdict| (verdict.skill.clone(), verdict.version, verdict.path.clone())).collect()
        };
        let mut metrics = Self::of(before);
        let (looked_at, still) = (places(after, false), places(after, true));
        for (skill, version, path) in places(before, true) {
            let place = (skill, version, path);
            if looked_at.contains(&place)
                && !still.contains(&place)
                && let Some(counts) = metrics.counts.get_mut(&(place.0, place.1))
            {
                counts.files_fixed += 1;
            }
        }
        metrics
    }

    /// The counts, by skill and version.
    pub fn counts(&self) -> Vec<SkillCounts> {
        self.counts.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skills::verdict::Problem;

    fn verdict(path: &str, check: &str, judgement: Judgement) -> FileVerdict {
        FileVerdict { path: path.to_owned(), skill: SkillName("backend-api".to_owned()), version: 2, check: check.to_owned(), judgement }
    }

    fn failed() -> Judgement {
        Judgement::of(vec![Problem::new(1, 1, "a", "b"), Problem::new(2, 1, "a", "b")])
    }

    #[test]
    fn a_file_counts_once_for_a_skill() {
        let verdicts = [
            verdict("a.py", "x", Judgement::Passed),
            verdict("a.py", "y", failed()),
            verdict("b.py", "x", Judgement::Passed),
            verdict("c.py", "x", Judgement::skipped("why")),
        ];
        let expected =
            SkillCounts { files_checked: 2, files_failed: 1, files_skipped: 1, problems: 2, ..SkillCounts::of("backend-api", 2) };
        assert_eq!(SkillMetrics::of(&verdicts).counts(), [expected]);
    }

    #[test]
    fn fixed_is_what_failed_and_does_not_fail_any_more() {
        let before = [verdict("a.py", "x", failed()), verdict("b.py", "x", failed()), verdict("c.py", "x", failed())];
        let after = [verdict("a.py", "x", Judgement::Passed), verdict("b.py", "x", failed())];
        let counts = SkillMetrics::with_fixes(&before, &after).counts();
        assert_eq!((counts[0].files_failed, counts[0].files_fixed), (3, 1), "nobody looked at c.py again");
    }
}
