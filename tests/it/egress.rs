//! A confined command behind its proxy: it reaches the host that is named, by the proxy only.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use specwave::exec::egress::{Egress, EgressLimits, Verdict};
use specwave::exec::{self, Command, Confinement, Level, Record, Recorder, sandbox};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// Asks two hosts as programs do, and one past the proxy.
const CLIENT: &str = r"
import socket, sys, urllib.error, urllib.request
listed, other = sys.argv[1:]
print(urllib.request.urlopen(f'http://127.0.0.1:{listed}/').read().decode())
try:
    urllib.request.urlopen(f'http://127.0.0.1:{other}/')
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode().strip())
try:
    socket.create_connection(('127.0.0.1', int(listed)))
except OSError as error:
    print('past the proxy:', error.strerror)
";

#[tokio::test]
async fn a_command_reaches_the_named_host_and_nothing_else() {
    let offered = sandbox::offered().tier;
    if !offered.network {
        println!("skipped: ports cannot be confined here ({offered})");
        return;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listed = listener.local_addr().unwrap().port();
    let other = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let egress = Egress::start(vec![format!("127.0.0.1:{listed}").parse().unwrap()], EgressLimits::default()).await.unwrap();
    for level in [Level::Landlock, Level::Seccomp, Level::Bubblewrap].into_iter().filter(|level| *level <= offered.level) {
        let dir = TempDir::new().unwrap();
        let mut command = Command::new(["/usr/bin/python3", "-c", CLIENT, &listed.to_string(), &other.to_string()], dir.path());
        command.supervisor = Some(PathBuf::from(env!("CARGO_BIN_EXE_specwave")));
        (command.level_max, command.confinement) = (level, Confinement::Required(level));
        command.limits.wall = Duration::from_mins(1);
        egress.admit(&mut command);
        let cancel = CancellationToken::new();
        let records = Arc::new(Mutex::new(Vec::new()));
        let write = Arc::clone(&records);
        let recorder = Recorder::new(move |record| write.lock().unwrap().push(record)).with_denials(egress.refusals());
        let finished = tokio::select! {
            finished = exec::run(&command, &recorder, &cancel) => finished.unwrap(),
            () = greet(&listener) => unreachable!("it never ends"),
        };
        let expected = format!(
            "hello\n403 specwave does not connect to 127.0.0.1:{other}: this host and port are not listed\npast the proxy: Permission denied\n"
        );
        assert_eq!(finished.stdout.text(), expected, "{level}: {}", finished.output(2_000));
        let denials =
            records.lock().unwrap().iter().filter_map(|record: &Record| Some(record.end.as_ref()?.denials.clone())).next_back().unwrap();
        assert_eq!(denials.last().unwrap(), &format!("127.0.0.1:{other}: this host and port are not listed"));
    }
    let record = egress.stop().await;
    assert!(matches!(record.contacts[0].verdict, Verdict::Connected(_)) && record.contacts[0].received_bytes > 5);
    assert!(matches!(record.contacts[1].verdict, Verdict::Refused(_)));
}

async fn greet(listener: &tokio::net::TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").await.unwrap();
    }
}
