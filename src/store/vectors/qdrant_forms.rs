//! What is said to a Qdrant server and what it answers, as messages of its interface. Pure, but for the one request that its client
//! library does not offer.
//!
//! Called by `qdrant` alone.

use std::collections::BTreeMap;
use std::fmt;

use qdrant_client::qdrant::collections_client::CollectionsClient;
use qdrant_client::qdrant::vector_output::Vector as Stored;
use qdrant_client::qdrant::{self as api, Condition, FieldType, point_id::PointIdOptions};
use qdrant_client::{Payload, QdrantError};
use tonic::transport::{Channel, ClientTlsConfig};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use super::point::{FIELDS, SUCCESS};
use super::{At, Collection, Content, Filter, Generation, Hit, Point};
use crate::config::VectorsServer;
use crate::model::OrganizationId;

const TENANT: &str = "tenant";
pub(super) const VERSION: &str = "version";
const KIND: &str = "kind";
const MODEL: &str = "model";
/// Fields with an index for words, beside the tenant's.
const WORDS: [&str; 6] = ["language", "framework", "unit_type", "spec_type", KIND, MODEL];

/// What the collections of one embedder are called.
#[derive(Debug, Clone)]
pub(super) struct Names {
    model_id: String,
    safe: String,
}

impl Names {
    pub(super) fn of(generation: &Generation) -> Self {
        Self { model_id: generation.model_id.clone(), safe: generation.safe_name() }
    }

    pub(super) fn model(&self) -> &str {
        &self.model_id
    }

    /// The name that stands for the generation that serves.
    pub(super) fn alias(&self, collection: Collection) -> String {
        format!("{}-{}", collection.name(), self.safe)
    }

    /// The collection itself. The letter keeps `NAME-2` of one model apart from the alias of a model whose name ends in `-2`.
    pub(super) fn physical(&self, collection: Collection, number: u32) -> String {
        format!("{}-g{number}", self.alias(collection))
    }

    pub(super) fn at(&self, collection: Collection, at: At) -> String {
        match at {
            At::Active => self.alias(collection),
            At::Numbered(number) => self.physical(collection, number),
        }
    }

    /// The generations that own at least one of these collections, ascending.
    pub(super) fn numbers<'a>(&self, existing: impl Iterator<Item = &'a str>) -> Vec<u32> {
        let mut numbers: Vec<u32> = existing.filter_map(|name| Collection::ALL.into_iter().find_map(|of| self.number(of, name))).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The generations that the aliases of this embedder stand for, from all pairs of alias and collection.
    pub(super) fn generations<'a>(&self, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<Collection, u32> {
        let of = |(alias, name): (&str, &str)| {
            let collection = Collection::ALL.into_iter().find(|collection| self.alias(*collection) == alias)?;
            Some((collection, self.number(collection, name)?))
        };
        pairs.filter_map(of).collect()
    }

    fn number(&self, collection: Collection, name: &str) -> Option<u32> {
        name.strip_prefix(&self.alias(collection))?.strip_prefix("-g")?.parse().ok()
    }

    /// What makes every alias stand for that generation; `there` are the aliases that exist.
    pub(super) fn moves(&self, there: &BTreeMap<Collection, u32>, number: u32) -> Vec<api::AliasOperations> {
        let mut actions = Vec::new();
        for collection in Collection::ALL {
            let alias_name = self.alias(collection);
            if there.contains_key(&collection) {
                actions.push(api::DeleteAlias { alias_name: alias_name.clone() }.into());
            }
            actions.push(api::CreateAlias { collection_name: self.physical(collection, number), alias_name }.into());
        }
        actions.into_iter().map(|action| api::AliasOperations { action: Some(action) }).collect()
    }
}

