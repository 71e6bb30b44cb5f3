//! Every vector is compared with the query: exact, in memory, linear in the number of points.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use uuid::Uuid;

use super::{At, Collection, Content, Hit, Point, SEARCH_MS_MAX, Search, VectorsError, point, within};
use crate::model::OrganizationId;

type Points = HashMap<Collection, BTreeMap<Uuid, Point>>;

/// The points of all collections; clones share them.
#[derive(Debug, Clone)]
pub struct Exact {
    dimension: usize,
    generations: Arc<RwLock<Generations>>,
}

#[derive(Debug)]
struct Generations {
    active: u32,
    by_number: BTreeMap<u32, Points>,
}

impl Generations {
    fn number(&self, at: At) -> u32 {
        match at {
            At::Active => self.active,
            At::Numbered(number) => number,
        }
    }
}

impl Exact {
    pub(super) fn new(dimension: usize) -> Self {
        let generations = Generations { active: 1, by_number: BTreeMap::from([(1, Points::default())]) };
        Self { dimension, generations: Arc::new(RwLock::new(generations)) }
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(super) fn upsert(&self, at: At, collection: Collection, points: Vec<Point>) -> Result<(), VectorsError> {
        self.change(at, collection, |kept| {
            for point in points {
                if kept.get(&point.id).is_none_or(|old| old.version < point.version) {
                    kept.insert(point.id, point);
                }
            }
        })
    }

    pub(super) fn delete(&self, collection: Collection, tenant: OrganizationId, ids: &[Uuid]) -> Result<(), VectorsError> {
        self.change(At::Active, collection, |kept| {
            for id in ids {
                if kept.get(id).is_some_and(|point| point.tenant == tenant) {
                    kept.remove(id);
                }
            }
        })
    }

    pub(super) async fn search(&self, collection: Collection, search: Search) -> Result<Vec<Hit>, VectorsError> {
        let generations = Arc::clone(&self.generations);
        let call = move || {
            let generations = generations.read().unwrap_or_else(PoisonError::into_inner);
            let points = generations.by_number.get(&generations.active).and_then(|points| points.get(&collection));
            Ok(points.map(|points| nearest(points, search)).unwrap_or_default())
        };
        within("comparing vectors", Duration::from_millis(SEARCH_MS_MAX), call).await
    }

    pub(super) fn versions(&self, collection: Collection, tenant: OrganizationId) -> Result<BTreeMap<Uuid, i64>, VectorsError> {
        self.each(collection, tenant, |point| point.version)
    }

    pub(super) fn contents(&self, collection: Collection, tenant: OrganizationId) -> Result<BTreeMap<Uuid, Content>, VectorsError> {
        self.each(collection, tenant, Point::content)
    }

    pub(super) fn generations(&self) -> (Vec<u32>, u32) {
        let generations = self.read();
        (generations.by_number.keys().copied().collect(), generations.active)
    }

    pub(super) fn begin_generation(&self) -> u32 {
        let mut generations = self.write();
        let number = generations.by_number.keys().max().copied().unwrap_or(0) + 1;
        generations.by_number.insert(number, Points::default());
        number
    }

    pub(super) fn switch_generation(&self, number: u32) -> Result<(), VectorsError> {
        let mut generations = self.write();
        if !generations.by_number.contains_key(&number) {
            return Err(VectorsError::NoGeneration { number });
        }
        generations.active = number;
        Ok(())
    }

    pub(super) fn drop_generation(&self, number: u32) -> Result<(), VectorsError> {
        let mut generations = self.write();
        if generations.active == number {
            return Err(VectorsError::Serving { number });
        }
        generations.by_number.remove(&number);
        Ok(())
    }

    fn each<T>(&self, collection: Collection, tenant: OrganizationId, of: fn(&Point) -> T) -> Result<BTreeMap<Uuid, T>, VectorsError> {
        let generations = self.read();
        let number = generations.active;
        let points = generations.by_number.get(&number).ok_or(VectorsError::NoGeneration { number })?;
        let kept = points.get(&collection).into_iter().flatten();
        Ok(kept.filter(|(_, point)| point.tenant == tenant).map(|(id, point)| (*id, of(point))).collect())
    }

    fn change(&self, at: At, collection: Collection, change: impl FnOnce(&mut BTreeMap<Uuid, Point>)) -> Result<(), VectorsError> {
        let mut generations = self.write();
        let number = generations.number(at);
        let points = generations.by_number.get_mut(&number).ok_or(VectorsError::NoGeneration { number })?;
        change(points.entry(collection).or_default());
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Generations> {
        self.generations.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Generations> {
        self.generations.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nearest(points: &BTreeMap<Uuid, Point>, search: Search) -> Vec<Hit> {
    let Search { vector, filter, threshold, limit } = search;
    let vector = point::normalised(&vector);
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
