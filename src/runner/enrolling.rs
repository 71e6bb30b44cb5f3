//! Whether a unit is shown similar work: drawn, and written down with who is sent and why, before the unit is told anything.
//!
//! Called where somebody who reads is sent to a unit (`told`). It tells nothing and chooses nobody.

use super::contexts::Patterns;
use crate::agents::Agent;
use crate::engine::Claim;
use crate::learning::campaign::{self, Campaign};
use crate::learning::trial::{Arm, Choice, Enrolment, HoldoutShare, Standing, UnitSize};
use crate::model::{AgentKind, SpecId, Task};
use crate::pipeline::PipelineError;
use crate::store::postgres::TenantTx;
use crate::store::postgres::assignments::{self, NewAssignment};

/// Who is about to be sent to what.
pub(super) struct Sending<'a> {
    pub(super) spec: SpecId,
    pub(super) unit: &'a Task,
    pub(super) claim: &'a Claim,
    pub(super) input_hash: &'a str,
    pub(super) agent: &'a dyn Agent,
    /// Why this one.
    pub(super) reason: &'a str,
    pub(super) choice: Option<&'a Choice>,
    /// The share of units that are held out, as it is set; none: no trial.
    pub(super) holdout_share: Option<HoldoutShare>,
}

/// Looks at what the trial says by now, draws the arm, and writes all of it down.
pub(super) async fn enrol(tx: &mut TenantTx, sending: &Sending<'_>) -> Result<Patterns, PipelineError> {
    let Sending { spec, unit, claim, input_hash, agent, reason, choice, holdout_share } = *sending;
    let campaign = campaign::judge(tx).await?;
    let name = format!("{spec}/{}", unit.key);
    let enrolment =
        Enrolment { organization: tx.organization(), unit: &name, input_hash, stratum: agent.name(), seed: u64::from(campaign.number) };
    // Persons are not told what was learned, so that they are no part of the trial.
    let draw = draw(&campaign, holdout_share.filter(|_| agent.kind() != AgentKind::Manual), &enrolment);
    let choice = choice.map(serde_json::to_value).transpose();
    let new = NewAssignment {
        spec,
        key: &unit.key,
        input_hash,
        agent: agent.name(),
        reason,
        choice: choice.map_err(|error| PipelineError::Plan(format!("a choice cannot be written down: {error}")))?,
        task_type: unit.task_type,
        unit_size: UnitSize::of(unit.effort).as_str(),
        arm: draw.arm.map(|(arm, share)| (arm.as_str(), share.get())),
        withheld: draw.patterns == Patterns::Withheld,
        arm_reason: &draw.reason,
        campaign: campaign.number,
    };
    assignments::record(tx, claim, &new).await?;
    Ok(draw.patterns)
}

/// What was drawn, and why in words.
#[derive(Debug, PartialEq)]
struct Draw {
    patterns: Patterns,
    /// None outside of the trial.
    arm: Option<(Arm, HoldoutShare)>,
    reason: String,
}

fn draw(campaign: &Campaign, set: Option<HoldoutShare>, enrolment: &Enrolment<'_>) -> Draw {
    let Campaign { standing, number, .. } = campaign;
    let stands = campaign.in_words();
    if *standing == Standing::Demoted {
        return Draw { patterns: Patterns::Withheld, arm: None, reason: stands };
    }
    let Some(share) = set.and_then(|set| standing.holdout_share(set)) else {
        return Draw { patterns: Patterns::Shown(*standing), arm: None, reason: format!("it is no part of the trial; {stands}") };
    };
    let arm = enrolment.arm(share);
    let percent = share.get() * 100.0;
    let reason = format!("{} by lot, at {percent:.0} % held out in campaign {number}; {stands}", arm.as_str().replace('_', " "));
    let patterns = if arm == Arm::HeldOut { Patterns::Withheld } else { Patterns::Shown(*standing) };
    Draw { patterns, arm: Some((arm, share)), reason }
}
