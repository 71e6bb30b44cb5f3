//! Network by host names: a proxy on this machine for exactly one command, through which it reaches the hosts that are named and no
//! other.
//!
//! The command's own network is limited to the proxy's port ([`Egress::admit`]); the kernel sees to that. The proxy speaks `CONNECT`
//! and plain HTTP with absolute addresses, asks for a token that only the command is told, looks the host up itself and connects to
//! the very address that it judged. Addresses of this machine and of private networks are refused unless they are listed as such, so
//! that no name leads there. Called by whoever starts commands of agents. It never looks into what passes, and never opens TLS.

mod address;
mod pattern;
mod proxy;
mod record;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use pattern::{HostPattern, PatternError};
pub use record::{Contact, EgressRecord, Verdict};

use super::{Command, Network};
use proxy::Proxy;

/// The name that clients are told beside the token: some send no password that has no name, others no name without a password.
const USER: &str = "specwave";
/// The variables by which programs are told about a proxy; some read the lower-case ones only, some the others.
const VARIABLES: [&str; 3] = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];
/// Bytes of a token: too many to guess.
const TOKEN_BYTES: usize = 24;

/// How much one command may use of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EgressLimits {
    /// Connections at once. What comes beyond waits to be accepted.
    pub connections_at_once: usize,
    /// Connections to hosts in all.
    pub connections: usize,
    /// How long one connection may last.
    pub connection: Duration,
    /// How long a host may take to be found and to answer.
    pub connect: Duration,
    /// How long the head of a request may take.
    pub head: Duration,
    /// Bytes of the head of a request; at least 8,192.
    pub head_bytes: usize,
    /// Bytes in all, in both directions.
    pub bytes: u64,
}

impl Default for EgressLimits {
    /// Enough for an agent that talks to its model for an hour, or for the packages of a project.
    fn default() -> Self {
        Self {
            connections_at_once: 64,
            connections: 10_000,
            connection: Duration::from_hours(1),
            connect: Duration::from_secs(20),
            head: Duration::from_secs(10),
            head_bytes: 16 << 10,
            bytes: 4 << 30,
        }
    }
}

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// No port could be had.
    #[error("the proxy of a command cannot listen on this machine")]
    Listen(#[source] io::Error),
    /// There is no token without randomness.
    #[error("no random bytes for the token of a command's proxy")]
    Random(#[source] io::Error),
    /// Nothing is named.
    #[error("no host is named")]
    NoHost,
}

impl EgressError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Listen(_) => "the loopback interface must be up and a port free",
            Self::Random(_) => "/dev/urandom must be readable",
            Self::NoHost => "name hosts, or give the command no network",
        }
    }

    /// True when the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Listen(_))
    }
}

/// The proxy of one command. Dropping it ends every connection.
#[derive(Debug)]
pub struct Egress {
    port: u16,
    token: String,
    proxy: Arc<Proxy>,
    tasks: JoinSet<()>,
}

impl Egress {
    /// Starts to listen on a free port of this machine.
    pub async fn start(allowed: Vec<HostPattern>, limits: EgressLimits) -> Result<Self, EgressError> {
        if allowed.is_empty() {
            return Err(EgressError::NoHost);
        }
        let token = token().map_err(EgressError::Random)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(EgressError::Listen)?;
        let port = listener.local_addr().map_err(EgressError::Listen)?.port();
        let proxy = Arc::new(Proxy::new(allowed, limits, token.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&proxy).listen(listener));
        Ok(Self { port, token, proxy, tasks })
    }

    /// What the command must be told. No host is an exception: the proxy decides about every one.
    pub fn env(&self) -> BTreeMap<String, String> {
        let address = format!("http://{USER}:{}@127.0.0.1:{}", self.token, self.port);
        let both = |name: &str| [name.to_owned(), name.to_lowercase()];
        let named = VARIABLES.iter().flat_map(|name| both(name)).map(|name| (name, address.clone()));
        named.chain(both("NO_PROXY").map(|name| (name, String::new()))).collect()
    }

    /// What the command may reach.
    pub fn network(&self) -> Network {
        Network::Ports(vec![self.port])
    }

    /// Tells a command about the proxy and lets it reach nothing else.
    pub fn admit(&self, command: &mut Command) {
        command.network = self.network();
        command.env.extend(self.env());
    }

    /// What it has refused, whenever that is asked for, also after it has stopped: `HOST:PORT: why`.
    pub fn refusals(&self) -> impl Fn() -> Vec<String> + Send + Sync + 'static {
        let proxy = Arc::clone(&self.proxy);
        move || proxy.record().contacts.iter().filter_map(Contact::refusal).collect()
    }

    /// What was asked so far.
    pub fn record(&self) -> EgressRecord {
        self.proxy.record()
    }

    /// Ends every connection, when the command has ended, and tells what was asked.
    pub async fn stop(mut self) -> EgressRecord {
        self.tasks.shutdown().await;
        self.proxy.stop().await;
        self.proxy.record()
    }
}

fn token() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex::encode(bytes))
}
