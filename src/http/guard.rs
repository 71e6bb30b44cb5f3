//! Who may call. With a token, whoever has it. Without one the server listens on loopback only, and what reaches it must have been
//! meant for it: a page of another site can make a browser call loopback addresses, under a name of its own (DNS rebinding) or as a
//! cross-site write.
//!
//! Open without a token stay: the two health checks (an orchestrator carries no secret, and they name states only), the OpenAPI
//! document and the reference page (the same for everybody, and a browser cannot send the token when it loads a page).

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::error::ApiError;
use super::state::Api;

/// Most bytes of an address.
pub const ADDRESS_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of all headers together.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Paths that need no token.
const OPEN: [&str; 4] = ["/health/", "/api/openapi.json", "/docs", "/docs/"];
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets through what may pass.
pub async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let checked = sizes(request.uri(), request.headers()).and_then(|()| match &api.app.config.http.token {
        Some(token) if !open(request.uri().path()) => bearer(request.headers(), token.expose()),
        Some(_) => Ok(()),
        None => meant_for_us(request.method(), request.uri(), request.headers()),
    });
    match checked {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn sizes(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let address = uri.path_and_query().map_or(0, |path| path.as_str().len());
    if address > ADDRESS_BYTES_MAX {
        return Err(ApiError::AddressTooLong(ADDRESS_BYTES_MAX));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADER_BYTES_MAX { Err(ApiError::HeadersTooLarge(HEADER_BYTES_MAX)) } else { Ok(()) }
}

fn open(path: &str) -> bool {
    OPEN.iter().any(|open| path == *open || (open.ends_with('/') && path.starts_with(open)))
}

/// Compares in constant time, by the signatures of both under a key that is new each time.
fn bearer(headers: &HeaderMap, token: &str) -> Result<(), ApiError> {
    let given = headers.get(AUTHORIZATION).map(axum::http::HeaderValue::as_bytes).unwrap_or_default();
    let (scheme, given) = given.split_at_checked("Bearer ".len()).unwrap_or_default();
    let key = uuid::Uuid::new_v4();
    let sign = |text: &[u8]| Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of every length").chain_update(text);
    let same = sign(given).verify(&sign(token.as_bytes()).finalize().into_bytes()).is_ok();
    if same && scheme.eq_ignore_ascii_case(b"Bearer ") { Ok(()) } else { Err(ApiError::Unauthorized) }
}

/// Refuses other host names than loopback's, and writes that a page of another origin makes.
fn meant_for_us(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let hint = "call the server by its loopback address, or set http.token and send the token";
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).or_else(|| uri.authority().map(axum::http::uri::Authority::as_str));
    let host = host.unwrap_or_default();
    if !loopback(host) {
        return Err(ApiError::Forbidden { detail: format!("the host {host:?} is not this machine's loopback"), hint });
    }
    if method.is_safe() {
        return Ok(());
    }
    let foreign = match headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default()) {
        Some(origin) => origin.strip_prefix("http://").is_none_or(|origin| !origin.eq_ignore_ascii_case(host)),
        None => headers.get(SEC_FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none"),
    };
    if foreign {
        Err(ApiError::Forbidden { detail: "a page of another site may not change anything here".to_owned(), hint })
    } else {
        Ok(())
    }
}

/// True for `localhost`, 127.0.0.0/8 and ::1, with or without a port.
fn loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_loopback_are_loopback() {
        for host in ["localhost", "LOCALHOST:7070", "127.0.0.1:1", "127.8.9.10", "[::1]:7070", "[::1]"] {
            assert!(loopback(host), "{host}");
        }
        for host in ["", "example.com", "localhost.example.com", "127.0.0.1.example.com", "0.0.0.0", "192.168.0.1:7070", "user@", "a b"] {
            assert!(!loopback(host), "{host}");
        }
    }

    #[test]
    fn a_page_of_another_origin_may_read_nothing_into_writing() {
        let check = |method: Method, pairs: &[(&str, &str)], allowed: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "127.0.0.1:7070".parse().unwrap());
            for (name, value) in pairs {
                headers.insert(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
            }
            assert_eq!(meant_for_us(&method, &Uri::from_static("/"), &headers).is_ok(), allowed, "{method} {pairs:?}");
        };
        check(Method::POST, &[], true);
        check(Method::POST, &[("origin", "http://127.0.0.1:7070")], true);
        check(Method::POST, &[("origin", "http://127.0.0.1:9000")], false);
        check(Method::POST, &[("origin", "https://evil.example")], false);
        check(Method::POST, &[("origin", "null")], false);
        check(Method::POST, &[("sec-fetch-site", "cross-site")], false);
        check(Method::POST, &[("sec-fetch-site", "same-origin")], true);
        check(Method::GET, &[("origin", "https://evil.example")], true);
        check(Method::GET, &[("host", "evil.example")], false);
    }

    #[test]
    fn a_token_is_taken_only_whole_and_as_a_bearer() {
        let token = "0123456789abcdef0123456789abcdef";
        let check = |value: Option<String>, allowed: bool| {
            let mut headers = HeaderMap::new();
            if let Some(value) = &value {
                headers.insert(AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(bearer(&headers, token).is_ok(), allowed, "{value:?}");
        };
        check(Some(format!("Bearer {token}")), true);
        check(Some(format!("bearer {token}")), true);
        check(None, false);
        check(Some(token.to_owned()), false);
        check(Some(format!("Basic  {token}")), false);
        check(Some(format!("Bearer {}", &token[1..])), false);
        check(Some(format!("Bearer {token}x")), false);
        check(Some("Bearer ".to_owned()), false);
    }
}
