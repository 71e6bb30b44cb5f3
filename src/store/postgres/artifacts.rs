//! Produced files: contents once each, by SHA-256, and which attempt wrote them where.

use sqlx::Row;

use super::{StoreError, TenantTx};
use crate::model::{Artifact, AttemptId, RunId};

/// Stores contents that are not stored yet. Call it before the attempt that names them is settled.
pub async fn store_blobs(tx: &mut TenantTx, blobs: &[(&str, &[u8])]) -> Result<(), StoreError> {
    if blobs.is_empty() {
        return Ok(());
    }
    let mut blobs = blobs.to_vec();
    blobs.sort_unstable_by_key(|blob| blob.0);
    blobs.dedup_by_key(|blob| blob.0);
    let insert = "insert into blobs (organization_id, sha256, size_bytes, content) \
                  select $1, sha256, octet_length(content), content from unnest($2::text[], $3::bytea[]) as given (sha256, content) \
                  on conflict on constraint blobs_pkey do nothing";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(blobs.iter().map(|blob| blob.0).collect::<Vec<_>>());
    insert.bind(blobs.iter().map(|blob| blob.1).collect::<Vec<_>>()).execute(&mut **tx).await?;
    Ok(())
}

/// The content of that hash.
pub async fn blob(tx: &mut TenantTx, sha256: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let query = "select content from blobs where organization_id = $1 and sha256 = $2";
    Ok(sqlx::query_scalar(query).bind(tx.organization().0).bind(sha256).fetch_optional(&mut **tx).await?)
}

/// The files of an attempt, by path.
pub async fn of_attempt(tx: &mut TenantTx, attempt: AttemptId) -> Result<Vec<Artifact>, StoreError> {
    let query = "select path, sha256, size_bytes, executable from artifacts where organization_id = $1 and attempt_id = $2 order by path";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(attempt.0).fetch_all(&mut **tx).await?;
    rows.iter().map(read).collect()
}

/// The files of every unit of a run that is done, with the unit's key, by key and path. A reused result counts as the run's own.
pub async fn of_run(tx: &mut TenantTx, run: RunId) -> Result<Vec<(String, Artifact)>, StoreError> {
    let query = "select t.key, a.path, a.sha256, a.size_bytes, a.executable \
                 from run_tasks t \
                 cross join lateral (select coalesce(reused, id) as id from task_attempts \
                     where organization_id = t.organization_id and run_id = t.run_id and unit_id = t.id \
                     and outcome in ('succeeded', 'cached', 'handed_in') order by token desc limit 1) newest \
                 join artifacts a on a.organization_id = t.organization_id and a.attempt_id = newest.id \
                 where t.organization_id = $1 and t.run_id = $2 and t.state in ('succeeded', 'cached') and not t.gate order by t.key, a.path";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    rows.iter().map(|row| Ok((row.try_get("key")?, read(row)?))).collect()
}

/// Writes down which attempt wrote which files.
pub(super) async fn store(tx: &mut TenantTx, files: &[(AttemptId, &Artifact)]) -> Result<(), StoreError> {
    if files.is_empty() {
        return Ok(());
    }
    let insert = "insert into artifacts (organization_id, attempt_id, path, sha256, size_bytes, executable) \
                  select $1, attempt_id, path, sha256, size_bytes, executable \
                  from unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::boolean[]) \
                  as given (attempt_id, path, sha256, size_bytes, executable)";
    let insert = sqlx::query(insert).bind(tx.organization().0);
    insert
        .bind(files.iter().map(|(attempt, _)| attempt.0).collect::<Vec<_>>())
        .bind(files.iter().map(|(_, file)| file.path.as_str()).collect::<Vec<_>>())
        .bind(files.iter().map(|(_, file)| file.sha256.as_str()).collect::<Vec<_>>())
        .bind(files.iter().map(|(_, file)| file.size_bytes.cast_signed()).collect::<Vec<_>>())
        .bind(files.iter().map(|(_, file)| file.executable).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn read(row: &sqlx::postgres::PgRow) -> Result<Artifact, StoreError> {
    Ok(Artifact {
        path: row.try_get("path")?,
        sha256: row.try_get("sha256")?,
        size_bytes: row.try_get::<i64, _>("size_bytes")?.cast_unsigned(),
        executable: row.try_get("executable")?,
    })
}
