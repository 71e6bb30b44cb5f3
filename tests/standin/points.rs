//! The service of points.

use qdrant_client::qdrant as api;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::points_server::Points;
use qdrant_client::qdrant::{query, vector, vector_input, vectors};
use qdrant_edge::{
    ConditionalInsertOperation, CountRequest, CreateIndex, FieldIndexOperations, NamedQuery, PointInsertOperations, PointOperations,
    PointStruct, QueryEnum, ScrollRequest, SearchRequest, UpdateOperation, WithVector,
};
use tonic::{Request, Response, Status};

use super::forms::{filter, id_back, internal, nothing_else, path, payload_back, point_id, vectors_back, with_payload, with_vectors};
use super::{Store, forms, unknown};

/// Points of one answer when the request does not say how many: the interface's own defaults.
const QUERY_LIMIT: u64 = 10;
const SCROLL_LIMIT: u32 = 10;

fn updated() -> api::PointsOperationResponse {
    let result = api::UpdateResult { operation_id: None, status: api::UpdateStatus::Completed.into() };
    api::PointsOperationResponse { result: Some(result), time: 0.0, usage: None }
}

fn point(point: api::PointStruct, dimension: usize) -> Result<PointStruct, Status> {
    let id = point_id(point.id.as_ref())?;
    let vectors = point.vectors.and_then(|vectors| vectors.vectors_options);
    let Some(vectors::VectorsOptions::Vector(api::Vector { vector: Some(vector::Vector::Dense(dense)), .. })) = vectors else {
        return Err(Status::unimplemented("the stand-in knows one dense vector for each point"));
    };
    right_size(&dense.data, dimension)?;
    let payload: serde_json::Map<_, _> = point.payload.into_iter().map(|(field, value)| (field, value.into_json())).collect();
    Ok(PointStruct::new(id, dense.data, serde_json::Value::Object(payload)))
}

fn right_size(vector: &[f32], dimension: usize) -> Result<(), Status> {
    if vector.len() == dimension {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("Wrong input: Vector dimension error: expected dim: {dimension}, got {}", vector.len())))
}

fn waits(wait: Option<bool>) -> Result<(), Status> {
    if wait == Some(true) { Ok(()) } else { Err(Status::unimplemented("the stand-in answers when it is done")) }
}

#[tonic::async_trait]
impl Points for Store {
    async fn upsert(&self, request: Request<api::UpsertPoints>) -> Result<Response<api::PointsOperationResponse>, Status> {
        let request = request.into_inner();
        let understood = api::UpsertPoints {
            collection_name: request.collection_name.clone(),
            wait: request.wait,
            points: request.points.clone(),
            update_filter: request.update_filter.clone(),
            ..Default::default()
        };
        nothing_else(&understood, &request)?;
        waits(request.wait)?;
        self.on(&request.collection_name, move |collection| {
            let points = request.points.into_iter().map(|given| Ok(point(given, collection.dimension)?.into()));
            let points = PointInsertOperations::PointsList(points.collect::<Result<_, Status>>()?);
            let operation = match &request.update_filter {
                None => PointOperations::UpsertPoints(points),
                Some(condition) => PointOperations::UpsertPointsConditional(ConditionalInsertOperation {
                    points_op: points,
                    condition: filter(condition)?,
                    update_mode: None,
                }),
            };
            collection.write(|shard| shard.update(UpdateOperation::PointOperation(operation)).map_err(internal))?;
            Ok(updated())
        })
        .await
    }

    async fn delete(&self, request: Request<api::DeletePoints>) -> Result<Response<api::PointsOperationResponse>, Status> {
        let request = request.into_inner();
        let understood = api::DeletePoints {
            collection_name: request.collection_name.clone(),
            wait: request.wait,
            points: request.points.clone(),
            ..Default::default()
        };
        nothing_else(&understood, &request)?;
        waits(request.wait)?;
        let Some(PointsSelectorOneOf::Filter(chosen)) = request.points.and_then(|points| points.points_selector_one_of) else {
            return Err(Status::unimplemented("the stand-in removes what a filter chooses"));
        };
        let chosen = filter(&chosen)?;
        self.on(&request.collection_name, move |collection| {
            let operation = UpdateOperation::PointOperation(PointOperations::DeletePointsByFilter(chosen));
            collection.write(|shard| shard.update(operation).map_err(internal))?;
            Ok(updated())
        })
        .await
    }

