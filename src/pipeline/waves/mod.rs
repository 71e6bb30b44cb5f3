//! Phase 6.2: the whole at the end of each wave, where units are merged on a branch: when the last unit of a wave has been merged, the head
//! of the branch is checked, and what made it red is looked for among what was merged since it was last green.
//!
//! Called beside the units, by the driver of the run, and once more when all of them are settled. Reads the units and the branch; opens the
//! unit again whose work made the checks fail, with what depends on it, and takes that work back. Safe to repeat: what a wave consists of is
//! written down with what was found, a check that was cut off is made anew, and a unit that is open again is not looked at twice.
//!
//! Before a project is complete, not all of the checks of its target mean something: those of single files are made here (of all files that
//! the run has changed), and the command of the setting `run.wave_check`. Linters, types and tests of the whole have their phase.

mod culprit;
mod whole;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::journal::{self, Done};
use super::validate::counted;
use super::{PipelineError, Run};
use crate::engine::EngineError;
use crate::exec::capture::shorten;
use crate::exec::repository::{CommitId, Landed, TakenBack};
use crate::failpoint;
use crate::model::{CheckResult, EventKind, Phase, Plan, SpecDocument, UnitState, Verdict};
use crate::store::postgres::{StoreError, attempts, phases, units};
use culprit::Search;
use whole::Whole;

/// Characters of the evidence that a unit is opened again with.
const EVIDENCE_CHARS_MAX: usize = 2_000;
/// So often one agent may make the whole red with one unit, whatever it changes.
const RED_MAX: usize = 3;
/// How long a merge may take that is waited for.
const TURN_WITHIN: std::time::Duration = std::time::Duration::from_mins(5);
/// What a unit that failed so is told, and is known by.
const EXHAUSTED: &str = "its work made the checks of the whole fail";

/// What was found at the end of a wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveCheck {
    /// The waves that were complete for the first time, or anew, with a hash of whose work they consist of.
    pub waves: BTreeMap<u32, String>,
    /// The commit that was checked.
    pub head: String,
    /// What was found there.
    pub checks: Vec<CheckResult>,
    /// True when every check held.
    pub green: bool,
    /// Whose work made it red, where that could be told.
    pub culprit: Option<Culprit>,
    /// Other states of the branch that were checked to find out.
    pub searched: usize,
}

/// The work that made the checks of the whole fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Culprit {
    /// The unit's key.
    pub unit: String,
    /// Who did it.
    pub agent: String,
    /// The fencing token of the attempt.
    pub token: i64,
    /// What it changed, as a hash.
    pub change: String,
    /// True when the checks hold without it.
    pub confirmed: bool,
    /// True when the unit was opened again.
    pub reopened: bool,
}

/// True when there is a branch, and something to check on it.
pub fn wanted(run: &Run) -> bool {
    run.works_on_a_branch() && (run.pack.is_some() || !run.config.wave_check.is_empty())
}

/// Checks the branch when a wave is complete that was not looked at so. True when a unit was opened again.
pub async fn check(run: &Run, document: &SpecDocument, plan: &Plan) -> Result<bool, PipelineError> {
    let tools = run.toolchain(document).await?;
    if tools.is_none() && run.config.wave_check.is_empty() {
        return Ok(false);
    }
    let Some(repository) = run.repository().await? else { return Ok(false) };
    let recorded = recorded(run).await?;
    let waves = due(run, plan, &recorded).await?;
    if waves.is_empty() {
        return Ok(false);
    }
    let round = u32::try_from(recorded.len() + 1).unwrap_or(u32::MAX);
    let found = journal::phase(run, Phase::Waves, round, async {
        let whole = Whole { run, repository, tools: tools.as_ref() };
        let found = look(&whole, waves, last_green(&recorded)).await?;
        whole.leave().await?;
        let summary = summary(&found);
        Ok(Done::new(found, summary))
    })
    .await?;
    Ok(found.culprit.is_some_and(|culprit| culprit.reopened))
}

