//! The whole interface, as a table of contents.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::load::{self, Load};
use super::problem::Problem;
use super::state::Api;
use super::{etag, guard, health, openapi, request, runs, specs};

/// What the document holds beside the operations.
#[derive(OpenApi)]
#[openapi(components(schemas(Problem)))]
struct Base;

/// The OpenAPI document as it is served.
#[derive(Clone)]
pub struct Document(pub Arc<[u8]>);

/// What handlers take their parts from.
#[derive(Clone)]
struct Shared {
    api: Api,
    document: Document,
}

impl FromRef<Shared> for Api {
    fn from_ref(shared: &Shared) -> Self {
        shared.api.clone()
    }
}

impl FromRef<Shared> for Document {
    fn from_ref(shared: &Shared) -> Self {
        shared.document.clone()
    }
}

/// Every operation that is described.
fn described() -> OpenApiRouter<Shared> {
    let v1 = OpenApiRouter::new()
        .routes(routes!(specs::submit, specs::list))
        .routes(routes!(specs::show))
        .routes(routes!(runs::start, runs::list))
        .routes(routes!(runs::show))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::pause))
        .routes(routes!(runs::resume));
    OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(openapi::document))
        .nest("/api/v1", v1)
}

/// The shorter addresses of some operations.
fn aliases() -> Router<Shared> {
    use axum::routing::post;
    Router::new().route("/api/specs", post(specs::submit))
}

/// The router with everything around it, outermost last. It stands within another one, because a router adds `Allow` outside its
/// own layers, and `frame` is to see it.
pub fn router(api: Api) -> Router {
    let (described, collected) = described().split_for_parts();
    let document = serde_json::to_vec(&openapi::complete(&collected)).expect("a JSON value is written as it is");
    let shared = Shared { api: api.clone(), document: Document(document.into()) };
    let routes = described.merge(aliases()).fallback(unknown).with_state(shared).layer(from_fn(request::name_route));
    Router::new()
        .fallback_service(routes)
        .layer(from_fn(etag::tag_answers))
        .layer(from_fn_with_state(Load::default(), load::limit))
        .layer(from_fn_with_state(api, guard::guard))
        .layer(CatchPanicLayer::custom(|_| ApiError::Internal("a handler panicked".to_owned()).into_response()))
        .layer(CompressionLayer::new())
        .layer(from_fn(request::frame))
}

async fn unknown(request: Request) -> ApiError {
    ApiError::NotFound { detail: format!("there is nothing at {}", request.uri().path()), hint: "/api/openapi.json names every path" }
}
