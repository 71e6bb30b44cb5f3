//! What was noticed about a run's input.

use sqlx::Row;

use super::plans::{name_of, named};
use super::text::without_nul;
use super::{StoreError, TenantTx};
use crate::model::{Finding, Position, RunId};

/// Keeps the findings of a phase in place of those that an earlier try of it left.
pub async fn save(tx: &mut TenantTx, run: RunId, phase: &str, findings: &[Finding]) -> Result<(), StoreError> {
    let organization = tx.organization().0;
    let delete = "delete from findings where organization_id = $1 and run_id = $2 and phase = $3";
    sqlx::query(delete).bind(organization).bind(run.0).bind(phase).execute(&mut **tx).await?;
    let insert = "insert into findings (organization_id, run_id, phase, ordinal, severity, code, message, line, column_number, hint) \
                  select $1, $2, $3, (ordinality - 1)::integer, severity, code, message, line, column_number, hint \
                  from unnest($4::text[], $5::text[], $6::text[], $7::integer[], $8::integer[], $9::text[]) \
                  with ordinality as given (severity, code, message, line, column_number, hint, ordinality)";
    let insert = sqlx::query(insert).bind(organization).bind(run.0).bind(phase);
    insert
        .bind(findings.iter().map(|finding| name_of(&finding.severity)).collect::<Result<Vec<_>, _>>()?)
        .bind(findings.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>())
        .bind(findings.iter().map(|finding| without_nul(&finding.message)).collect::<Vec<_>>())
        .bind(findings.iter().map(|finding| finding.position.map(|position| position.line.cast_signed())).collect::<Vec<_>>())
        .bind(findings.iter().map(|finding| finding.position.map(|position| position.column.cast_signed())).collect::<Vec<_>>())
        .bind(findings.iter().map(|finding| without_nul(&finding.hint)).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The findings of a run with the phase that noticed them, in the order they were noticed within a phase.
pub async fn of_run(tx: &mut TenantTx, run: RunId) -> Result<Vec<(String, Finding)>, StoreError> {
    let query = "select phase, severity, code, message, line, column_number, hint from findings \
                 where organization_id = $1 and run_id = $2 order by phase, ordinal";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let (line, column): (Option<i32>, Option<i32>) = (row.try_get("line")?, row.try_get("column_number")?);
        let position = line.zip(column).map(|(line, column)| Position { line: line.cast_unsigned(), column: column.cast_unsigned() });
        let finding = Finding {
            severity: named("severity", row.try_get("severity")?)?,
            code: row.try_get("code")?,
            message: row.try_get("message")?,
            position,
            hint: row.try_get("hint")?,
        };
        Ok((row.try_get("phase")?, finding))
    };
    rows.iter().map(read).collect()
}