/// What was found last, as checks of the run: a branch that was left red is not delivered.
pub async fn last(run: &Run) -> Result<Vec<CheckResult>, PipelineError> {
    if !wanted(run) {
        return Ok(Vec::new());
    }
    Ok(checks_of_last(&recorded(run).await?).to_vec())
}

/// The checks of the commit that was looked at last. Where nothing was merged since it was green they were made in an earlier round: a unit
/// can be merged when the wave before its own is checked, and settled only afterwards.
fn checks_of_last(recorded: &[WaveCheck]) -> &[CheckResult] {
    let Some(last) = recorded.last() else { return &[] };
    let of_it = recorded.iter().rev().find(|found| found.head == last.head && !found.checks.is_empty());
    of_it.map_or(&[], |found| &found.checks)
}

/// Why an agent is not sent to a unit once more: its work made the whole red twice with the same change, or too often with others. What a
/// person has had tried again since counts anew.
pub async fn exhausted(run: &Run, unit: &str, agent: &str) -> Result<Option<String>, PipelineError> {
    if !wanted(run) {
        return Ok(None);
    }
    let red: Vec<Culprit> = recorded(run).await?.into_iter().filter_map(|found| found.culprit).filter(|red| red.unit == unit).collect();
    if red.is_empty() {
        return Ok(None);
    }
    let mut tx = run.tx().await?;
    let history = attempts::list(&mut tx, run.id, Some(unit)).await?;
    tx.commit().await?;
    let failed = history.iter().filter(|attempt| attempt.error.starts_with(EXHAUSTED)).map(|attempt| attempt.token).max();
    let red: Vec<Culprit> = red.into_iter().filter(|red| red.agent == agent && failed.is_none_or(|failed| red.token > failed)).collect();
    Ok(too_often(&red).map(|how| format!("{EXHAUSTED} {how}")))
}

fn too_often(red: &[Culprit]) -> Option<String> {
    match red {
        [.., before, last] if before.change == last.change => Some("twice with the same change".to_owned()),
        red if red.len() >= RED_MAX => Some(format!("{} times", red.len())),
        _ => None,
    }
}

/// Checks the head, and deals with what made it red.
async fn look(whole: &Whole<'_>, waves: BTreeMap<u32, String>, green: Option<CommitId>) -> Result<WaveCheck, PipelineError> {
    let head = whole.repository.head().await?;
    let mut found = WaveCheck { waves, head: head.to_string(), checks: Vec::new(), green: true, culprit: None, searched: 0 };
    if green.as_ref() == Some(&head) {
        return Ok(found);
    }
    found.checks = whole.check(&(&head).into()).await?;
    found.green = passed(&found.checks);
    for check in &found.checks {
        let (name, summary) = (check.name.clone(), check.detail.lines().next().unwrap_or_default().to_owned());
        let kind = EventKind::Check { name, passed: check.verdict == Verdict::Passed, duration_ms: check.duration_ms, summary };
        whole.run.events.send(kind).await;
    }
    if found.green {
        return Ok(found);
    }
    let mut search = Search::new(whole, head);
    let suspect = search.find(green).await?;
    found.searched = search.checked;
    let Some(suspect) = suspect else { return Ok(found) };
    let mut culprit = Culprit {
        unit: unit_of(whole.run, &suspect.landed).await?,
        agent: suspect.landed.agent().to_owned(),
        token: suspect.landed.token().unwrap_or_default(),
        change: whole.repository.fingerprint(&suspect.landed.commit).await?,
        confirmed: suspect.confirmed,
        reopened: false,
    };
    // Whoever is told nothing would do the same again.
    if whole.run.told_units().await?.contains(&culprit.unit) {
        send_back(whole, &culprit.unit, &found).await?;
        culprit.reopened = true;
    }
    found.culprit = Some(culprit);
    Ok(found)
}

