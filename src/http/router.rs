//! The whole interface, as a table of contents.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::load::{self, Load};
use super::problem::Problem;
use super::state::Api;
use super::{
    agents, commands, decisions, docs, etag, events, guard, hand_ins, health, metrics, openapi, patterns, plans, progress, questions,
    request,
};
use super::{runs, specs, tasks, waves};

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
        .routes(routes!(plans::of_spec))
        .routes(routes!(plans::findings))
        .routes(routes!(tasks::list))
        .routes(routes!(progress::show))
        .routes(routes!(plans::analyze))
        .routes(routes!(runs::start, runs::list))
        .routes(routes!(runs::show))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::pause))
        .routes(routes!(runs::resume))
        .routes(routes!(plans::of_run))
        .routes(routes!(plans::report))
        .routes(routes!(waves::list))
        .routes(routes!(waves::current))
        .routes(routes!(events::follow))
        .routes(routes!(commands::list))
        .routes(routes!(tasks::show))
        .routes(routes!(tasks::status))
        .routes(routes!(tasks::context))
        .routes(routes!(tasks::execute))
        .routes(routes!(decisions::approve))
        .routes(routes!(decisions::reject))
        .routes(routes!(decisions::retry))
        .routes(routes!(decisions::reopen))
        .routes(routes!(questions::list, questions::ask))
        .routes(routes!(questions::answer))
        .routes(routes!(hand_ins::hand_in))
        .routes(routes!(agents::list))
        .routes(routes!(agents::show))
        .routes(routes!(patterns::list))
        .routes(routes!(patterns::similar))
        .routes(routes!(patterns::show));
    OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::show))
        .routes(routes!(openapi::document))
        .nest("/api/v1", v1)
}

/// The shorter addresses of some operations, and the reference page.
fn undescribed() -> Router<Shared> {
    Router::new()
        .route("/api/specs", post(specs::submit))
        .route("/api/specs/{id}/tasks", get(tasks::list))
        .route("/api/tasks/{id}/execute", post(tasks::execute))
        .route("/api/tasks/{id}/status", get(tasks::status))
        .route("/api/waves/current", get(waves::current))
        .route("/api/orchestration/analyze", post(plans::analyze))
        .route("/api/patterns/similar", get(patterns::similar))
        .route("/api/progress/{spec_id}", get(progress::show))
        .route("/docs", get(docs::to_page))
        .route("/docs/", get(docs::page))
        .route("/docs/{part}", get(docs::part))
}

/// The router with everything around it, outermost last. It stands within another one, because a router adds `Allow` outside its
/// own layers, and `frame` is to see it.
pub fn router(api: Api) -> Router {
    let (described, collected) = described().split_for_parts();
    let document = serde_json::to_vec(&openapi::complete(&collected)).expect("a JSON value is written as it is");
    let shared = Shared { api: api.clone(), document: Document(document.into()) };
    let routes = described.merge(undescribed()).fallback(unknown).with_state(shared).layer(from_fn(request::name_route));
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
