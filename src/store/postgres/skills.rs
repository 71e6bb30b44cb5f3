//! How well the standards were met, one row a run, skill and version.

use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::{StoreError, TenantTx};
use crate::model::{RunId, SkillCounts};

/// The counts of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillResult {
    /// The run.
    pub run: RunId,
    /// What was counted.
    pub counts: SkillCounts,
    /// When.
    pub recorded_at: OffsetDateTime,
}

/// Keeps the counts of a run in place of those that an earlier check of it left.
pub async fn record(tx: &mut TenantTx, run: RunId, counts: &[SkillCounts]) -> Result<(), StoreError> {
    let insert = "insert into skill_results \
                      (organization_id, run_id, skill, version, files_checked, files_failed, files_skipped, files_fixed, problems) \
                  select $1, $2, given.* \
                  from unnest($3::text[], $4::integer[], $5::integer[], $6::integer[], $7::integer[], $8::integer[], $9::integer[]) as given \
                  on conflict on constraint skill_results_pkey do update set files_checked = excluded.files_checked, \
                  files_failed = excluded.files_failed, files_skipped = excluded.files_skipped, files_fixed = excluded.files_fixed, \
                  problems = excluded.problems, recorded_at = now()";
    let column = |number: fn(&SkillCounts) -> u32| -> Vec<i32> {
        counts.iter().map(|counts| i32::try_from(number(counts)).unwrap_or(i32::MAX)).collect()
    };
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(run.0);
    insert
        .bind(counts.iter().map(|counts| counts.skill.clone()).collect::<Vec<_>>())
        .bind(column(|counts| counts.version))
        .bind(column(|counts| counts.files_checked))
        .bind(column(|counts| counts.files_failed))
        .bind(column(|counts| counts.files_skipped))
        .bind(column(|counts| counts.files_fixed))
        .bind(column(|counts| counts.problems))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The newest results of a skill, newest first, at most `limit`.
pub async fn history(tx: &mut TenantTx, skill: &str, limit: u32) -> Result<Vec<SkillResult>, StoreError> {
    let query = "select run_id, skill, version, files_checked, files_failed, files_skipped, files_fixed, problems, recorded_at \
                 from skill_results where organization_id = $1 and skill = $2 order by recorded_at desc, run_id desc, version desc limit $3";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(skill).bind(i64::from(limit)).fetch_all(&mut **tx).await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<SkillResult, StoreError> {
    let number = |column: &str| -> Result<u32, StoreError> { Ok(row.try_get::<i32, _>(column)?.cast_unsigned()) };
    let counts = SkillCounts {
        skill: row.try_get("skill")?,
        version: number("version")?,
        files_checked: number("files_checked")?,
        files_failed: number("files_failed")?,
        files_skipped: number("files_skipped")?,
        files_fixed: number("files_fixed")?,
        problems: number("problems")?,
    };
    Ok(SkillResult { run: RunId(row.try_get("run_id")?), counts, recorded_at: row.try_get("recorded_at")? })
}