/// Changes aliases in one step. The client library sends one change at a time, and a search between two would find no collection.
pub(super) async fn change_aliases(settings: &VectorsServer, actions: Vec<api::AliasOperations>) -> Result<(), QdrantError> {
    let endpoint = Channel::from_shared(settings.url.clone()).map_err(|error| Status::invalid_argument(error.to_string()))?;
    let endpoint = if settings.url.starts_with("https:") {
        endpoint.tls_config(ClientTlsConfig::new().with_native_roots()).map_err(|error| Status::internal(error.to_string()))?
    } else {
        endpoint
    };
    let channel = endpoint.connect().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = Request::new(api::ChangeAliases { actions, timeout: None });
    if let Some(key) = &settings.api_key {
        let key = key.expose().parse().map_err(|_| Status::invalid_argument("the key holds characters that no header may"))?;
        request.metadata_mut().insert("api-key", key);
    }
    CollectionsClient::new(channel).update_aliases(request).await?;
    Ok(())
}

/// An empty collection of vectors of that size.
pub(super) fn collection(name: &str, dimension: usize) -> api::CreateCollection {
    let vectors = api::VectorParamsBuilder::new(dimension as u64, api::Distance::Cosine);
    api::CreateCollectionBuilder::new(name).vectors_config(vectors).build()
}

/// An index for every field that a condition may name: the tenant's first, which also orders the storage.
pub(super) fn indexes(name: &str) -> Vec<api::CreateFieldIndexCollection> {
    let index = |field: &str, sort| api::CreateFieldIndexCollectionBuilder::new(name, field, sort).wait(true);
    let tenant = index(TENANT, FieldType::Keyword).field_index_params(api::KeywordIndexParamsBuilder::default().is_tenant(true));
    let words = WORDS.iter().map(|field| index(field, FieldType::Keyword));
    let rest = [index(SUCCESS, FieldType::Bool), index(VERSION, FieldType::Integer)];
    std::iter::once(tenant).chain(words).chain(rest).map(api::CreateFieldIndexCollectionBuilder::build).collect()
}

/// A point as the server keeps it.
pub(super) fn stored(point: Point, collection: Collection, model: &str) -> api::PointStruct {
    let mut payload = Payload::new();
    for (field, value) in point.fields {
        payload.insert(field, value);
    }
    payload.insert(TENANT, point.tenant.to_string());
    payload.insert(VERSION, point.version);
    payload.insert(KIND, collection.name());
    payload.insert(MODEL, model);
    api::PointStruct::new(point.id.to_string(), point.vector, payload)
}

/// The condition of an update: what is there is older.
pub(super) fn older_than(version: i64) -> api::Filter {
    #[expect(clippy::cast_precision_loss, reason = "a row does not change 2^53 times")]
    let range = api::Range { lt: Some(version as f64), ..api::Range::default() };
    api::Filter::must([Condition::range(VERSION, range)])
}

/// Those of the points that are that tenant's.
pub(super) fn of_tenant(tenant: OrganizationId, ids: &[Uuid]) -> api::Filter {
    let mut filter = conditions(&Filter::of(tenant));
    filter.must.push(Condition::has_id(ids.iter().map(Uuid::to_string)));
    filter
}

/// A filter as the server's conditions; the tenant is always among them.
pub(super) fn conditions(filter: &Filter) -> api::Filter {
    let mut must = vec![Condition::matches(TENANT, filter.tenant.to_string())];
    for (field, value) in &filter.fields {
        must.push(match value {
            serde_json::Value::Bool(flag) => Condition::matches(*field, *flag),
            serde_json::Value::String(text) => Condition::matches(*field, text.clone()),
            other => Condition::matches(*field, other.to_string()),
        });
    }
    api::Filter::must(must)
}

pub(super) fn only(field: &str) -> api::with_payload_selector::SelectorOptions {
    api::PayloadIncludeSelector { fields: vec![field.to_owned()] }.into()
}

pub(super) fn hit(point: &api::ScoredPoint) -> Option<Hit> {
    Some(Hit { id: id(point.id.as_ref()?)?, score: point.score })
}

