//! Messages of the interface as the engine's own forms, and back. What has no such form is refused.

use std::path::Path;
use std::sync::Arc;

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions;
use qdrant_client::qdrant::{self as api, with_vectors_selector};
use qdrant_edge::{
    Condition, DEFAULT_VECTOR_NAME, Distance, EdgeConfigBuilder, EdgeShard, EdgeVectorParamsBuilder, FieldCondition, Filter,
    HasIdCondition, JsonPath, Match, Payload, PayloadFieldSchema, PayloadSchemaParams, PayloadSchemaType, PointId, Range, ValueVariants,
    VectorStructInternal, WalOptions, WithPayloadInterface, external::ordered_float::OrderedFloat,
};
use tonic::Status;

/// The engine's log is preallocated in pieces of this size; small ones keep a test's folders small.
const LOG_PIECE_BYTES: usize = 4 * 1024 * 1024;

pub fn shard(folder: &Path, dimension: usize) -> Result<EdgeShard, Status> {
    let log = WalOptions { segment_capacity: LOG_PIECE_BYTES, ..WalOptions::default() };
    let vector = EdgeVectorParamsBuilder::new(dimension, Distance::Cosine).build();
    super::open(folder, EdgeConfigBuilder::new().vector(DEFAULT_VECTOR_NAME, vector).wal_options(log).build())
}

/// Refuses a request that says more than what was understood of it.
pub fn nothing_else<M: PartialEq + std::fmt::Debug>(understood: &M, said: &M) -> Result<(), Status> {
    if understood == said { Ok(()) } else { Err(Status::unimplemented(format!("the stand-in does not know all of {said:?}"))) }
}

pub fn missing(name: &str) -> Status {
    Status::not_found(format!("Not found: Collection `{name}` doesn't exist!"))
}

