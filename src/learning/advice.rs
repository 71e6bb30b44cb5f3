//! What speaks for and against single patterns: how often they were verified, what became of the units that were told them, and what says
//! the opposite. Ranks what is told.
//!
//! Called by `memory` for a unit, and by `cli`, which shows it. Nothing here depends on the clock: ages are counted from the latest
//! confirmation among those that are compared, so that the same facts always give the same order and the same bytes of a context.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;

use super::trial::{Advice, Contradiction, Counts, Stance, Standing, contradictions, weight};
use crate::model::{PatternHit, PatternId};
use crate::store::postgres::patterns::{self, AdviceRow};
use crate::store::postgres::{StoreError, TenantTx};

/// Patterns with what is known of them, and of all others that are about the same things.
#[derive(Debug, Clone, Default)]
pub struct Advised {
    rows: BTreeMap<PatternId, AdviceRow>,
    contradictions: Vec<Contradiction>,
    half_life: Duration,
}

impl Advised {
    /// Reads what is known of those patterns and settles what contradicts them.
    pub async fn of(tx: &mut TenantTx, ids: &[PatternId], half_life: Duration) -> Result<Self, StoreError> {
        Ok(Self::new(patterns::advice(tx, ids).await?, half_life))
    }

    fn new(rows: Vec<AdviceRow>, half_life: Duration) -> Self {
        let mut topics: BTreeMap<&str, Vec<&AdviceRow>> = BTreeMap::new();
        for row in &rows {
            topics.entry(&row.topic).or_default().push(row);
        }
        let settled = topics.values().flat_map(|rows| contradictions(&advice(rows), half_life)).collect();
        Self { contradictions: settled, half_life, rows: rows.into_iter().map(|row| (row.id, row)).collect() }
    }

    /// What is known of a pattern.
    pub fn known(&self, id: PatternId) -> Option<&AdviceRow> {
        self.rows.get(&id)
    }

    /// The contradiction that the pattern lost; none when nothing better supported says the opposite.
    pub fn lost(&self, id: PatternId) -> Option<&Contradiction> {
        self.contradictions.iter().find(|one| one.warnings.binary_search(&id).is_ok())
    }

    /// What is to be told, best first: by similarity and weight together. What lost a contradiction is left out.
    pub fn rank(&self, hits: Vec<PatternHit>, standing: Standing) -> Vec<PatternHit> {
        let confirmed = |hit: &PatternHit| self.known(hit.pattern.id).map(|row| row.confirmed_at);
        let Some(latest) = hits.iter().filter_map(confirmed).max() else { return hits };
        let worth = |hit: &PatternHit| {
            let age = confirmed(hit).map_or(Duration::MAX, |at| since(at, latest));
            f64::from(hit.score) * weight(standing, age, self.half_life)
        };
        let mut ranked: Vec<(f64, PatternHit)> =
            hits.into_iter().filter(|hit| self.lost(hit.pattern.id).is_none()).map(|hit| (worth(&hit), hit)).collect();
        ranked.sort_by(|(worth, hit), (other_worth, other)| {
            other_worth.total_cmp(worth).then(other.score.total_cmp(&hit.score)).then(hit.pattern.id.cmp(&other.pattern.id))
        });
        ranked.into_iter().map(|(_, hit)| hit).collect()
    }
}

/// What each pattern of one topic says, with what speaks for it: the runs that verified it, and the units that were told it and passed.
fn advice(rows: &[&AdviceRow]) -> Vec<Advice> {
    let latest = rows.iter().map(|row| row.confirmed_at).max().unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let one = |row: &&AdviceRow| Advice {
        pattern: row.id,
        key: row.topic.clone(),
        stance: if row.success { Stance::Do } else { Stance::Avoid },
        evidence: Counts { successes: row.verified.saturating_add(row.passed), units: row.verified.saturating_add(row.told) },
        age: since(row.confirmed_at, latest),
    };
    rows.iter().map(one).collect()
}

fn since(earlier: OffsetDateTime, later: OffsetDateTime) -> Duration {
    (later - earlier).try_into().unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Pattern, PatternKind, RunId};

    const DAY: Duration = Duration::from_hours(24);

    fn id(number: u128) -> PatternId {
        PatternId(uuid::Uuid::from_u128(number))
    }

    fn row(number: u128, success: bool, verified: u32, age_days: u32) -> AdviceRow {
        let confirmed_at = OffsetDateTime::UNIX_EPOCH + 1_000 * DAY - age_days * DAY;
        AdviceRow {
            id: id(number),
            title: number.to_string(),
            topic: if number < 10 { "one".to_owned() } else { number.to_string() },
            success,
            verified,
            told: 0,
            passed: 0,
            confirmed_at,
        }
    }

    fn hit(number: u128, score: f32) -> PatternHit {
        let pattern = Pattern {
            id: id(number),
            kind: PatternKind::Code,
            title: number.to_string(),
            text: String::new(),
            code: String::new(),
            language: String::new(),
            framework: String::new(),
            unit_type: String::new(),
            spec_type: String::new(),
            success: true,
            run: RunId(uuid::Uuid::nil()),
            unit_key: String::new(),
            evidence: Vec::new(),
        };
        PatternHit { pattern, score, embedder: String::new() }
    }

    /// The ids in the order in which they are told.
    fn check(rows: &[AdviceRow], hits: &[(u128, f32)], expected: &[u128]) {
        let hits = || hits.iter().map(|(number, score)| hit(*number, *score)).collect::<Vec<_>>();
        let ranked = |rows: Vec<AdviceRow>| {
            let told = Advised::new(rows, 90 * DAY).rank(hits(), Standing::Candidate);
            told.iter().map(|hit| hit.pattern.id.0.as_u128()).collect::<Vec<_>>()
        };
        assert_eq!(ranked(rows.to_vec()), expected);
        // A year later nothing else has become true.
        let later = |row: &AdviceRow| AdviceRow { confirmed_at: row.confirmed_at + 365 * DAY, ..row.clone() };
        assert_eq!(ranked(rows.iter().map(later).collect()), expected);
        assert_eq!(ranked(rows.iter().rev().cloned().collect()), expected);
    }

    #[test]
    fn what_was_confirmed_lately_goes_before_what_is_a_little_more_similar() {
        check(&[row(11, true, 1, 0), row(12, true, 1, 0)], &[(11, 0.7), (12, 0.8)], &[12, 11]);
        check(&[row(11, true, 1, 0), row(12, true, 1, 60)], &[(11, 0.7), (12, 0.8)], &[11, 12]);
        check(&[row(11, true, 1, 0), row(12, true, 1, 5)], &[(11, 0.7), (12, 0.8)], &[12, 11]);
    }

    #[test]
    fn equals_stand_in_the_order_of_their_ids() {
        check(&[row(12, true, 1, 3), row(11, true, 1, 3)], &[(12, 0.7), (11, 0.7)], &[11, 12]);
    }

    #[test]
    fn the_weaker_of_two_that_contradict_each_other_is_not_told() {
        let rows = [row(1, true, 3, 0), row(2, false, 1, 0), row(11, true, 1, 0)];
        check(&rows, &[(1, 0.7), (2, 0.9), (11, 0.6)], &[1, 11]);
        check(&[row(1, true, 1, 400), row(2, false, 1, 0)], &[(1, 0.7), (2, 0.9)], &[2]);
    }

    #[test]
    fn units_that_were_told_something_and_failed_speak_against_it() {
        let told = AdviceRow { told: 9, passed: 1, ..row(1, true, 1, 0) };
        check(&[told, row(2, false, 2, 0)], &[(1, 0.9)], &[]);
    }
}
