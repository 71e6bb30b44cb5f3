//! Where showing patterns stands with an organization: candidate, promoted, or demoted, and what moves it.
//!
//! Called by `runner` before an arm is drawn, by the phase that learns, by the report, and by `specwave patterns`. There is one level of
//! trial, all patterns or none: single patterns have no standing of their own, for nothing is known of the effect of what was never
//! held out by itself. A move is made in the transaction of whoever notices it, once, and begins a new campaign.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::trial::{Arm, Counts, Effect, HoldoutShare, Level, Observation, Sequence, Standing, StandingEvent, Verdict};
use crate::model::Actor;
use crate::store::postgres::assignments::{self, TrialRow};
use crate::store::postgres::campaigns::{self, CampaignRow, EvidenceRow, NewCampaign};
use crate::store::postgres::{StoreError, TenantTx, audit};

/// Who moves a standing when its verdict does.
const LEARNING: &str = "learning";
/// What the audit log calls it.
const SUBJECT: &str = "patterns";

/// A campaign of the trial: the units between two moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// Its number, from 1.
    pub number: u32,
    /// Where patterns stand in it.
    pub standing: Standing,
    /// The move that began it; none for the first one.
    pub begun: Option<Move>,
}

/// A move, and on what it rests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// What moved it.
    pub event: StandingEvent,
    /// Who: `learning`, or a person.
    pub actor: String,
    /// The numbers of the campaign before; none when a person moved it.
    pub evidence: Option<Effect>,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

impl Campaign {
    /// The first one: nothing is known.
    const FIRST: Self = Self { number: 1, standing: Standing::Candidate, begun: None };

    /// Where it stands and since when, in a sentence.
    pub fn in_words(&self) -> String {
        let standing = match self.standing {
            Standing::Candidate => "patterns are on trial",
            Standing::Promoted => "patterns are promoted",
            Standing::Demoted => "patterns are demoted and shown to nobody until somebody retries them",
        };
        match &self.begun {
            None => standing.to_owned(),
            Some(Move { evidence: Some(effect), event, .. }) => {
                let did = if *event == StandingEvent::Harms { "harmed" } else { "helped" };
                format!("{standing}: in campaign {} they {did}, {}", self.number - 1, numbers(effect))
            }
            Some(Move { actor, .. }) => format!("{standing} again, as {actor} wanted"),
        }
    }
}

/// The uplift with its interval and the number of units.
pub fn numbers(effect: &Effect) -> String {
    let Effect { uplift, lower, upper, level, .. } = effect;
    let percent = level.get() * 100.0;
    format!("{uplift:+.2} ({lower:+.2} to {upper:+.2} at {percent:.0} %, at every look) after {} units", effect.units())
}

/// The campaign as it was left.
pub async fn current(tx: &mut TenantTx) -> Result<Campaign, StoreError> {
    campaigns::latest(tx).await?.as_ref().map_or(Ok(Campaign::FIRST), read)
}

/// Every campaign that a move began, newest first.
pub async fn history(tx: &mut TenantTx) -> Result<Vec<Campaign>, StoreError> {
    campaigns::list(tx).await?.iter().map(read).collect()
}

/// What may be said of a campaign at this look.
pub async fn verdict(tx: &mut TenantTx, campaign: &Campaign) -> Result<Verdict, StoreError> {
    Ok(sequence(&assignments::trial(tx, campaign.number).await?).verdict())
}

/// The campaign after a look at its units: once they say something, patterns are promoted or demoted, or stay promoted, and the next campaign
/// has begun. Whoever looks at the same time makes the same move; it is kept once. O(units of the campaign).
pub async fn judge(tx: &mut TenantTx) -> Result<Campaign, StoreError> {
    let campaign = current(tx).await?;
    let units = assignments::trial(tx, campaign.number).await?;
    let sequence = sequence(&units);
    // The interval is worked out only when there is something to write down.
    if sequence.sign().is_none() {
        return Ok(campaign);
    }
    let verdict = sequence.verdict();
    let Some(event) = StandingEvent::of(&verdict) else { return Ok(campaign) };
    // What is promoted may help once more. That moves nothing, and begins a new campaign all the same: harm that comes after it would not
    // be noticed in one that has given its answer.
    let standing = campaign.standing.next(event).unwrap_or(campaign.standing);
    let evidence = Some(row_of(verdict.effect()));
    let new = NewCampaign { number: campaign.number + 1, standing: standing.as_str(), event: event.as_str(), actor: LEARNING, evidence };
    if campaigns::begin(tx, &new).await? {
        tracing::info!(
            campaign = new.number,
            standing = new.standing,
            units = verdict.effect().units(),
            "the standing of patterns has moved"
        );
    }
    current(tx).await
}

/// Puts demoted patterns on trial again, on behalf of somebody; none when they are not demoted.
pub async fn retry(tx: &mut TenantTx, actor: &Actor) -> Result<Option<Campaign>, StoreError> {
    let campaign = current(tx).await?;
    let Some(standing) = campaign.standing.next(StandingEvent::Retry) else { return Ok(None) };
    let event = StandingEvent::Retry.as_str();
    let new = NewCampaign { number: campaign.number + 1, standing: standing.as_str(), event, actor: &actor.name, evidence: None };
    if campaigns::begin(tx, &new).await? {
        let [before, after] = [campaign.standing, standing].map(|standing| serde_json::json!({ "standing": standing }));
        audit::record(tx, &actor.name, "patterns.retry", SUBJECT, Some(&before), Some(&after)).await?;
    }
    current(tx).await.map(Some)
}

/// The units in the order of enrolment.
fn sequence(units: &[TrialRow]) -> Sequence {
    let mut sequence = Sequence::new(Level::default());
    for row in units {
        let arm = Arm::ALL.into_iter().find(|arm| arm.as_str() == row.arm);
        // A share that no trial could have had says nothing that can be weighed.
        if let (Some(arm), Ok(holdout_share)) = (arm, HoldoutShare::new(row.holdout_share)) {
            sequence.push(&Observation { arm, holdout_share, stratum: &row.agent, success: row.passed });
        }
    }
    sequence
}

fn read(row: &CampaignRow) -> Result<Campaign, StoreError> {
    let corrupt = |what: &str| StoreError::corrupt("campaign", format!("{what} of campaign {}", row.number));
    let standing = Standing::ALL.into_iter().find(|standing| standing.as_str() == row.standing).ok_or_else(|| corrupt("the standing"))?;
    let event = StandingEvent::ALL.into_iter().find(|event| event.as_str() == row.event).ok_or_else(|| corrupt("the event"))?;
    let effect = |row: EvidenceRow| {
        Ok::<_, StoreError>(Effect {
            shown: Counts { successes: row.shown_passed, units: row.shown },
            held_out: Counts { successes: row.held_out_passed, units: row.held_out },
            uplift: row.uplift,
            lower: row.lower,
            upper: row.upper,
            level: Level::new(row.level).map_err(|_| corrupt("the level"))?,
        })
    };
    let evidence = row.evidence.map(effect).transpose()?;
    Ok(Campaign { number: row.number, standing, begun: Some(Move { event, actor: row.actor.clone(), evidence, at: row.began_at }) })
}

fn row_of(effect: &Effect) -> EvidenceRow {
    EvidenceRow {
        shown: effect.shown.units,
        shown_passed: effect.shown.successes,
        held_out: effect.held_out.units,
        held_out_passed: effect.held_out.successes,
        uplift: effect.uplift,
        lower: effect.lower,
        upper: effect.upper,
        level: effect.level.get(),
    }
}
