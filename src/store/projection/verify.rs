//! Comparing a projection with the tables: every aggregate by hash, and where the hashes differ, item by item.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest, Sha256};

use super::relay::{Target, TargetError};

/// Items of one difference that are named; the rest is counted.
const NAMED_MAX: usize = 5;

/// What an aggregate consists of: the name of each item and what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Items(BTreeMap<String, String>);

impl Items {
    /// Adds an item. Names are unique within an aggregate.
    pub fn add(&mut self, name: impl Into<String>, content: impl Into<String>) {
        self.0.insert(name.into(), content.into());
    }

    fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (name, content) in &self.0 {
            for text in [name, content] {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
        }
        hash.finalize().into()
    }
}

/// A target whose content can be read back and compared.
pub trait Compared: Target {
    /// What an aggregate is called; its `Display` is what a person reads.
    type Id: Ord + Clone + fmt::Display + Send + Sync;

    /// Every aggregate that the tables or the store know.
    fn aggregates_known(&self) -> impl Future<Output = Result<BTreeSet<Self::Id>, TargetError>> + Send;

    /// What it must consist of; none when the tables do not have it.
    fn wanted(&self, id: &Self::Id) -> impl Future<Output = Result<Option<Items>, TargetError>> + Send;

    /// What it consists of; none when the store does not have it.
    fn held(&self, id: &Self::Id) -> impl Future<Output = Result<Option<Items>, TargetError>> + Send;

    /// Waits until what was announced has arrived: before anything that differs is looked at again.
    fn settle(&self) -> impl Future<Output = Result<(), TargetError>> + Send {
        async { Ok(()) }
    }

    /// Makes it what the tables say.
    fn mend(&self, id: &Self::Id) -> impl Future<Output = Result<(), TargetError>> + Send;
}

/// An aggregate that is not what the tables say.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The projection.
    pub projection: &'static str,
    /// The aggregate.
    pub aggregate: String,
    /// What is wrong with it, items named.
    pub detail: String,
    /// True when it was made right again.
    pub mended: bool,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Aggregates that were compared.
    pub aggregates: usize,
    /// Items that they hold according to the tables.
    pub items: usize,
    /// Those that differ.
    pub differences: Vec<Difference>,
}

/// What to do about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Only name it.
    No,
    /// Make the store what the tables say, and look again.
    Yes,
}

/// Compares every aggregate. One that differs is looked at twice: a run may have gone on between the two readings.
pub async fn verify(target: &impl Compared, repair: Repair) -> Result<Verified, TargetError> {
    let mut verified = Verified::default();
    for id in target.aggregates_known().await? {
        verified.aggregates += 1;
        let (first, items) = compare(target, &id).await?;
        verified.items += items;
        if first.is_none() {
            continue;
        }
        target.settle().await?;
        let (Some(detail), _) = compare(target, &id).await? else { continue };
        let mut difference = Difference { projection: target.name(), aggregate: id.to_string(), detail, mended: false };
        if repair == Repair::Yes {
            target.mend(&id).await?;
            difference.mended = compare(target, &id).await?.0.is_none();
        }
        verified.differences.push(difference);
    }
    Ok(verified)
}

/// What differs, and how many items there should be.
async fn compare<C: Compared>(target: &C, id: &C::Id) -> Result<(Option<String>, usize), TargetError> {
    let wanted = target.wanted(id).await?;
    let held = target.held(id).await?;
    let count = wanted.as_ref().map_or(0, |items| items.0.len());
    let detail = match (wanted, held) {
        (None, None) => None,
        (None, Some(_)) => Some("is not among the facts any more".to_owned()),
        (Some(_), None) => Some("is missing".to_owned()),
        (Some(wanted), Some(held)) => (wanted.hash() != held.hash()).then(|| describe(&wanted, &held)),
    };
    Ok((detail, count))
}

fn describe(wanted: &Items, held: &Items) -> String {
    let missing: Vec<String> = wanted.0.keys().filter(|name| !held.0.contains_key(*name)).cloned().collect();
    let extra: Vec<String> = held.0.keys().filter(|name| !wanted.0.contains_key(*name)).cloned().collect();
    let differs = |(name, content): (&String, &String)| {
        let other = held.0.get(name).filter(|other| *other != content)?;
        Some(format!("{name} is {other}, should be {content}"))
    };
    let changed: Vec<String> = wanted.0.iter().filter_map(differs).collect();
    let told = [named("lacks", &missing), named("has too many", &extra), named("differs in", &changed)];
    told.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn named(verb: &str, names: &[String]) -> Option<String> {
    let rest = names.len().saturating_sub(NAMED_MAX);
    let shown = names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match (names.len(), rest) {
        (0, _) => None,
        (_, 0) => Some(format!("{verb} {shown}")),
        _ => Some(format!("{verb} {shown} and {rest} more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(list: &[(&str, &str)]) -> Items {
        let mut items = Items::default();
        for (name, content) in list {
            items.add(*name, *content);
        }
        items
    }

    #[test]
    fn the_hash_sees_where_one_text_ends_and_the_next_begins() {
        assert_ne!(items(&[("ab", "c")]).hash(), items(&[("a", "bc")]).hash());
        assert_eq!(items(&[("a", "1"), ("b", "2")]).hash(), items(&[("b", "2"), ("a", "1")]).hash());
    }

    #[test]
    fn every_difference_is_named_up_to_a_number() {
        let wanted = items(&[("a", "pending"), ("b", "done"), ("c", "done")]);
        assert_eq!(
            describe(&wanted, &items(&[("a", "running"), ("b", "done"), ("x", "y")])),
            "lacks c; has too many x; differs in a is running, should be pending"
        );
        let many: Vec<String> = (0..7).map(|number| format!("n{number}")).collect();
        assert_eq!(named("lacks", &many).unwrap(), "lacks n0, n1, n2, n3, n4 and 2 more");
    }
}
