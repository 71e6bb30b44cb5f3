//! Checks and calls that were made against what a run built, one row each.

use sqlx::Row;

use super::plans::{name_of, named};
use super::{StoreError, TenantTx, text};
use crate::model::{CheckResult, RunId, Subject};

/// One check, and when in the run it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The phase that made it.
    pub phase: String,
    /// The phase's round.
    pub round: u32,
    /// What was found.
    pub check: CheckResult,
}

/// Keeps the checks of a phase's round in place of those that an earlier try of it left.
pub async fn save(tx: &mut TenantTx, run: RunId, phase: &str, round: u32, checks: &[CheckResult]) -> Result<(), StoreError> {
    let organization = tx.organization().0;
    let delete = "delete from health_checks where organization_id = $1 and run_id = $2 and phase = $3 and round = $4";
    sqlx::query(delete).bind(organization).bind(run.0).bind(phase).bind(round.cast_signed()).execute(&mut **tx).await?;
    let insert = "insert into health_checks (organization_id, run_id, phase, round, ordinal, name, subject, verdict, command, detail, duration_ms) \
                  select $1, $2, $3, $4, (ordinality - 1)::integer, name, subject, verdict, command, detail, duration_ms \
                  from unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[]) \
                  with ordinality as given (name, subject, verdict, command, detail, duration_ms, ordinality)";
    let insert = sqlx::query(insert).bind(organization).bind(run.0).bind(phase).bind(round.cast_signed());
    insert
        .bind(checks.iter().map(|check| text::without_nul(&check.name)).collect::<Vec<_>>())
        .bind(checks.iter().map(|check| check.subject.as_ref().map(ToString::to_string)).collect::<Vec<_>>())
        .bind(checks.iter().map(|check| name_of(&check.verdict)).collect::<Result<Vec<_>, _>>()?)
        .bind(checks.iter().map(|check| text::without_nul(&check.command)).collect::<Vec<_>>())
        .bind(checks.iter().map(|check| text::without_nul(&check.detail)).collect::<Vec<_>>())
        .bind(checks.iter().map(|check| check.duration_ms.cast_signed()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Every check of a run, in the order it was made.
pub async fn of_run(tx: &mut TenantTx, run: RunId) -> Result<Vec<HealthCheck>, StoreError> {
    let query = "select phase, round, name, subject, verdict, command, detail, duration_ms from health_checks \
                 where organization_id = $1 and run_id = $2 order by created_at, phase, round, ordinal";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let subject: Option<String> = row.try_get("subject")?;
        let check = CheckResult {
            name: row.try_get("name")?,
            subject: subject.as_deref().map(parse_subject).transpose()?,
            verdict: named("verdict", row.try_get("verdict")?)?,
            command: row.try_get("command")?,
            detail: row.try_get("detail")?,
            duration_ms: row.try_get::<i64, _>("duration_ms")?.cast_unsigned(),
        };
        Ok(HealthCheck { phase: row.try_get("phase")?, round: row.try_get::<i32, _>("round")?.cast_unsigned(), check })
    };
    rows.iter().map(read).collect()
}

/// The inverse of `Subject`'s text form.
fn parse_subject(text: &str) -> Result<Subject, StoreError> {
    let corrupt = || StoreError::corrupt("subject", text);
    let (kind, name) = text.split_once(':').ok_or_else(corrupt)?;
    let name = name.to_owned();
    Ok(match kind {
        "operation" => Subject::Operation(name),
        "entity" => Subject::Entity(name),
        "field" => Subject::Field(name),
        "rule" => Subject::Rule(name),
        "project" => Subject::Project(name),
        "statement" => Subject::Statement(name),
        _ => return Err(corrupt()),
    })
}
