//! The proxy against servers of this machine, whose addresses are listed as such.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;

/// A server that answers every connection with what it was sent first, in front of it `answer`.
async fn server(answer: &'static str) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let count = stream.read(&mut buffer).await.unwrap_or(0);
            let body = String::from_utf8_lossy(&buffer[..count]).into_owned();
            let reply = if answer.is_empty() { body } else { format!("{answer}content-length: {}\r\n\r\n{body}", body.len()) };
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    (port, tasks)
}

async fn egress(allowed: &[String], change: fn(&mut EgressLimits)) -> Egress {
    let mut limits = EgressLimits { connect: Duration::from_secs(5), ..EgressLimits::default() };
    change(&mut limits);
    Egress::start(allowed.iter().map(|text| text.parse().unwrap()).collect(), limits).await.unwrap()
}

fn credentials(egress: &Egress) -> String {
    format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(format!("{USER}:{}", egress.token)))
}

/// Sends one text and reads until the end.
async fn talk(egress: &Egress, text: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", egress.port)).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(egress: &Egress, url: &str) -> String {
    talk(egress, &format!("GET {url} HTTP/1.1\r\nHost: elsewhere\r\n{}Connection: close\r\n\r\n", credentials(egress))).await
}

/// Opens a tunnel; the status line.
async fn connect(egress: &Egress, target: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", egress.port)).await.unwrap();
    let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", credentials(egress));
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => break,
        }
    }
    let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    (stream, line)
}

#[tokio::test]
async fn a_tunnel_carries_both_directions_and_is_counted() {
    let (port, _server) = server("").await;
    let egress = egress(&[format!("127.0.0.1:{port}")], |_| {}).await;
    let (mut stream, line) = connect(&egress, &format!("127.0.0.1:{port}")).await;
    assert_eq!(line, "HTTP/1.1 200 OK");
    stream.write_all(b"hello").await.unwrap();
    let mut echoed = [0; 5];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"hello");
    drop(stream);
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let contact = Contact { host: "127.0.0.1".into(), port, verdict: Verdict::Connected(address), sent_bytes: 5, received_bytes: 5 };
    assert_eq!(egress.stop().await, EgressRecord { contacts: vec![contact], left_out: 0 });
}

#[tokio::test]
async fn a_plain_request_is_passed_on_without_the_token_and_for_the_host_that_was_judged() {
    let (port, _server) = server("HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\n").await;
    let egress = egress(&[format!("127.0.0.1:{port}")], |_| {}).await;
    let answer = get(&egress, &format!("http://127.0.0.1:{port}/path?q=1")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("x-hop"), "{answer}");
    let seen = answer.split_once("\r\n\r\n").unwrap().1.to_lowercase();
    assert!(seen.starts_with("get /path?q=1 http/1.1\r\n") && seen.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{seen}");
    assert!(!seen.contains("proxy-authorization") && !seen.contains("elsewhere"), "{seen}");
    let record = egress.stop().await;
    assert!(record.contacts[0].sent_bytes > 0 && record.contacts[0].received_bytes > 0);
}

#[tokio::test]
async fn what_is_not_listed_is_refused_and_recorded() {
    let (port, _server) = server("").await;
    let egress = egress(&["example.test".into(), "*.example.test:80".into(), format!("localhost:{port}")], |_| {}).await;
    let check = async |target: &str, status: &str| {
        let (_, line) = connect(&egress, target).await;
        assert!(line.contains(status), "{target}: {line}");
    };
    check(&format!("127.0.0.1:{port}"), "403").await;
    check("example.test:80", "403").await;
    check("other.test:443", "403").await;
    // Listed by name, and yet on this machine.
    check(&format!("localhost:{port}"), "403").await;
    assert!(get(&egress, "http://example.test/").await.contains("403"));
    assert!(get(&egress, "/path").await.contains("400"));
    let record = egress.stop().await;
    assert!(record.contacts.iter().all(|contact| matches!(contact.verdict, Verdict::Refused(_))), "{record:?}");
    assert_eq!(record.contacts.len(), 6);
    assert_eq!(
        record.contacts[3].verdict,
        Verdict::Refused("it is on this machine or in a private network, and that address is not listed")
    );
}

#[tokio::test]
async fn nobody_gets_through_without_the_token() {
    let (port, _server) = server("").await;
    let egress = egress(&[format!("127.0.0.1:{port}")], |_| {}).await;
    let wrong = STANDARD.encode(format!("{USER}:{}", "0".repeat(egress.token.len())));
    for header in [String::new(), format!("Proxy-Authorization: Basic {wrong}\r\n"), "Proxy-Authorization: Basic ?\r\n".to_owned()] {
        let target = format!("127.0.0.1:{port}");
        let answer = talk(&egress, &format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n{header}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 407 ") && answer.to_lowercase().contains("proxy-authenticate: basic"), "{answer}");
    }
}

#[tokio::test]
async fn every_limit_is_reached() {
    let (port, _server) = server("").await;
    let listed = [format!("127.0.0.1:{port}")];
    let target = &listed[0];

    let few = egress(&listed, |limits| limits.connections = 1).await;
    assert!(connect(&few, target).await.1.contains("200"));
    assert!(connect(&few, target).await.1.contains("429"));

    let little = egress(&listed, |limits| limits.bytes = 4).await;
    let (mut stream, _) = connect(&little, target).await;
    stream.write_all(b"hello").await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(rest, b"", "the tunnel ends with the bytes");
    assert!(connect(&little, target).await.1.contains("429"));

    let short = egress(&listed, |limits| limits.connection = Duration::from_millis(100)).await;
    let (mut stream, _) = connect(&short, target).await;
    assert_eq!(stream.read_to_end(&mut rest).await.unwrap_or(0), 0, "the tunnel ends with its time");

    let slow = egress(&listed, |limits| limits.head = Duration::from_millis(50)).await;
    assert!(!talk(&slow, "CONNECT ").await.contains("200"));

    let long = egress(&listed, |limits| limits.head_bytes = 8192).await;
    let answer = talk(&long, &format!("CONNECT {target} HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000))).await;
    assert!(answer.is_empty() || answer.contains("431"), "{answer}");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_a_failure_and_no_refusal() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let egress = egress(&[format!("127.0.0.1:{gone}")], |_| {}).await;
    assert!(connect(&egress, &format!("127.0.0.1:{gone}")).await.1.contains("502"));
    assert!(matches!(egress.stop().await.contacts[0].verdict, Verdict::Failed(_)));
}

#[tokio::test]
async fn programs_are_told_in_every_spelling_and_the_end_is_the_end() {
    let (port, _server) = server("").await;
    let egress = egress(&[format!("127.0.0.1:{port}")], |_| {}).await;
    let env = egress.env();
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"] {
        assert_eq!(env[name], format!("http://specwave:{}@127.0.0.1:{}", egress.token, egress.port));
    }
    assert_eq!((env["NO_PROXY"].as_str(), env["no_proxy"].as_str(), env.len()), ("", "", 8));
    assert_eq!(egress.network(), Network::Ports(vec![egress.port]));
    let (mut stream, _) = connect(&egress, &format!("127.0.0.1:{port}")).await;
    let own = egress.port;
    egress.stop().await;
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(("127.0.0.1", own)).await.is_err());
    assert!(matches!(Egress::start(Vec::new(), EgressLimits::default()).await, Err(EgressError::NoHost)));
}
