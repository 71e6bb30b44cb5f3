//! What the report says of those who were sent: what they were told and used, and what is known of the effect of what was learned.
//!
//! Called by `report`. It reads nothing itself.

use std::collections::BTreeSet;

use crate::learning::Campaign;
use crate::learning::trial::{Arm, Verdict};
use crate::model::UnitId;
use crate::model::report::{AgentsReport, EffectReport, SentReport, UnitReport};
use crate::store::postgres::assignments::{AssignmentRow, Ended};

/// Of one unit; none when nobody was sent.
pub(super) fn of_unit(all: &[AssignmentRow], unit: UnitId) -> Option<SentReport> {
    let own: Vec<&AssignmentRow> = all.iter().filter(|row| row.unit == unit).collect();
    let last = own.last()?;
    let ended: Vec<&Ended> = own.iter().filter_map(|row| row.ended.as_ref()).collect();
    Some(SentReport {
        agent: last.agent.clone(),
        reason: last.reason.clone(),
        arm: last.arm.clone(),
        withheld: last.withheld,
        arm_reason: last.arm_reason.clone(),
        tries: ended.len(),
        input_tokens: ended.iter().map(|ended| ended.input_tokens).sum(),
        output_tokens: ended.iter().map(|ended| ended.output_tokens).sum(),
        cost_micros: cost(&ended),
    })
}

/// What the organization knows of the effect of showing patterns.
pub(super) struct Known {
    /// The campaign at this look.
    pub(super) campaign: Campaign,
    /// What its units say.
    pub(super) verdict: Verdict,
}

/// Of the run; none when nobody was sent, and then nothing need be known.
pub(super) fn of_run(all: &[AssignmentRow], units: &[UnitReport], known: Option<&Known>) -> Option<AgentsReport> {
    let known = known.filter(|_| !all.is_empty())?;
    let ended: Vec<&Ended> = all.iter().filter_map(|row| row.ended.as_ref()).collect();
    let told: Vec<&UnitReport> = units.iter().filter(|unit| unit.sent.is_some()).collect();
    let contexts: Vec<_> = told.iter().filter_map(|unit| unit.context.as_ref()).collect();
    // What was recorded before anything else could be withheld says so by its arm alone.
    let withheld = |sent: &SentReport| sent.withheld || sent.arm.as_deref() == Some(Arm::HeldOut.as_str());
    let eligible: Vec<&&UnitReport> = told.iter().filter(|unit| !unit.sent.as_ref().is_some_and(withheld)).collect();
    let reusing = eligible.iter().filter(|unit| unit.context.as_ref().is_some_and(|context| !context.patterns.is_empty()));
    Some(AgentsReport {
        units: all.iter().map(|row| row.unit).collect::<BTreeSet<_>>().len(),
        tries: ended.len(),
        calls: ended.iter().map(|ended| ended.calls).sum(),
        unreported: ended.iter().map(|ended| ended.unreported).sum(),
        input_tokens: ended.iter().map(|ended| ended.input_tokens).sum(),
        output_tokens: ended.iter().map(|ended| ended.output_tokens).sum(),
        cost_micros: cost(&ended),
        told_bytes: contexts.iter().map(|context| context.bytes).sum(),
        whole_bytes: contexts.iter().map(|context| context.bytes_whole).sum(),
        eligible: eligible.len(),
        reusing: reusing.count(),
        effect: effect(known),
    })
}

fn cost(ended: &[&Ended]) -> Option<u64> {
    ended.iter().map(|ended| ended.cost_micros).sum()
}

/// What may be said of the effect at this look.
fn effect(known: &Known) -> EffectReport {
    let effect = known.verdict.effect();
    let name = match known.verdict {
        Verdict::NotEnoughEvidence(_) => "not_enough_evidence",
        Verdict::Helps(_) => "helps",
        Verdict::Harms(_) => "harms",
    };
    EffectReport {
        verdict: name.to_owned(),
        shown: effect.shown.units,
        shown_passed: effect.shown.successes,
        held_out: effect.held_out.units,
        held_out_passed: effect.held_out.successes,
        uplift: effect.uplift,
        lower: effect.lower,
        upper: effect.upper,
        level: effect.level.get(),
        standing: known.campaign.standing.as_str().to_owned(),
        campaign: known.campaign.number,
        stands: known.campaign.in_words(),
    }
}