/// Opens the unit again with what depends on it, and takes their work back: others start from what is left.
async fn send_back(whole: &Whole<'_>, unit: &str, found: &WaveCheck) -> Result<(), PipelineError> {
    let Whole { run, repository, .. } = whole;
    let failed = found.checks.iter().filter(|check| check.verdict == Verdict::Failed);
    let evidence: Vec<String> = failed.map(|check| format!("{} failed on the whole project: {}", check.name, check.detail)).collect();
    let reason = format!("with this unit's work, merged with everybody else's, {}", evidence.join("\n"));
    let reason = shorten(&reason, EVIDENCE_CHARS_MAX);
    if !run.engine.holds(&run.guard).await? {
        return Err(PipelineError::Stopped);
    }
    let reopened = match run.engine.reopen(&run.actor, run.id, &[unit.to_owned()], &reason).await {
        // Somebody else had it opened meanwhile.
        Err(EngineError::NoSuchUnit { .. }) => return Ok(()),
        reopened => reopened?,
    };
    failpoint::hit("wave.after_reopen");
    let keys: Vec<String> = reopened.into_iter().map(|unit| unit.key).collect();
    let merges = repository.merges(TURN_WITHIN, &run.stop).await?;
    let at = time::OffsetDateTime::now_utc().unix_timestamp();
    if let TakenBack::Conflict(conflict) = merges.take_back_all(&keys, at, || run.engine.holds(&run.guard)).await? {
        // The next try finds the same, and says so.
        let message = format!("the work of {unit} stays on the branch for now: {} built on it", conflict.ours.units.join(", "));
        run.events.send(EventKind::Warning { message }).await;
    }
    Ok(())
}

/// The waves of which every unit is settled and some are done, with a hash of whose work they are, unless that was looked at before.
async fn due(run: &Run, plan: &Plan, recorded: &[WaveCheck]) -> Result<BTreeMap<u32, String>, PipelineError> {
    let mut tx = run.tx().await?;
    let standing: BTreeMap<String, (UnitState, i64)> =
        units::tokens(&mut tx, run.id).await?.into_iter().map(|(key, state, token)| (key, (state, token))).collect();
    tx.commit().await?;
    let mut waves: BTreeMap<u32, Vec<(&str, UnitState, i64)>> = BTreeMap::new();
    for task in plan.units() {
        if let (Some(wave), Some((state, token))) = (task.wave, standing.get(&task.key)) {
            waves.entry(wave).or_default().push((&task.key, *state, *token));
        }
    }
    let looked_at: BTreeSet<(u32, &str)> =
        recorded.iter().flat_map(|found| &found.waves).map(|(wave, hash)| (*wave, hash.as_str())).collect();
    let complete = waves.into_iter().filter_map(|(wave, units)| Some((wave, work_of(&units)?)));
    Ok(complete.filter(|(wave, hash)| !looked_at.contains(&(*wave, hash.as_str()))).collect())
}

/// A hash of whose work a wave consists of; none while it is under way, or when nothing of it is done.
fn work_of(units: &[(&str, UnitState, i64)]) -> Option<String> {
    let open = |state: UnitState| matches!(state, UnitState::Pending | UnitState::Ready | UnitState::Running);
    let done: Vec<_> = units.iter().filter(|(_, state, _)| state.done()).collect();
    if done.is_empty() || units.iter().any(|(_, state, _)| open(*state)) {
        return None;
    }
    let digest = done.iter().fold(Sha256::new(), |digest, (key, _, token)| digest.chain_update(format!("{key}\0{token}\0")));
    Some(hex::encode(digest.finalize()))
}

/// What was found so far, the oldest first.
async fn recorded(run: &Run) -> Result<Vec<WaveCheck>, PipelineError> {
    let phase = Phase::Waves;
    let mut tx = run.tx().await?;
    let outputs = phases::outputs(&mut tx, run.id, phase.as_str()).await?;
    tx.commit().await?;
    let read = |output| serde_json::from_value::<Done<WaveCheck>>(output).map(|done| done.value);
    outputs.into_iter().map(read).collect::<Result<_, _>>().map_err(|source| PipelineError::Journal { phase, source })
}

/// The newest commit at which every check held.
fn last_green(recorded: &[WaveCheck]) -> Option<CommitId> {
    recorded.iter().rev().find(|found| found.green).and_then(|found| CommitId::parse(&found.head))
}

