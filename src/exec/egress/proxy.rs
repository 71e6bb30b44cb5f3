//! The proxy itself: one request after the other, judged, connected, passed on.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::address::find;
use super::record::{EgressRecord, Verdict};
use super::stream::Counted;
use super::{EgressLimits, HostPattern};

/// Headers that are between two neighbours only (RFC 9110), and those that proxies made up.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    UPGRADE,
];
/// A head with more headers is refused.
const HEADERS_MAX: usize = 100;
/// How long accepting rests after it failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// The port of plain HTTP.
const HTTP_PORT: u16 = 80;

type Answer = Response<Either<Full<Bytes>, Incoming>>;
type Tunnels = mpsc::UnboundedSender<(OnUpgrade, Counted)>;

/// What was asked and how many bytes passed.
#[derive(Debug)]
pub(super) struct Ledger {
    record: Mutex<EgressRecord>,
    used_bytes: AtomicU64,
    bytes_max: u64,
}

impl Ledger {
    pub(super) fn count(&self, at: Option<usize>, sent_bytes: u64, received_bytes: u64) {
        self.used_bytes.fetch_add(sent_bytes + received_bytes, Ordering::Relaxed);
        self.record.lock().unwrap_or_else(PoisonError::into_inner).count(at, sent_bytes, received_bytes);
    }

    pub(super) fn used_up(&self) -> bool {
        self.used_bytes.load(Ordering::Relaxed) >= self.bytes_max
    }

    fn note(&self, host: &str, port: u16, verdict: Verdict) -> Option<usize> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).add(host, port, verdict)
    }
}

/// Everything that the connections of one command share.
#[derive(Debug)]
pub(super) struct Proxy {
    allowed: Vec<HostPattern>,
    limits: EgressLimits,
    token: String,
    ledger: Arc<Ledger>,
    asked: AtomicU64,
    places: Arc<Semaphore>,
    /// The connections to hosts behind plain requests.
    hosts: AsyncMutex<JoinSet<()>>,
}

impl Proxy {
    pub(super) fn new(allowed: Vec<HostPattern>, limits: EgressLimits, token: String) -> Self {
        let ledger = Ledger { record: Mutex::default(), used_bytes: AtomicU64::new(0), bytes_max: limits.bytes };
        let places = Arc::new(Semaphore::new(limits.connections_at_once));
        Self { allowed, limits, token, ledger: Arc::new(ledger), asked: AtomicU64::new(0), places, hosts: AsyncMutex::default() }
    }