    async fn create_field_index(
        &self,
        request: Request<api::CreateFieldIndexCollection>,
    ) -> Result<Response<api::PointsOperationResponse>, Status> {
        let request = request.into_inner();
        let understood = api::CreateFieldIndexCollection {
            collection_name: request.collection_name.clone(),
            wait: request.wait,
            field_name: request.field_name.clone(),
            field_type: request.field_type,
            field_index_params: request.field_index_params.clone(),
            ..Default::default()
        };
        nothing_else(&understood, &request)?;
        waits(request.wait)?;
        let schema = forms::field_schema(&request)?;
        let index = CreateIndex { field_name: path(&request.field_name)?, field_schema: Some(schema) };
        self.on(&request.collection_name, move |collection| {
            let operation = UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(index));
            collection.write(|shard| shard.update(operation).map_err(internal))?;
            Ok(updated())
        })
        .await
    }

    async fn scroll(&self, request: Request<api::ScrollPoints>) -> Result<Response<api::ScrollResponse>, Status> {
        let request = request.into_inner();
        let understood = api::ScrollPoints {
            collection_name: request.collection_name.clone(),
            filter: request.filter.clone(),
            offset: request.offset.clone(),
            limit: request.limit,
            with_payload: request.with_payload.clone(),
            with_vectors: request.with_vectors.clone(),
            ..Default::default()
        };
        nothing_else(&understood, &request)?;
        let scroll = ScrollRequest {
            offset: request.offset.as_ref().map(|id| point_id(Some(id))).transpose()?,
            limit: Some(request.limit.unwrap_or(SCROLL_LIMIT) as usize),
            filter: request.filter.as_ref().map(filter).transpose()?,
            with_payload: Some(with_payload(request.with_payload.as_ref(), true)?),
            with_vector: WithVector::Bool(with_vectors(request.with_vectors.as_ref())?),
            order_by: None,
        };
        self.on(&request.collection_name, move |collection| {
            let (records, next) = collection.read(|shard| shard.scroll(scroll).map_err(internal))?;
            let back = |record: qdrant_edge::Record| {
                let (id, payload) = (Some(id_back(record.id)), payload_back(record.payload));
                Ok(api::RetrievedPoint { id, payload, vectors: vectors_back(record.vector)?, ..Default::default() })
            };
            let result = records.into_iter().map(back).collect::<Result<_, Status>>()?;
            Ok(api::ScrollResponse { next_page_offset: next.map(id_back), result, ..Default::default() })
        })
        .await
    }

    async fn count(&self, request: Request<api::CountPoints>) -> Result<Response<api::CountResponse>, Status> {
        let request = request.into_inner();
        let understood = api::CountPoints {
            collection_name: request.collection_name.clone(),
            filter: request.filter.clone(),
            exact: request.exact,
            ..Default::default()
        };
        nothing_else(&understood, &request)?;
        let count = CountRequest { filter: request.filter.as_ref().map(filter).transpose()?, exact: request.exact.unwrap_or(true) };
        self.on(&request.collection_name, move |collection| {
            let count = collection.read(|shard| shard.count(count).map_err(internal))? as u64;
            Ok(api::CountResponse { result: Some(api::CountResult { count }), ..Default::default() })
        })
        .await
    }

    async fn query(&self, request: Request<api::QueryPoints>) -> Result<Response<api::QueryResponse>, Status> {
        let request = request.into_inner();
        let understood = api::QueryPoints {
            collection_name: request.collection_name.clone(),
            query: request.query.clone(),
            filter: request.filter.clone(),
            score_threshold: request.score_threshold,
            limit: request.limit,
            with_payload: request.with_payload.clone(),
            with_vectors: request.with_vectors.clone(),
            ..Default::default()
        };
        nothing_else(&understood, &request)?;
        let variant = request.query.and_then(|query| query.variant);
        let Some(query::Variant::Nearest(api::VectorInput { variant: Some(vector_input::Variant::Dense(dense)) })) = variant else {
            return Err(Status::unimplemented("the stand-in looks for what is nearest to a dense vector"));
        };
        let limit = usize::try_from(request.limit.unwrap_or(QUERY_LIMIT)).map_err(internal)?;
        let conditions = request.filter.as_ref().map(filter).transpose()?;
        let (payload, vectors) = (with_payload(request.with_payload.as_ref(), false)?, with_vectors(request.with_vectors.as_ref())?);
        self.on(&request.collection_name, move |collection| {
            right_size(&dense.data, collection.dimension)?;
            let search = SearchRequest {
                query: QueryEnum::Nearest(NamedQuery::default_dense(dense.data)),
                filter: conditions,
                params: None,
                limit,
                offset: 0,
                with_payload: Some(payload),
                with_vector: Some(WithVector::Bool(vectors)),
                score_threshold: request.score_threshold,
            };
            let found = collection.read(|shard| shard.search(search).map_err(internal))?;
            let back = |point: qdrant_edge::ScoredPoint| {
                let (id, payload) = (Some(id_back(point.id)), payload_back(point.payload));
                Ok(api::ScoredPoint { id, payload, score: point.score, vectors: vectors_back(point.vector)?, ..Default::default() })
            };
            let result = found.into_iter().map(back).collect::<Result<_, Status>>()?;
            Ok(api::QueryResponse { result, ..Default::default() })
        })
        .await
    }

    unknown! {
        get(GetPoints) -> GetResponse,
        update_vectors(UpdatePointVectors) -> PointsOperationResponse,
        delete_vectors(DeletePointVectors) -> PointsOperationResponse,
        set_payload(SetPayloadPoints) -> PointsOperationResponse,
        overwrite_payload(SetPayloadPoints) -> PointsOperationResponse,
        delete_payload(DeletePayloadPoints) -> PointsOperationResponse,
        clear_payload(ClearPayloadPoints) -> PointsOperationResponse,
        delete_field_index(DeleteFieldIndexCollection) -> PointsOperationResponse,
        create_vector_name(CreateVectorNameRequest) -> PointsOperationResponse,
        delete_vector_name(DeleteVectorNameRequest) -> PointsOperationResponse,
        search(SearchPoints) -> SearchResponse,
        search_batch(SearchBatchPoints) -> SearchBatchResponse,
        search_groups(SearchPointGroups) -> SearchGroupsResponse,
        recommend(RecommendPoints) -> RecommendResponse,
        recommend_batch(RecommendBatchPoints) -> RecommendBatchResponse,
        recommend_groups(RecommendPointGroups) -> RecommendGroupsResponse,
        discover(DiscoverPoints) -> DiscoverResponse,
        discover_batch(DiscoverBatchPoints) -> DiscoverBatchResponse,
        update_batch(UpdateBatchPoints) -> UpdateBatchResponse,
        query_batch(QueryBatchPoints) -> QueryBatchResponse,
        query_groups(QueryPointGroups) -> QueryGroupsResponse,
        facet(FacetCounts) -> FacetResponse,
        search_matrix_pairs(SearchMatrixPoints) -> SearchMatrixPairsResponse,
        search_matrix_offsets(SearchMatrixPoints) -> SearchMatrixOffsetsResponse,
    }
}