pub(super) fn id_and_version(point: &api::RetrievedPoint) -> Option<(Uuid, i64)> {
    Some((id(point.id.as_ref()?)?, point.payload.get(VERSION)?.as_integer()?))
}

pub(super) fn id_and_content(point: &api::RetrievedPoint, tenant: OrganizationId) -> Option<(Uuid, Content)> {
    let (id, version) = id_and_version(point)?;
    let fields = FIELDS.into_iter().filter_map(|field| Some((field, point.payload.get(field)?.clone().into_json()))).collect();
    Some((id, Point { id, tenant, version, vector: vector(point)?, fields }.content()))
}

/// The vector of a point, whichever way the server's version says it.
fn vector(point: &api::RetrievedPoint) -> Option<Vec<f32>> {
    match point.vectors.as_ref()?.get_vector()? {
        Stored::Dense(dense) => Some(dense.data),
        Stored::Sparse(_) | Stored::MultiDense(_) => None,
    }
}

fn id(id: &api::PointId) -> Option<Uuid> {
    match id.point_id_options.as_ref()? {
        PointIdOptions::Uuid(text) => text.parse().ok(),
        PointIdOptions::Num(_) => None,
    }
}

/// False for an answer of a server that is well and refuses this one question.
fn is_outage(error: &QdrantError) -> bool {
    let QdrantError::ResponseError { status } = error else { return true };
    let refused =
        [Code::InvalidArgument, Code::NotFound, Code::AlreadyExists, Code::FailedPrecondition, Code::OutOfRange, Code::Unimplemented];
    !refused.contains(&status.code())
}

/// What a call that failed came to.
#[derive(Debug)]
pub(super) struct Said {
    /// True when the server is to blame, and not the question.
    pub(super) is_outage: bool,
    /// In a phrase.
    pub(super) reason: String,
}

impl Said {
    pub(super) fn of(error: &QdrantError) -> Self {
        Self { is_outage: is_outage(error), reason: reason(error) }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.reason)
    }
}

/// What the server said, in a phrase: without the headers of its answer and the innards of the connection.
pub(super) fn reason(error: &QdrantError) -> String {
    match error {
        QdrantError::ResponseError { status } | QdrantError::ResourceExhaustedError { status, .. } => {
            let message = status.message();
            let message = message.split_once(": tonic::transport::Error(").map_or(message, |(phrase, _)| phrase);
            format!("{}: {message}", status.code().description())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_generation() {
        let names = Names::of(&Generation { model_id: "a/b-2".to_owned(), dimension: 4 });
        let collection = Collection::CodePatterns;
        assert_eq!(
            (names.alias(collection), names.physical(collection, 2)),
            ("code_patterns-a_b-2".into(), "code_patterns-a_b-2-g2".into())
        );
        let existing = ["code_patterns-a_b-2-g2", "task_embeddings-a_b-2-g10", "code_patterns-a_b-g3", "code_patterns-a_b-2-gx", "other"];
        assert_eq!(names.numbers(existing.into_iter()), [2, 10]);
        let pairs = [("code_patterns-a_b-2", "code_patterns-a_b-2-g2"), ("code_patterns-a_b-2", "other"), ("x", "code_patterns-a_b-2-g3")];
        assert_eq!(names.generations(pairs[..1].iter().copied()), BTreeMap::from([(collection, 2)]));
        assert_eq!(names.generations(pairs[1..].iter().copied()), BTreeMap::new());
    }

    #[test]
    fn no_condition_forgets_the_tenant() {
        let tenant = OrganizationId::new();
        for filter in [conditions(&Filter::of(tenant).language("go").success(true)), of_tenant(tenant, &[Uuid::nil()])] {
            assert!(filter.must.contains(&Condition::matches(TENANT, tenant.to_string())), "{filter:?}");
            assert!(filter.should.is_empty() && filter.must_not.is_empty());
        }
    }
}
