//! Specifications and their versions. The same content again is the same version.

use sqlx::Row;

use super::{StoreError, TenantTx, text};
use crate::model::SpecId;

/// A document as it was submitted.
#[derive(Debug, Clone, Copy)]
pub struct NewSpec<'a> {
    /// The specification's identity within its organization: `--name`, else the title's slug.
    pub slug: &'a str,
    /// The title as written.
    pub title: &'a str,
    /// SHA-256 of the content, in hex.
    pub content_hash: &'a str,
    /// The file's name, or `-`.
    pub source_name: &'a str,
    /// The bytes.
    pub content: &'a [u8],
}

/// A specification at its newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecRow {
    /// Its id, the same across versions.
    pub id: SpecId,
    /// Its identity within the organization.
    pub slug: String,
    /// The title.
    pub title: String,
    /// The newest version, from 1.
    pub version: u32,
}

/// Stores the document unless this specification had this content before. Returns the specification's id and the content's version.
///
/// Two calls at the same time queue on the specification's row.
pub async fn submit(tx: &mut TenantTx, spec: &NewSpec<'_>) -> Result<(SpecId, u32), StoreError> {
    let organization = tx.organization().0;
    let insert = "insert into specs (organization_id, id, slug, title, version) values ($1, $2, $3, $4, 1) \
                  on conflict on constraint specs_slug_key do update set title = excluded.title, updated_at = now() returning id, version, xmax = 0";
    let row = sqlx::query(insert)
        .bind(organization)
        .bind(SpecId::new().0)
        .bind(spec.slug)
        .bind(text::without_nul(spec.title))
        .fetch_one(&mut **tx)
        .await?;
    let (id, newest, new): (uuid::Uuid, i32, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let known = "select version from spec_versions where organization_id = $1 and spec_id = $2 and content_hash = $3";
    let known: Option<i32> =
        sqlx::query_scalar(known).bind(organization).bind(id).bind(spec.content_hash).fetch_optional(&mut **tx).await?;
    let version = match known {
        Some(version) => version,
        None => newest + i32::from(!new),
    };
    if known.is_none() {
        let insert = "insert into spec_versions (organization_id, spec_id, version, content_hash, source_name, content) \
                      values ($1, $2, $3, $4, $5, $6)";
        let insert = sqlx::query(insert).bind(organization).bind(id).bind(version).bind(spec.content_hash);
        insert.bind(spec.source_name).bind(spec.content).execute(&mut **tx).await?;
    }
    let newest = "update specs set version = greatest(version, $3) where organization_id = $1 and id = $2";
    sqlx::query(newest).bind(organization).bind(id).bind(version).execute(&mut **tx).await?;
    Ok((SpecId(id), u32::try_from(version).map_err(|error| StoreError::corrupt("version", error))?))
}

/// The specification of that slug.
pub async fn find(tx: &mut TenantTx, slug: &str) -> Result<Option<SpecRow>, StoreError> {
    let query = "select id, slug, title, version from specs where organization_id = $1 and slug = $2";
    let row = sqlx::query(query).bind(tx.organization().0).bind(slug).fetch_optional(&mut **tx).await?;
    row.map(|row| {
        let version: i32 = row.try_get("version")?;
        Ok(SpecRow {
            id: SpecId(row.try_get("id")?),
            slug: row.try_get("slug")?,
            title: row.try_get("title")?,
            version: u32::try_from(version).map_err(|error| StoreError::corrupt("version", error))?,
        })
    })
    .transpose()
}

/// The submitted bytes of one version, and the name of the file they came from.
pub async fn content(tx: &mut TenantTx, spec: SpecId, version: u32) -> Result<Option<(Vec<u8>, String)>, StoreError> {
    let query = "select content, source_name from spec_versions where organization_id = $1 and spec_id = $2 and version = $3";
    let row = sqlx::query(query).bind(tx.organization().0).bind(spec.0).bind(version.cast_signed()).fetch_optional(&mut **tx).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}