pub fn internal(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

pub fn path(field: &str) -> Result<JsonPath, Status> {
    field.parse().map_err(|()| Status::invalid_argument(format!("{field} is no path")))
}

pub fn point_id(id: Option<&api::PointId>) -> Result<PointId, Status> {
    match id.and_then(|id| id.point_id_options.as_ref()) {
        Some(PointIdOptions::Uuid(text)) => {
            text.parse().map(PointId::Uuid).map_err(|_| Status::invalid_argument(format!("Unable to parse UUID: {text}")))
        }
        Some(PointIdOptions::Num(_)) => Err(Status::unimplemented("the stand-in does not know ids that are numbers")),
        None => Err(Status::invalid_argument("Empty ID is not allowed")),
    }
}

pub fn id_back(id: PointId) -> api::PointId {
    match id {
        PointId::Uuid(id) => id.to_string().into(),
        PointId::NumId(id) => id.into(),
    }
}

pub fn filter(filter: &api::Filter) -> Result<Filter, Status> {
    nothing_else(&api::Filter { must: filter.must.clone(), ..api::Filter::default() }, filter)?;
    let must = filter.must.iter().map(condition).collect::<Result<_, _>>()?;
    Ok(Filter { should: None, min_should: None, must: Some(must), must_not: None })
}

fn condition(condition: &api::Condition) -> Result<Condition, Status> {
    match &condition.condition_one_of {
        Some(ConditionOneOf::Field(field)) => Ok(Condition::Field(field_condition(field)?)),
        Some(ConditionOneOf::HasId(api::HasIdCondition { has_id })) => {
            let ids = has_id.iter().map(|id| point_id(Some(id))).collect::<Result<Vec<_>, _>>()?;
            Ok(Condition::HasId(HasIdCondition::from_iter(ids)))
        }
        other => Err(Status::unimplemented(format!("the stand-in does not know the condition {other:?}"))),
    }
}

fn field_condition(condition: &api::FieldCondition) -> Result<FieldCondition, Status> {
    let key = condition.key.clone();
    let understood =
        api::FieldCondition { key: key.clone(), r#match: condition.r#match.clone(), range: condition.range, ..Default::default() };
    nothing_else(&understood, condition)?;
    match (&condition.r#match, &condition.range) {
        (Some(api::Match { match_value: Some(value) }), None) => {
            let value = match value {
                MatchValue::Keyword(text) => ValueVariants::String(text.clone()),
                MatchValue::Boolean(flag) => ValueVariants::Bool(*flag),
                other => return Err(Status::unimplemented(format!("the stand-in does not match {other:?}"))),
            };
            Ok(FieldCondition::new_match(path(&key)?, Match::new_value(value)))
        }
        (None, Some(api::Range { lt, gt, gte, lte })) => {
            let [lt, gt, gte, lte] = [lt, gt, gte, lte].map(|limit| limit.map(OrderedFloat));
            Ok(FieldCondition::new_range(path(&key)?, Range { lt, gt, gte, lte }))
        }
        other => Err(Status::unimplemented(format!("the stand-in does not know {other:?}"))),
    }
}

/// Which of the payload is asked for. Left out, it is nothing in a query and everything in a scroll.
pub fn with_payload(selector: Option<&api::WithPayloadSelector>, left_out: bool) -> Result<WithPayloadInterface, Status> {
    match selector.and_then(|selector| selector.selector_options.as_ref()) {
        None => Ok(WithPayloadInterface::Bool(left_out)),
        Some(SelectorOptions::Enable(enable)) => Ok(WithPayloadInterface::Bool(*enable)),
        Some(SelectorOptions::Include(include)) => {
            Ok(WithPayloadInterface::Fields(include.fields.iter().map(|field| path(field)).collect::<Result<_, _>>()?))
        }
        Some(SelectorOptions::Exclude(_)) => Err(Status::unimplemented("the stand-in does not know payloads without some fields")),
    }
}

pub fn with_vectors(selector: Option<&api::WithVectorsSelector>) -> Result<bool, Status> {
    match selector.and_then(|selector| selector.selector_options.as_ref()) {
        None => Ok(false),
        Some(with_vectors_selector::SelectorOptions::Enable(enable)) => Ok(*enable),
        Some(_) => Err(Status::unimplemented("the stand-in does not know names of vectors")),
    }
}

pub fn payload_back(payload: Option<Payload>) -> std::collections::HashMap<String, api::Value> {
    payload.into_iter().flat_map(|payload| payload.0).map(|(field, value)| (field, value.into())).collect()
}

pub fn vectors_back(vector: Option<VectorStructInternal>) -> Result<Option<api::VectorsOutput>, Status> {
    match vector {
        None => Ok(None),
        Some(VectorStructInternal::Single(data)) => {
            let vector = Some(api::vector_output::Vector::Dense(api::DenseVector { data }));
            let vector = api::VectorOutput { vector, ..Default::default() };
            Ok(Some(api::VectorsOutput { vectors_options: Some(api::vectors_output::VectorsOptions::Vector(vector)) }))
        }
        Some(_) => Err(Status::unimplemented("the stand-in keeps one vector for each point")),
    }
}

/// An index as the engine knows it; what only orders a server's storage is checked and then has no effect here.
pub fn field_schema(request: &api::CreateFieldIndexCollection) -> Result<PayloadFieldSchema, Status> {
    let of = |sort: PayloadSchemaType| Ok(PayloadFieldSchema::FieldType(sort));
    match (request.field_type(), &request.field_index_params) {
        (api::FieldType::Keyword, None) => of(PayloadSchemaType::Keyword),
        (api::FieldType::Bool, None) => of(PayloadSchemaType::Bool),
        (api::FieldType::Integer, None) => of(PayloadSchemaType::Integer),
        (api::FieldType::Keyword, Some(params)) => {
            let keyword = api::KeywordIndexParams { is_tenant: Some(true), ..Default::default() };
            let understood =
                api::PayloadIndexParams { index_params: Some(api::payload_index_params::IndexParams::KeywordIndexParams(keyword)) };
            nothing_else(&understood, params)?;
            let keyword = qdrant_edge::KeywordIndexParams { is_tenant: Some(true), ..Default::default() };
            Ok(PayloadFieldSchema::FieldParams(Arc::new(PayloadSchemaParams::Keyword(keyword)).as_ref().clone()))
        }
        (sort, params) => Err(Status::unimplemented(format!("the stand-in does not know the index {sort:?} {params:?}"))),
    }
}
