//! The frame around every request: its id, its problem document, its line in the log, its numbers, and what HEAD and OPTIONS mean.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::error::ApiError;
use super::etag;
use super::problem::{self, Problem};

/// Carries the id of a request, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What an answer that is no page may do in a browser.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";
/// Most characters of an id that a caller gives.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// The id of a request.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Wraps a request; the outermost layer of the router.
pub async fn frame(mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = RequestId(given(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string()));
    let method = request.method().clone();
    request.extensions_mut().insert(id.clone());
    // HEAD is GET whose body stays here, so that both say the same about it.
    if method == Method::HEAD {
        *request.method_mut() = Method::GET;
    }
    let response = next.run(request).await;
    let route = response.extensions().get::<Route>().map_or("unmatched", |route| route.0.as_str()).to_owned();
    let mut response = finish(response, &method, &id);
    etag::mark_compressed(response.headers_mut());
    for (name, value) in [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (CONTENT_SECURITY_POLICY, NOTHING), (CACHE_CONTROL, "no-cache")] {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::try_from(&id.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let (status, elapsed) = (response.status(), began.elapsed());
    tracing::info!(%method, route, status = status.as_u16(), duration_ms = elapsed.as_millis(), request = id.0, "answered");
    let labels = [("method", known(&method).to_owned()), ("route", route), ("status", status.as_u16().to_string())];
    metrics::counter!("specwave_http_requests_total", &labels).increment(1);
    metrics::histogram!("specwave_http_request_seconds", &labels[..2]).record(elapsed.as_secs_f64());
    response
}

/// The template of the path that was asked for.
#[derive(Debug, Clone)]
struct Route(MatchedPath);

/// Notes on the answer which route it came from, for [`frame`], which stands outside the router.
pub async fn name_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(Route(route));
    }
    response
}

/// What leaves: errors as problem documents, OPTIONS as a list of methods, HEAD without its body.
fn finish(mut response: Response, method: &Method, id: &RequestId) -> Response {
    let status = response.status();
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allow = allowed(response.headers());
        if *method == Method::OPTIONS {
            return (StatusCode::NO_CONTENT, [(ALLOW, allow)]).into_response();
        }
        response = ApiError::MethodNotAllowed(allow).into_response();
    }
    let ours = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == problem::MEDIA_TYPE);
    if (status.is_client_error() || status.is_server_error()) && !ours {
        response = render(response, id);
    }
    if *method == Method::HEAD {
        let length = http_length(&response);
        let (mut parts, _) = response.into_parts();
        if let Some(length) = length {
            parts.headers.insert(CONTENT_LENGTH, length.into());
        }
        response = Response::from_parts(parts, Body::empty());
    }
    response
}

/// The problem that a handler left, or that of a status which something below answered with.
fn render(response: Response, id: &RequestId) -> Response {
    let (mut parts, _) = response.into_parts();
    let found = parts.extensions.remove::<Problem>().unwrap_or_else(|| Problem::of_status(parts.status));
    let body = serde_json::to_vec(&Problem { instance: id.0.clone(), ..found }).expect("a problem is texts and numbers");
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(problem::MEDIA_TYPE));
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}

fn http_length(response: &Response) -> Option<u64> {
    axum::body::HttpBody::size_hint(response.body()).exact()
}

/// The methods of the path: those that the router names, and OPTIONS, which every path answers to.
fn allowed(headers: &HeaderMap) -> HeaderValue {
    let named = headers.get_all(ALLOW).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut methods: Vec<&str> = named.map(str::trim).filter(|method| !method.is_empty()).collect();
    methods.push("OPTIONS");
    HeaderValue::try_from(methods.join(", ")).expect("method names are plain text")
}

/// The caller's id of the request, when it is sane.
fn given(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (!id.is_empty() && id.len() <= REQUEST_ID_CHARS_MAX && id.bytes().all(plain)).then(|| id.to_owned())
}

/// The method as a label: a caller may make up names without end.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
