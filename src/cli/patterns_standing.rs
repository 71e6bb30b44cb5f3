//! Where patterns stand: `specwave patterns standing` shows it with its evidence and history, `specwave patterns retry` puts demoted ones on
//! trial again.

use anyhow::Result;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::output::say;
use super::{Failure, output};
use crate::app::App;
use crate::learning::campaign::{self, Campaign, Move};
use crate::learning::trial::Verdict;

/// Show where patterns stand.
#[derive(Debug, clap::Args)]
pub struct StandingArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Put demoted patterns on trial again; what was known before does not count in it.
#[derive(Debug, clap::Args)]
pub struct RetryArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows the campaign, what its units say so far, and the moves before it.
pub async fn standing(app: &App, args: &StandingArgs) -> Result<()> {
    let mut tx = app.postgres.tenant(app.actor.organization).await?;
    let campaign = campaign::current(&mut tx).await?;
    let verdict = campaign::verdict(&mut tx, &campaign).await?;
    let moves = campaign::history(&mut tx).await?;
    tx.commit().await?;
    if args.json {
        return output::print_json(&json!({ "campaign": campaign, "verdict": verdict, "moves": moves }));
    }
    say!("{}", campaign.in_words());
    let effect = verdict.effect();
    let said = match verdict {
        Verdict::NotEnoughEvidence(_) => "not enough evidence",
        Verdict::Helps(_) => "they help",
        Verdict::Harms(_) => "they harm",
    };
    let (shown, held_out) = (effect.shown, effect.held_out);
    // What was never compared has no difference.
    let compared = shown.units > 0 && held_out.units > 0;
    let numbers = if compared { format!(", {}", campaign::numbers(effect)) } else { String::new() };
    say!(
        "campaign {}: {said}{numbers}; first tries passed {} of {} with them and {} of {} without",
        campaign.number,
        shown.successes,
        shown.units,
        held_out.successes,
        held_out.units
    );
    let rows: Vec<Vec<String>> = moves.iter().filter_map(row).collect();
    if !rows.is_empty() {
        output::print_table(&["moved at", "to", "by", "because"], &rows);
    }
    Ok(())
}

/// Retries, on behalf of whoever asks.
pub async fn retry(app: &App, args: &RetryArgs) -> Result<()> {
    let mut tx = app.postgres.tenant(app.actor.organization).await?;
    let Some(campaign) = campaign::retry(&mut tx, &app.actor).await? else {
        let stands = campaign::current(&mut tx).await?.in_words();
        return Err(Failure::usage(format!("there is nothing to retry: {stands}"))
            .hint("`specwave patterns standing` shows the trial")
            .into());
    };
    tx.commit().await?;
    if args.json {
        return output::print_json(&campaign);
    }
    anstream::eprintln!("{}, in campaign {}", campaign.in_words(), campaign.number);
    Ok(())
}

fn row(campaign: &Campaign) -> Option<Vec<String>> {
    let Move { event, actor, evidence, at } = campaign.begun.as_ref()?;
    let because =
        evidence.as_ref().map_or_else(|| event.as_str().to_owned(), |effect| format!("{}: {}", event.as_str(), campaign::numbers(effect)));
    Some(vec![at.format(&Rfc3339).unwrap_or_default(), campaign.standing.as_str().to_owned(), actor.clone(), because])
}
