//! The reference page: Swagger UI, inside the binary, under a policy that allows nothing from elsewhere.

use std::sync::{Arc, LazyLock};

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use utoipa_swagger_ui::Config;

use super::error::ApiError;

/// The page loads and calls this server alone, runs no inline script or style, and is framed by nobody.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
/// Our own page: the vendored one starts with a script that is made anew for each server.
const PAGE: &str = include_str!("docs/index.html");
const START: &str = include_str!("docs/start.js");
/// What the page needs of the vendored files; nothing else of them is served.
const VENDORED: [&str; 4] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-16x16.png", "favicon-32x32.png"];

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from("/api/openapi.json")));

/// Leads to the page: its files are addressed from its folder.
pub async fn to_page() -> Redirect {
    Redirect::permanent("/docs/")
}

/// The page.
pub async fn page() -> Response {
    file("text/html; charset=utf-8", PAGE)
}

/// A file of the page.
pub async fn part(Path(name): Path<String>) -> Result<Response, ApiError> {
    let missing = || ApiError::NotFound { detail: format!("the reference page has no file {name}"), hint: "/docs/ is the page" };
    if name == "start.js" {
        return Ok(file("text/javascript; charset=utf-8", START));
    }
    if !VENDORED.contains(&name.as_str()) {
        return Err(missing());
    }
    let found = utoipa_swagger_ui::serve(&name, Arc::clone(&CONFIG)).map_err(|error| ApiError::Internal(error.to_string()))?;
    let found = found.ok_or_else(missing)?;
    let mut response = found.bytes.into_owned().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::try_from(found.content_type).map_err(|error| ApiError::internal(&error))?);
    if found.gzpipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    guard(headers);
    Ok(response)
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let mut response = ([(CONTENT_TYPE, kind)], text).into_response();
    guard(response.headers_mut());
    response
}

fn guard(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // The files change with the program and not before.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
}
