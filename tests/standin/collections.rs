//! The service of collections and aliases.

use std::sync::Arc;

use qdrant_client::qdrant as api;
use qdrant_client::qdrant::alias_operations::Action;
use qdrant_client::qdrant::collections_server::Collections;
use qdrant_client::qdrant::vectors_config::Config;
use tonic::{Request, Response, Status};

use super::forms::{missing, nothing_else};
use super::{Collection, Store, unknown};

fn done() -> Response<api::CollectionOperationResponse> {
    Response::new(api::CollectionOperationResponse { result: true, time: 0.0 })
}

#[tonic::async_trait]
impl Collections for Store {
    async fn list(&self, _: Request<api::ListCollectionsRequest>) -> Result<Response<api::ListCollectionsResponse>, Status> {
        let collections = self.state().collections.keys().map(|name| api::CollectionDescription { name: name.clone() }).collect();
        Ok(Response::new(api::ListCollectionsResponse { collections, time: 0.0 }))
    }

    async fn create(&self, request: Request<api::CreateCollection>) -> Result<Response<api::CollectionOperationResponse>, Status> {
        let request = request.into_inner();
        let Some(Config::Params(params)) = request.vectors_config.as_ref().and_then(|vectors| vectors.config.clone()) else {
            return Err(Status::unimplemented("the stand-in knows collections of one vector without a name"));
        };
        let plain = api::VectorParams { size: params.size, distance: api::Distance::Cosine.into(), ..Default::default() };
        nothing_else(&plain, &params)?;
        let understood = api::CreateCollection {
            collection_name: request.collection_name.clone(),
            vectors_config: request.vectors_config.clone(),
            ..Default::default()
        };
        nothing_else(&understood, &request)?;
        let name = request.collection_name;
        let dimension = usize::try_from(params.size).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let made = tokio::task::spawn_blocking(move || Collection::new(dimension)).await;
        let made = made.map_err(|panic| Status::internal(panic.to_string()))??;
        let mut state = self.state();
        if state.collections.contains_key(&name) || state.aliases.contains_key(&name) {
            return Err(Status::already_exists(format!("Wrong input: Collection `{name}` already exists!")));
        }
        state.collections.insert(name, Arc::new(made));
        Ok(done())
    }

    async fn delete(&self, request: Request<api::DeleteCollection>) -> Result<Response<api::CollectionOperationResponse>, Status> {
        let api::DeleteCollection { collection_name: name, timeout } = request.into_inner();
        nothing_else(&None, &timeout)?;
        let mut state = self.state();
        let result = state.collections.remove(&name).is_some();
        state.aliases.retain(|_, collection| *collection != name);
        Ok(Response::new(api::CollectionOperationResponse { result, time: 0.0 }))
    }

    async fn update_aliases(&self, request: Request<api::ChangeAliases>) -> Result<Response<api::CollectionOperationResponse>, Status> {
        let api::ChangeAliases { actions, timeout } = request.into_inner();
        nothing_else(&None, &timeout)?;
        let mut state = self.state();
        let mut aliases = state.aliases.clone();
        for action in actions {
            match action.action {
                Some(Action::CreateAlias(api::CreateAlias { collection_name, alias_name })) => {
                    if !state.collections.contains_key(&collection_name) {
                        return Err(missing(&collection_name));
                    }
                    if state.collections.contains_key(&alias_name) {
                        return Err(Status::already_exists(format!("Wrong input: Collection `{alias_name}` already exists!")));
                    }
                    aliases.insert(alias_name, collection_name);
                }
                Some(Action::DeleteAlias(api::DeleteAlias { alias_name })) => drop(aliases.remove(&alias_name)),
                other => return Err(Status::unimplemented(format!("the stand-in does not know {other:?}"))),
            }
        }
        state.aliases = aliases;
        Ok(done())
    }

    async fn list_aliases(&self, _: Request<api::ListAliasesRequest>) -> Result<Response<api::ListAliasesResponse>, Status> {
        let pair = |(alias_name, collection_name): (&String, &String)| api::AliasDescription {
            alias_name: alias_name.clone(),
            collection_name: collection_name.clone(),
        };
        Ok(Response::new(api::ListAliasesResponse { aliases: self.state().aliases.iter().map(pair).collect(), time: 0.0 }))
    }

    async fn collection_exists(
        &self,
        request: Request<api::CollectionExistsRequest>,
    ) -> Result<Response<api::CollectionExistsResponse>, Status> {
        let exists = self.collection(&request.into_inner().collection_name).is_ok();
        Ok(Response::new(api::CollectionExistsResponse { result: Some(api::CollectionExists { exists }), time: 0.0 }))
    }

    unknown! {
        get(GetCollectionInfoRequest) -> GetCollectionInfoResponse,
        update(UpdateCollection) -> CollectionOperationResponse,
        list_collection_aliases(ListCollectionAliasesRequest) -> ListAliasesResponse,
        collection_cluster_info(CollectionClusterInfoRequest) -> CollectionClusterInfoResponse,
        update_collection_cluster_setup(UpdateCollectionClusterSetupRequest) -> UpdateCollectionClusterSetupResponse,
        create_shard_key(CreateShardKeyRequest) -> CreateShardKeyResponse,
        delete_shard_key(DeleteShardKeyRequest) -> DeleteShardKeyResponse,
        list_shard_keys(ListShardKeysRequest) -> ListShardKeysResponse,
    }
}
