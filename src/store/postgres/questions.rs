//! Questions about units, and what was answered.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::tasks::UnitEntry;
use super::{StoreError, TenantTx, text};
use crate::model::{Question, QuestionId, RunId, SpecId};

/// Keeps a question, or a clarification where the answer is there already. The caller holds the run's lock, by which numbers are counted.
pub async fn add(tx: &mut TenantTx, unit: &UnitEntry, who: &str, question: &str, answer: Option<&str>) -> Result<QuestionId, StoreError> {
    let id = QuestionId::new();
    let insert = "insert into questions (organization_id, id, run_id, spec_id, key, number, question, asked_by, answer, answered_by, answered_at) \
                  select $1, $2, $3, $4, $5, 1 + coalesce(max(number), 0), $6, $7, $8, \
                      case when $8::text is not null then $7 end, case when $8::text is not null then clock_timestamp() end \
                  from questions where organization_id = $1 and run_id = $3 and key = $5";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(id.0).bind(unit.run.0).bind(unit.spec.0).bind(&unit.key);
    let insert = insert.bind(text::without_nul(question)).bind(text::without_nul(who));
    insert.bind(answer.map(text::without_nul)).execute(&mut **tx).await?;
    Ok(id)
}

/// Answers a question. False when it was answered before.
pub async fn answer(tx: &mut TenantTx, id: QuestionId, who: &str, answer: &str) -> Result<bool, StoreError> {
    let update = "update questions set answer = $3, answered_by = $4, answered_at = clock_timestamp() \
                  where organization_id = $1 and id = $2 and answer is null";
    let update = sqlx::query(update).bind(tx.organization().0).bind(id.0).bind(text::without_nul(answer)).bind(text::without_nul(who));
    Ok(update.execute(&mut **tx).await?.rows_affected() > 0)
}

/// The questions of a run, or of one unit of it: by key, in the order in which they were asked.
pub async fn of_run(tx: &mut TenantTx, run: RunId, key: Option<&str>) -> Result<Vec<Question>, StoreError> {
    let query = "select id, number, key, question, asked_by, asked_at, answer, answered_by, answered_at from questions \
                 where organization_id = $1 and run_id = $2 and ($3::text is null or key = $3) order by key, number";
    let query = sqlx::query(query).bind(tx.organization().0).bind(run.0).bind(key);
    query.fetch_all(&mut **tx).await?.iter().map(read).collect()
}

/// What was answered about the unit of that key in any run of the specification: the newest answers, oldest first.
pub async fn answered(tx: &mut TenantTx, spec: SpecId, key: &str, limit: u32) -> Result<Vec<Question>, StoreError> {
    let query = "select id, number, key, question, asked_by, asked_at, answer, answered_by, answered_at from questions \
                 where organization_id = $1 and spec_id = $2 and key = $3 and answer is not null order by answered_at desc, id desc limit $4";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(spec.0).bind(key).bind(i64::from(limit)).fetch_all(&mut **tx).await?;
    rows.iter().rev().map(read).collect()
}

fn read(row: &PgRow) -> Result<Question, StoreError> {
    Ok(Question {
        id: QuestionId(row.try_get("id")?),
        number: row.try_get::<i32, _>("number")?.cast_unsigned(),
        unit: row.try_get("key")?,
        question: row.try_get("question")?,
        asked_by: row.try_get("asked_by")?,
        asked_at: row.try_get("asked_at")?,
        answer: row.try_get("answer")?,
        answered_by: row.try_get("answered_by")?,
        answered_at: row.try_get("answered_at")?,
    })
}
