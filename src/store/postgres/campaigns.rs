//! The moves of the standing of patterns. Rows are added and never change; what they mean `learning::campaign` says.

use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::{StoreError, TenantTx};

/// Moves that are read at most: each takes at least some dozens of units, or a person.
const MOVES_MAX: i64 = 1_000;

/// A move, and the campaign that it began.
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignRow {
    /// The campaign's number, from 2: the first one begins by itself.
    pub number: u32,
    /// Where patterns stand in it: `candidate`, `promoted` or `demoted`.
    pub standing: String,
    /// What moved them: `helps`, `harms` or `retry`.
    pub event: String,
    /// Who: `learning`, or a person.
    pub actor: String,
    /// The numbers of the campaign before it, on which the move rests; none when a person moved them.
    pub evidence: Option<EvidenceRow>,
    /// When.
    pub began_at: OffsetDateTime,
}

/// What the units of a campaign came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvidenceRow {
    /// Units that were shown patterns.
    pub shown: u32,
    /// Those among them whose first try passed.
    pub shown_passed: u32,
    /// Units that were held out.
    pub held_out: u32,
    /// Those among them whose first try passed.
    pub held_out_passed: u32,
    /// The difference.
    pub uplift: f64,
    /// The lower end of its interval.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
    /// With what probability it holds.
    pub level: f64,
}

/// A move that is to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCampaign<'a> {
    /// The number of the campaign that it begins.
    pub number: u32,
    /// Where patterns stand from then on.
    pub standing: &'a str,
    /// What moved them.
    pub event: &'a str,
    /// Who.
    pub actor: &'a str,
    /// On what it rests.
    pub evidence: Option<EvidenceRow>,
}

/// Keeps a move; false when another one has begun that campaign.
pub async fn begin(tx: &mut TenantTx, new: &NewCampaign<'_>) -> Result<bool, StoreError> {
    let insert = "insert into campaigns (organization_id, number, standing, event, actor, shown, shown_passed, held_out, held_out_passed, \
                  uplift, lower, upper, level) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
                  on conflict on constraint campaigns_pkey do nothing";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(small(new.number)).bind(new.standing).bind(new.event).bind(new.actor);
    let counts: [fn(EvidenceRow) -> u32; 4] = [|row| row.shown, |row| row.shown_passed, |row| row.held_out, |row| row.held_out_passed];
    let insert = counts.into_iter().fold(insert, |insert, count| insert.bind(new.evidence.map(|row| small(count(row)))));
    let numbers: [fn(EvidenceRow) -> f64; 4] = [|row| row.uplift, |row| row.lower, |row| row.upper, |row| row.level];
    let insert = numbers.into_iter().fold(insert, |insert, number| insert.bind(new.evidence.map(number)));
    Ok(insert.execute(&mut **tx).await?.rows_affected() == 1)
}

/// The latest move; none when there was none.
pub async fn latest(tx: &mut TenantTx) -> Result<Option<CampaignRow>, StoreError> {
    Ok(read_all(tx, 1).await?.pop())
}

/// The latest moves, newest first.
pub async fn list(tx: &mut TenantTx) -> Result<Vec<CampaignRow>, StoreError> {
    read_all(tx, MOVES_MAX).await
}

async fn read_all(tx: &mut TenantTx, limit: i64) -> Result<Vec<CampaignRow>, StoreError> {
    let query = "select number, standing, event, actor, began_at, shown, shown_passed, held_out, held_out_passed, uplift, lower, upper, level \
                 from campaigns where organization_id = $1 order by number desc limit $2";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(limit).fetch_all(&mut **tx).await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<CampaignRow, StoreError> {
    let count = |name: &'static str| row.try_get::<i32, _>(name).map(i32::cast_unsigned);
    let evidence = match row.try_get::<Option<i32>, _>("shown")? {
        None => None,
        Some(_) => Some(EvidenceRow {
            shown: count("shown")?,
            shown_passed: count("shown_passed")?,
            held_out: count("held_out")?,
            held_out_passed: count("held_out_passed")?,
            uplift: row.try_get("uplift")?,
            lower: row.try_get("lower")?,
            upper: row.try_get("upper")?,
            level: row.try_get("level")?,
        }),
    };
    Ok(CampaignRow {
        number: count("number")?,
        standing: row.try_get("standing")?,
        event: row.try_get("event")?,
        actor: row.try_get("actor")?,
        evidence,
        began_at: row.try_get("began_at")?,
    })
}

fn small(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
