//! Every vector is compared with the query: exact, in memory, linear in the number of points.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use uuid::Uuid;

use super::{Collection, Hit, Point, SEARCH_MS_MAX, Search, VectorsError, within};
use crate::embed::normalise;
use crate::model::OrganizationId;

type Points = HashMap<Collection, BTreeMap<Uuid, Point>>;

/// The points of all collections; clones share them.
#[derive(Debug, Clone)]
pub struct Exact {
    dimension: usize,
    points: Arc<RwLock<Points>>,
}

impl Exact {
    pub(super) fn new(dimension: usize) -> Self {
        Self { dimension, points: Arc::default() }
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(super) fn upsert(&self, collection: Collection, points: Vec<Point>) {
        let mut all = self.points.write().unwrap_or_else(PoisonError::into_inner);
        let kept = all.entry(collection).or_default();
        for mut point in points {
            if kept.get(&point.id).is_none_or(|old| old.version < point.version) {
                normalise(&mut point.vector);
                kept.insert(point.id, point);
            }
        }
    }

    pub(super) fn delete(&self, collection: Collection, tenant: OrganizationId, ids: &[Uuid]) {
        let mut all = self.points.write().unwrap_or_else(PoisonError::into_inner);
        let kept = all.entry(collection).or_default();
        for id in ids {
            if kept.get(id).is_some_and(|point| point.tenant == tenant) {
                kept.remove(id);
            }
        }
    }

    pub(super) async fn search(&self, collection: Collection, search: Search) -> Result<Vec<Hit>, VectorsError> {
        let points = Arc::clone(&self.points);
        let call = move || {
            let all = points.read().unwrap_or_else(PoisonError::into_inner);
            Ok(all.get(&collection).map(|points| nearest(points, search)).unwrap_or_default())
        };
        within("comparing vectors", Duration::from_millis(SEARCH_MS_MAX), call).await
    }

    pub(super) fn versions(&self, collection: Collection, tenant: OrganizationId) -> BTreeMap<Uuid, i64> {
        let all = self.points.read().unwrap_or_else(PoisonError::into_inner);
        let kept = all.get(&collection).into_iter().flatten();
        kept.filter(|(_, point)| point.tenant == tenant).map(|(id, point)| (*id, point.version)).collect()
    }
}

fn nearest(points: &BTreeMap<Uuid, Point>, search: Search) -> Vec<Hit> {
    let Search { mut vector, filter, threshold, limit } = search;
    normalise(&mut vector);
    let passes = |point: &&Point| {
        point.tenant == filter.tenant && filter.fields.iter().all(|(field, value)| point.fields.get(field).is_some_and(|own| own == value))
    };
    let score = |point: &Point| point.vector.iter().zip(&vector).map(|(left, right)| left * right).sum::<f32>();
    let hits = points.values().filter(passes).map(|point| Hit { id: point.id, score: score(point) });
    let mut hits: Vec<Hit> = hits.filter(|hit| threshold.is_none_or(|least| hit.score >= least)).collect();
    hits.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.id.cmp(&right.id)));
    hits.truncate(limit);
    hits
}