    pub(super) fn record(&self) -> EgressRecord {
        self.ledger.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn stop(&self) {
        self.hosts.lock().await.shutdown().await;
    }

    /// Accepts until it is dropped.
    pub(super) async fn listen(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            let accepted = loop {
                tokio::select! {
                    accepted = listener.accept() => break accepted,
                    Some(_) = connections.join_next() => {}
                }
            };
            let Ok((stream, _)) = accepted else {
                // A connection that ended before it was accepted is nobody's loss; a lack of descriptors goes away.
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let proxy = Arc::clone(&self);
            connections.spawn(async move {
                let _ = timeout(proxy.limits.connection, proxy.serve(stream)).await;
                drop(place);
            });
        }
    }

    /// One connection of the command: requests one after the other, or one tunnel.
    async fn serve(&self, stream: TcpStream) {
        let (tunnels, mut opened) = mpsc::unbounded_channel();
        let service = service_fn(|request| self.answer(request, &tunnels));
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(self.limits.head_bytes)
            .max_headers(HEADERS_MAX);
        // An error is the command's own: it hung up, or spoke no HTTP.
        let _ = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        if let Ok((upgrade, mut host)) = opened.try_recv()
            && let Ok(upgraded) = upgrade.await
        {
            // It ends with either side, with the bytes or with the time; what passed is counted in any case.
            let _ = copy_bidirectional(&mut TokioIo::new(upgraded), &mut host).await;
        }
    }

    async fn answer(&self, request: Request<Incoming>, tunnels: &Tunnels) -> Result<Answer, hyper::Error> {
        let tunnel = request.method() == Method::CONNECT;
        let (host, port) = target(request.uri(), tunnel);
        match self.admit(request.headers(), &host, port).await {
            Ok(connected) if tunnel => {
                // The receiver lives as long as the connection that this is called from.
                let _ = tunnels.send((hyper::upgrade::on(request), connected));
                Ok(Response::new(Either::Left(Full::default())))
            }
            Ok(connected) => Ok(self
                .pass_on(request, connected)
                .await
                .unwrap_or_else(|error| text(StatusCode::BAD_GATEWAY, &format!("{host} did not answer: {error}")))),
            Err(refusal) => Ok(refusal.answer(&host, port)),
        }
    }

    /// Judges a request and connects to the address that was judged.
    async fn admit(&self, headers: &HeaderMap, host: &str, port: u16) -> Result<Counted, Refusal> {
        let refuse = |status, why| {
            self.ledger.note(host, port, Verdict::Refused(why));
            Refusal { status, why: why.to_owned() }
        };
        if !self.authorized(headers) {
            return Err(refuse(StatusCode::PROXY_AUTHENTICATION_REQUIRED, "the token is missing or wrong"));
        }
        if host.is_empty() {
            return Err(refuse(StatusCode::BAD_REQUEST, "it names no host"));
        }
        if !self.allowed.iter().any(|pattern| pattern.matches(host, port)) {
            return Err(refuse(StatusCode::FORBIDDEN, "this host and port are not listed"));
        }
        if self.ledger.used_up() {
            return Err(refuse(StatusCode::TOO_MANY_REQUESTS, "the command has used up its bytes"));
        }
        if self.asked.fetch_add(1, Ordering::Relaxed) >= self.limits.connections as u64 {
            return Err(refuse(StatusCode::TOO_MANY_REQUESTS, "the command has used up its connections"));
        }
        let fail = |error: io::Error| {
            self.ledger.note(host, port, Verdict::Failed(error.to_string()));
            Refusal { status: StatusCode::BAD_GATEWAY, why: error.to_string() }
        };
        let addresses = match timeout(self.limits.connect, find(host, port, &self.allowed)).await {
            Ok(found) => found.map_err(fail)?,
            Err(_) => return Err(fail(io::Error::new(io::ErrorKind::TimedOut, "its address was not found in time"))),
        };
        if addresses.is_empty() {
            return Err(refuse(StatusCode::FORBIDDEN, "it is on this machine or in a private network, and that address is not listed"));
        }
        let stream = match timeout(self.limits.connect, TcpStream::connect(addresses.as_slice())).await {
            Ok(connected) => connected.map_err(fail)?,
            Err(_) => return Err(fail(io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time"))),
        };
        let address = stream.peer_addr().map_err(fail)?;
        let at = self.ledger.note(host, port, Verdict::Connected(address));
        Ok(Counted::new(stream, Arc::clone(&self.ledger), at, self.limits.connection))
    }

    /// Clients put the token where a name or a password stands.
    fn authorized(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(PROXY_AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
        let given = given.and_then(|encoded| STANDARD.decode(encoded.trim()).ok()).unwrap_or_default();
        let mut parts = given.splitn(2, |byte| *byte == b':');
        parts.any(|part| same(part, self.token.as_bytes()))
    }

    async fn pass_on(&self, mut request: Request<Incoming>, host: Counted) -> Result<Answer, hyper::Error> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(host)).await?;
        {
            let mut hosts = self.hosts.lock().await;
            while hosts.try_join_next().is_some() {}
            // An error shows in the answer, or the command has hung up.
            hosts.spawn(async move { drop(connection.await) });
        }
        let authority = request.uri().authority().map(|authority| authority.as_str().rsplit('@').next().unwrap_or_default().to_owned());
        let path = request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string).parse().unwrap_or_default();
        *request.uri_mut() = path;
        clean(request.headers_mut());
        // The host that was judged, whatever the request said beside it.
        if let Some(value) = authority.and_then(|authority| HeaderValue::from_str(&authority).ok()) {
            request.headers_mut().insert(HOST, value);
        }
        let mut answer = sender.send_request(request).await?;
        clean(answer.headers_mut());
        Ok(answer.map(Either::Right))
    }
}

/// Host and port as a request names them; an empty host when it names none.
fn target(uri: &Uri, tunnel: bool) -> (String, u16) {
    let plain = uri.scheme_str() == Some("http");
    let host = uri.host().filter(|_| tunnel || plain).unwrap_or_default().to_owned();
    // A tunnel without a port is for HTTPS, as everywhere.
    (host, uri.port_u16().unwrap_or(if tunnel { 443 } else { HTTP_PORT }))
}

/// In a time that does not tell how much of it is right.
fn same(given: &[u8], expected: &[u8]) -> bool {
    given.len() == expected.len() && given.iter().zip(expected).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn clean(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.into_iter().chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// A request that goes no further.
struct Refusal {
    status: StatusCode,
    why: String,
}

impl Refusal {
    fn answer(self, host: &str, port: u16) -> Answer {
        let mut answer = text(self.status, &format!("specwave does not connect to {host}:{port}: {}", self.why));
        if self.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            answer.headers_mut().insert(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"specwave\""));
        }
        answer
    }
}

fn text(status: StatusCode, line: &str) -> Answer {
    let mut answer = Response::new(Either::Left(Full::from(format!("{line}\n"))));
    *answer.status_mut() = status;
    answer
}
