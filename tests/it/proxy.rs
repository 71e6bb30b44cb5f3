//! A TCP proxy in front of a server, whose connections can be made to fail in the ways that networks and servers fail.
//!
//! It runs on a thread of its own, so tests of either sort, those that drive a process and those on a runtime, use it alike. Nothing
//! of it knows a protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Bytes that are passed on together.
const CHUNK_BYTES: usize = 16 * 1024;

/// What the proxy does to every connection, those that exist included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on.
    Pass,
    /// Nobody listens, and what was connected is reset.
    Refuse,
    /// Accepts, and passes nothing on in either direction.
    Hang,
    /// Waits before each chunk that comes from the server.
    Slow(Duration),
    /// Ends the stream towards the client and still takes what it says.
    HalfClose,
    /// Accepts and resets.
    Reset,
}

/// A running proxy; dropped, it ends with its connections.
pub struct Proxy {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    commands: mpsc::UnboundedSender<(Mode, oneshot::Sender<()>)>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// In front of `upstream` (`host:port`), on a free port of this machine.
    pub fn start(upstream: &str) -> Self {
        let upstream = upstream.to_owned();
        let connections = Arc::new(AtomicUsize::new(0));
        let (commands, received) = mpsc::unbounded_channel();
        let (bound, address) = std::sync::mpsc::channel();
        let counted = Arc::clone(&connections);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                listen(listener, &upstream, &counted, received).await;
            });
        });
        Self { address: address.recv().unwrap(), connections, commands, thread: Some(thread) }
    }

    /// Where clients connect: `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// From now on it does that. New connections meet it when this returns; those that exist notice at once or with their next byte.
    pub fn set(&self, mode: Mode) {
        let (done, is_done) = oneshot::channel();
        self.commands.send((mode, done)).unwrap();
        std::thread::scope(|scope| scope.spawn(|| is_done.blocking_recv().unwrap()).join().unwrap());
    }

    /// Connections that were accepted since the start.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let (closed, _) = mpsc::unbounded_channel();
        self.commands = closed;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn listen(
    listener: TcpListener,
    upstream: &str,
    connections: &AtomicUsize,
    mut commands: mpsc::UnboundedReceiver<(Mode, oneshot::Sender<()>)>,
) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    let (mode, modes) = watch::channel(Mode::Pass);
    let mut relays = JoinSet::new();
    loop {
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await.unwrap().0,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            command = commands.recv() => {
                let Some((next, done)) = command else { return };
                if next == Mode::Refuse {
                    listener = None;
                } else if listener.is_none() {
                    listener = Some(TcpListener::bind(address).await.unwrap());
                }
                mode.send_replace(next);
                done.send(()).expect("whoever gave the command waits for it");
            }
            client = accept => {
                connections.fetch_add(1, Ordering::SeqCst);
                relays.spawn(relay(client, upstream.to_owned(), modes.clone()));
            }
            Some(_) = relays.join_next() => {}
        }
    }
}

/// One connection, until both sides have ended it or a mode does.
async fn relay(client: TcpStream, upstream: String, mut modes: watch::Receiver<Mode>) {
    let Ok(first) = modes.wait_for(|mode| *mode != Mode::Hang).await.map(|mode| *mode) else { return };
    if matches!(first, Mode::Reset | Mode::Refuse) {
        return client.set_zero_linger().unwrap();
    }
    let Ok(server) = TcpStream::connect(&upstream).await else { return client.set_zero_linger().unwrap() };
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let (from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let (asking, mut answering) = (modes.clone(), modes.clone());
    let both = async {
        tokio::join!(pass(&from_client, &mut to_server, asking, |_| Duration::ZERO), async {
            let closed = async { drop(answering.wait_for(|mode| *mode == Mode::HalfClose).await) };
            let passed =
                pass(&from_server, &mut to_client, modes.clone(), |mode| if let Mode::Slow(pause) = mode { pause } else { Duration::ZERO });
            tokio::select! { biased; () = closed => {}, () = passed => {} }
            drop(to_client.shutdown().await);
        },);
    };
    let mut watched = modes.clone();
    let reset = tokio::select! {
        () = both => false,
        mode = watched.wait_for(|mode| matches!(mode, Mode::Reset | Mode::Refuse)) => mode.is_ok(),
    };
    if reset {
        from_client.as_ref().set_zero_linger().unwrap();
        // Dropped, it would end the stream in order first.
        to_client.forget();
    }
}

/// Passes on what comes, to the end of the stream, and ends the other one; pauses while the mode is to hang.
async fn pass(from: &OwnedReadHalf, to: &mut OwnedWriteHalf, mut modes: watch::Receiver<Mode>, pause: fn(Mode) -> Duration) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        if from.readable().await.is_err() {
            break;
        }
        let Ok(mode) = modes.wait_for(|mode| *mode != Mode::Hang).await.map(|mode| *mode) else { break };
        tokio::time::sleep(pause(mode)).await;
        match from.try_read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => {
                if to.write_all(&chunk[..read]).await.is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    drop(to.shutdown().await);
}

mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::{Duration, Mode, Proxy};

    /// How long a test waits for bytes that must not come.
    const SILENCE: Duration = Duration::from_millis(200);
    /// How long it waits for those that must.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A proxy in front of a server that says everything again.
    fn echo() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
        Proxy::start(&address)
    }

    /// What comes back for one byte.
    fn ask(stream: &mut TcpStream, within: Duration) -> Result<u8, ErrorKind> {
        stream.set_read_timeout(Some(within)).unwrap();
        let mut answer = [0];
        stream.write_all(b"?").and_then(|()| stream.read_exact(&mut answer)).map_err(|error| error.kind())?;
        Ok(answer[0])
    }

    fn connected(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(proxy.address()).unwrap()
    }

    #[test]
    fn every_mode_does_what_it_says_to_old_and_new_connections() {
        let proxy = echo();
        let mut old = connected(&proxy);
        assert_eq!(ask(&mut old, PATIENCE), Ok(b'?'));

        proxy.set(Mode::Hang);
        assert_eq!(ask(&mut old, SILENCE), Err(ErrorKind::WouldBlock));
        assert_eq!(ask(&mut connected(&proxy), SILENCE), Err(ErrorKind::WouldBlock));

        proxy.set(Mode::Slow(Duration::from_millis(1)));
        assert_eq!(ask(&mut old, PATIENCE), Ok(b'?'), "what waited is passed on");
        proxy.set(Mode::HalfClose);
        old.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(ask(&mut connected(&proxy), PATIENCE), Err(ErrorKind::UnexpectedEof));

        proxy.set(Mode::Pass);
        let mut old = connected(&proxy);
        assert_eq!(ask(&mut old, PATIENCE), Ok(b'?'));
        proxy.set(Mode::Reset);
        assert!(matches!(old.read(&mut [0]), Err(error) if error.kind() == ErrorKind::ConnectionReset));
        let mut new = connected(&proxy);
        assert!(matches!(new.read(&mut [0]), Err(error) if error.kind() == ErrorKind::ConnectionReset));

        let before = proxy.connections();
        proxy.set(Mode::Refuse);
        assert_eq!(TcpStream::connect(proxy.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        proxy.set(Mode::Pass);
        assert_eq!((ask(&mut connected(&proxy), PATIENCE), proxy.connections()), (Ok(b'?'), before + 1));
    }
}