fn passed(checks: &[CheckResult]) -> bool {
    checks.iter().all(|check| check.verdict == Verdict::Passed)
}

/// A unit's key, which a trailer holds as one line.
async fn unit_of(run: &Run, landed: &Landed) -> Result<String, StoreError> {
    let mut keys = run.units().await?.into_iter().map(|unit| unit.key);
    Ok(keys.find(|key| landed.is_of(key)).unwrap_or_else(|| landed.unit.clone()))
}

fn summary(found: &WaveCheck) -> String {
    let waves: Vec<String> = found.waves.keys().map(u32::to_string).collect();
    let waves = format!("wave{} {}", if waves.len() == 1 { "" } else { "s" }, waves.join(", "));
    if found.green {
        return match found.checks.len() {
            0 => format!("{waves}: nothing was merged since it was last green"),
            count => format!("{waves}: green, {}", counted(count, "check")),
        };
    }
    let failed: Vec<&str> = found.checks.iter().filter(|check| check.verdict != Verdict::Passed).map(|check| check.name.as_str()).collect();
    let searched = counted(found.searched, "other state");
    let culprit = match &found.culprit {
        None => format!("no single unit could be told to be why ({searched} of the branch checked)"),
        Some(Culprit { unit, reopened: true, .. }) => format!("{unit} is done again ({searched} of the branch checked)"),
        Some(Culprit { unit, .. }) => format!("because of {unit}, which would come to the same again ({searched} of the branch checked)"),
    };
    format!("{waves}: {} failed; {culprit}", failed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_is_known_by_whose_work_it_is() {
        use UnitState::{Failed, Ready, Succeeded, Waiting};
        assert_eq!(work_of(&[("a", Succeeded, 1), ("b", Ready, 1)]), None, "it is under way");
        assert_eq!(work_of(&[("a", Failed, 1), ("b", Waiting, 1)]), None, "there is nothing to look at");
        let first = work_of(&[("a", Succeeded, 1), ("b", Failed, 1)]);
        assert!(first.is_some());
        assert_ne!(first, work_of(&[("a", Succeeded, 2), ("b", Failed, 1)]), "it was done again");
        assert_eq!(first, work_of(&[("a", Succeeded, 1), ("b", Waiting, 9)]));
    }

    #[test]
    fn a_commit_that_was_green_before_its_wave_was_complete_keeps_its_checks() {
        let check = CheckResult {
            name: "wave check".to_owned(),
            subject: None,
            verdict: Verdict::Passed,
            command: String::new(),
            detail: String::new(),
            duration_ms: 1,
        };
        let found = |head: &str, checks: &[&CheckResult]| WaveCheck {
            waves: BTreeMap::new(),
            head: head.to_owned(),
            checks: checks.iter().map(|check| (*check).clone()).collect(),
            green: true,
            culprit: None,
            searched: 0,
        };
        let (earlier, again) = (found("a", &[&check]), found("a", &[]));
        assert_eq!(checks_of_last(&[]), &[]);
        assert_eq!(checks_of_last(&[earlier.clone(), again.clone()]), &[check]);
        assert_eq!(checks_of_last(&[earlier, found("b", &[])]), &[], "those of another commit prove nothing");
        assert_eq!(checks_of_last(&[again]), &[]);
    }

    #[test]
    fn the_same_change_twice_is_the_end_and_so_are_too_many() {
        let red = |change: &str| Culprit {
            unit: "a".to_owned(),
            agent: "hands".to_owned(),
            token: 1,
            change: change.to_owned(),
            confirmed: true,
            reopened: true,
        };
        let check = |changes: &[&str], expected: Option<&str>| {
            let red: Vec<Culprit> = changes.iter().map(|change| red(change)).collect();
            assert_eq!(too_often(&red).as_deref(), expected, "{changes:?}");
        };
        check(&[], None);
        check(&["1", "2"], None);
        check(&["1", "1"], Some("twice with the same change"));
        check(&["1", "2", "1"], Some("3 times"));
    }
}
