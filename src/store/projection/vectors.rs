//! The vectors of patterns, in a vector store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use uuid::Uuid;

use super::relay::{Rebuilt, Target, TargetError};
use super::verify::{Compared, Items};
use crate::model::{OrganizationId, PatternId, PatternKind};
use crate::store::postgres::outbox::OutboxRow;
use crate::store::postgres::{Postgres, pattern_vectors, projected};
use crate::store::vectors::{Collection, Content, Point, Vectors, VectorsError};

pub(super) const NAME: &str = "vectors";
pub(super) const AGGREGATES: &[&str] = &["pattern"];
/// Rows that are fetched and written together: 0.8 MB at 384 numbers.
const FETCH_ROWS: usize = 500;
/// What a deleted pattern is announced as.
const DELETED: &str = "pattern_deleted";

/// The vector store as a target.
#[derive(Clone)]
pub(super) struct Patterns {
    pub(super) postgres: Postgres,
    pub(super) vectors: Vectors,
    /// The embedder whose vectors it holds.
    pub(super) model: String,
}

/// A collection of one organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    tenant: OrganizationId,
    kind: PatternKind,
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} of organization {}", Collection::of(self.kind).name(), self.tenant)
    }
}

impl Target for Patterns {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aggregates(&self) -> &'static [&'static str] {
        AGGREGATES
    }

    async fn take_in(&self, changes: &[OutboxRow]) -> Result<(), TargetError> {
        let mut touched: BTreeMap<OrganizationId, BTreeSet<Uuid>> = BTreeMap::new();
        let mut deleted: BTreeMap<OrganizationId, BTreeSet<Uuid>> = BTreeMap::new();
        for change in changes {
            touched.entry(change.organization).or_default().insert(change.aggregate_id);
            if change.kind == DELETED {
                deleted.entry(change.organization).or_default().insert(change.aggregate_id);
            }
        }
        for (tenant, ids) in touched {
            // A pattern that was deleted and learned again counts its versions anew: its old point would look newer.
            let gone = deleted.remove(&tenant).unwrap_or_default();
            self.remove(tenant, &gone.into_iter().collect::<Vec<_>>()).await?;
            self.show(tenant, &ids.into_iter().map(PatternId).collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    async fn rebuild(&self) -> Result<Rebuilt, TargetError> {
        let next = self.vectors.begin_generation().await.map_err(away)?;
        let mut rebuilt = Rebuilt::default();
        for id in self.collections().await? {
            let ids: Vec<PatternId> = self.versions(id).await?.into_iter().map(|(pattern, _)| pattern).collect();
            for page in ids.chunks(FETCH_ROWS) {
                let points = self.points(id.tenant, page).await?;
                rebuilt.aggregates += points.len();
                self.vectors
                    .upsert_into(next, Collection::of(id.kind), points.into_iter().map(|(_, point)| point).collect())
                    .await
                    .map_err(away)?;
            }
        }
        rebuilt.items = rebuilt.aggregates;
        self.vectors.switch_generation(next).await.map_err(away)?;
        let (all, _) = self.vectors.generations().await.map_err(away)?;
        for outdated in all.into_iter().filter(|generation| *generation < next) {
            self.vectors.drop_generation(outdated).await.map_err(away)?;
        }
        self.vectors.flush().await.map_err(away)?;
        Ok(rebuilt)
    }
}

impl Patterns {
    /// Brings rows as they are now into the store; those that are gone from the tables are passed over.
    async fn show(&self, tenant: OrganizationId, ids: &[PatternId]) -> Result<(), TargetError> {
        for page in ids.chunks(FETCH_ROWS) {
            let mut of_kind: BTreeMap<PatternKind, Vec<Point>> = BTreeMap::new();
            for (kind, point) in self.points(tenant, page).await? {
                of_kind.entry(kind).or_default().push(point);
            }
            for (kind, points) in of_kind {
                self.vectors.upsert(Collection::of(kind), points).await.map_err(away)?;
            }
        }
        Ok(())
    }

    async fn remove(&self, tenant: OrganizationId, ids: &[Uuid]) -> Result<(), TargetError> {
        if ids.is_empty() {
            return Ok(());
        }
        for collection in Collection::ALL {
            self.vectors.delete(collection, tenant, ids.to_vec()).await.map_err(away)?;
        }
        Ok(())
    }

    async fn points(&self, tenant: OrganizationId, ids: &[PatternId]) -> Result<Vec<(PatternKind, Point)>, TargetError> {
        let mut tx = self.postgres.tenant(tenant).await?;
        let rows = pattern_vectors::find(&mut tx, &self.model, ids).await?;
        tx.commit().await?;
        Ok(rows.into_iter().map(|row| (row.kind, Point::of(row, tenant))).collect())
    }

    async fn versions(&self, id: Id) -> Result<Vec<(PatternId, i64)>, TargetError> {
        let mut tx = self.postgres.tenant(id.tenant).await?;
        let versions = pattern_vectors::versions(&mut tx, &self.model, id.kind).await?;
        tx.commit().await?;
        Ok(versions)
    }

    async fn collections(&self) -> Result<BTreeSet<Id>, TargetError> {
        let mut tx = self.postgres.system().await?;
        let organizations = projected::organizations(&mut tx).await?;
        tx.commit().await?;
        let of_tenant = |tenant| PatternKind::ALL.into_iter().map(move |kind| Id { tenant, kind });
        Ok(organizations.into_iter().flat_map(of_tenant).collect())
    }

    async fn facts(&self, id: Id) -> Result<BTreeMap<Uuid, Content>, TargetError> {
        let ids: Vec<PatternId> = self.versions(id).await?.into_iter().map(|(pattern, _)| pattern).collect();
        let mut facts = BTreeMap::new();
        for page in ids.chunks(FETCH_ROWS) {
            facts.extend(self.points(id.tenant, page).await?.into_iter().map(|(_, point)| (point.id, point.content())));
        }
        Ok(facts)
    }
}

impl Compared for Patterns {
    type Id = Id;

    async fn aggregates_known(&self) -> Result<BTreeSet<Id>, TargetError> {
        self.collections().await
    }

    async fn wanted(&self, id: &Id) -> Result<Option<Items>, TargetError> {
        Ok(Some(items(&self.facts(*id).await?)))
    }

    async fn held(&self, id: &Id) -> Result<Option<Items>, TargetError> {
        Ok(Some(items(&self.vectors.contents(Collection::of(id.kind), id.tenant).await.map_err(away)?)))
    }

    async fn mend(&self, id: &Id) -> Result<(), TargetError> {
        let collection = Collection::of(id.kind);
        let held = self.vectors.contents(collection, id.tenant).await.map_err(away)?;
        let facts = self.facts(*id).await?;
        let wrong = |(pattern, content): (&Uuid, &Content)| (facts.get(pattern) != Some(content)).then_some(*pattern);
        let wrong: Vec<Uuid> = held.iter().filter_map(wrong).collect();
        self.vectors.delete(collection, id.tenant, wrong).await.map_err(away)?;
        let lacking = facts.iter().filter(|(pattern, content)| held.get(*pattern) != Some(*content));
        self.show(id.tenant, &lacking.map(|(pattern, _)| PatternId(*pattern)).collect::<Vec<_>>()).await?;
        self.vectors.flush().await.map_err(away)
    }
}

fn items(contents: &BTreeMap<Uuid, Content>) -> Items {
    let mut items = Items::default();
    for (pattern, content) in contents {
        items.add(format!("pattern {pattern}"), format!("version {}, content {}", content.version, hex::encode(&content.hash[..8])));
    }
    items
}

/// What the store will never take is refused; whatever else is wrong may pass.
fn away(error: VectorsError) -> TargetError {
    match error {
        VectorsError::Dimension { .. } | VectorsError::NotFinite => TargetError::Refused(error.to_string()),
        error => TargetError::away(NAME, error),
    }
}
