//! Entries in a Redis server, which several processes share.
//!
//! Nothing here may cost a caller more than its deadline: a server that is slow, gone or wrong gives no entry, and the entry is made
//! again. A connection that failed is thrown away and the next call makes another one, so a server that comes back is used again
//! without anybody's help. Of callers in one process that want the same entry, one asks and makes it.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::embedded::Embedded;
use super::{CacheError, Counts, Info, Key, count};
use crate::store::breaker::{Breaker, Refused, Thresholds};

/// Reading or writing an entry that takes longer is given up.
const DEADLINE: Duration = Duration::from_millis(50);
/// A step of upkeep (counting, clearing, asking for the version) that takes longer is given up.
const UPKEEP_DEADLINE: Duration = Duration::from_secs(2);
/// A larger value is not stored: sending it would eat the deadline of everybody who shares the connection.
const VALUE_BYTES_MAX: usize = 256 * 1024;
/// Keys that one step of counting or clearing looks at.
const SCAN_KEYS: usize = 1_000;
/// Steps of one counting or clearing: a server with more keys than that is not walked to its end.
const SCAN_STEPS_MAX: usize = 10_000;
/// The form of keys and values; another form is another key, so no process reads what it does not understand.
const FORM: u32 = 1;
/// Bytes of the checksum before each value.
const SUM_BYTES: usize = 32;

/// The connection to a server, made when it is first needed.
#[derive(Debug)]
pub(super) struct Redis {
    client: Client,
    /// Keeps the entries of several installations on one server apart.
    installation: String,
    time_to_live: Duration,
    connection: Mutex<Arc<OnceCell<MultiplexedConnection>>>,
    breaker: Breaker,
    /// Entries that are being made just now; nothing stays in it.
    making: Embedded,
    counts: Arc<Counts>,
}

impl Redis {
    /// For the server at that address; nothing is sent yet.
    pub(super) fn new(
        url: &str,
        installation: &str,
        time_to_live: Duration,
        thresholds: Thresholds,
        counts: Arc<Counts>,
    ) -> Result<Self, CacheError> {
        // What the library says may quote the address, and with it the password.
        let client = Client::open(url).map_err(|error| CacheError::Address { reason: error.category().to_owned() })?;
        let installation = hex::encode(&Sha256::digest(installation)[..8]);
        let (connection, breaker) = (Mutex::default(), Breaker::new("cache", thresholds));
        Ok(Self { client, installation, time_to_live, connection, breaker, making: Embedded::new(Duration::ZERO), counts })
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Host and port.
    pub(super) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// The entry, and whether this call made it.
    pub(super) async fn get_or_make<E: Send + Sync + 'static>(
        &self,
        key: Key,
        make: impl Future<Output = Result<Vec<u8>, E>> + Send,
    ) -> Result<(Arc<[u8]>, bool), Arc<E>> {
        let (name, found) = (self.name(&key), AtomicBool::new(false));
        let entry = async {
            if let Some(bytes) = self.read(&name).await {
                found.store(true, Ordering::Relaxed);
                return Ok(bytes);
            }
            let bytes = make.await?;
            self.write(&name, &bytes).await;
            Ok(bytes)
        };
        let (bytes, fresh) = self.making.get_or_make(key, entry).await?;
        Ok((bytes, fresh && !found.load(Ordering::Relaxed)))
    }

    /// The key in the server. Whatever came from a user goes into a hash, so its length is fixed and its text is nobody's to read.
    pub(super) fn name(&self, key: &Key) -> String {
        let mut hasher = Sha256::new();
        for part in [key.task.as_str(), key.level, &key.content_version] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        format!("specwave:{}:{FORM}:{}:{}", self.installation, key.tenant, hex::encode(hasher.finalize()))
    }

    async fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut get = ::redis::cmd("GET");
        get.arg(name);
        let stored: Vec<u8> = match self.timed::<Option<Vec<u8>>>(&get).await {
            Ok(stored) => stored?,
            Err(refused) => {
                self.count_failure(&refused, &self.counts.reads_failed);
                return None;
            }
        };
        let (sum, value) = stored.split_at_checked(SUM_BYTES)?;
        (sum == Sha256::digest(value).as_slice()).then(|| value.to_vec())
    }

    async fn write(&self, name: &str, value: &[u8]) {
        if value.len() > VALUE_BYTES_MAX {
            count(&self.counts.too_large);
            return;
        }
        let stored = [Sha256::digest(value).as_slice(), value].concat();
        let mut set = ::redis::cmd("SET");
        set.arg(name).arg(stored).arg("PX").arg(u64::try_from(self.time_to_live.as_millis()).unwrap_or(u64::MAX).max(1));
        if let Err(refused) = self.timed::<()>(&set).await {
            self.count_failure(&refused, &self.counts.writes_failed);
        }
    }

    fn count_failure(&self, refused: &Refused<RedisError>, counter: &AtomicU64) {
        count(counter);
        match refused {
            Refused::Deadline { .. } => count(&self.counts.too_late),
            Refused::Failed(error) if !is_outage(error) => tracing::debug!(%error, "the cache server refused a command"),
            Refused::Open { .. } | Refused::Failed(_) => {}
        }
    }

    /// A command within the deadline, behind the breaker. A connection that failed it is not used again.
    async fn timed<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Refused<RedisError>> {
        let cell = self.cell();
        let answer = self.breaker.call(DEADLINE, is_outage, self.send(&cell, command)).await;
        let dead = match &answer {
            Err(Refused::Deadline { .. }) => true,
            Err(Refused::Failed(error)) => is_outage(error),
            Ok(_) | Err(Refused::Open { .. }) => false,
        };
        if dead {
            self.forget(&cell);
        }
        answer
    }

    async fn send<T: FromRedisValue>(&self, cell: &OnceCell<MultiplexedConnection>, command: &Cmd) -> Result<T, RedisError> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(UPKEEP_DEADLINE)).set_response_timeout(Some(UPKEEP_DEADLINE));
        let connect = || self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = cell.get_or_try_init(connect).await?.clone();
        command.query_async(&mut connection).await
    }

    fn cell(&self) -> Arc<OnceCell<MultiplexedConnection>> {
        Arc::clone(&self.connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whoever comes next connects anew, unless somebody has done so already.
    fn forget(&self, cell: &Arc<OnceCell<MultiplexedConnection>>) {
        let mut current = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, cell) {
            *current = Arc::default();
        }
    }

    /// A command of upkeep: not behind the breaker, for whoever asks wants to know.
    async fn patient<T: FromRedisValue>(&self, action: &'static str, command: &Cmd) -> Result<T, CacheError> {
        let cell = self.cell();
        let answer = tokio::time::timeout(UPKEEP_DEADLINE, self.send(&cell, command)).await;
        let reason = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", UPKEEP_DEADLINE.as_millis()),
        };
        self.forget(&cell);
        Err(CacheError::Server { action, address: self.address(), reason })
    }

    /// How many entries of this installation there are.
    pub(super) async fn entries(&self) -> Result<u64, CacheError> {
        let mut found = 0;
        self.walk("counting entries", async |keys| {
            found += keys.len() as u64;
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Removes the entries of this installation and nothing else; returns how many there were.
    pub(super) async fn clear(&self) -> Result<u64, CacheError> {
        let mut removed = 0;
        self.walk("removing entries", async |keys| {
            let mut unlink = ::redis::cmd("UNLINK");
            unlink.arg(&keys);
            removed += self.patient::<u64>("removing entries", &unlink).await?;
            Ok(())
        })
        .await?;
        Ok(removed)
    }

    /// Walks through the keys of this installation in bounded steps; a key may come more than once while others are written.
    async fn walk(
        &self,
        action: &'static str,
        mut visit: impl AsyncFnMut(Vec<Vec<u8>>) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        let (pattern, mut cursor) = (format!("specwave:{}:*", self.installation), 0_u64);
        for _ in 0..SCAN_STEPS_MAX {
            let mut scan = ::redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN_KEYS);
            let (next, keys): (u64, Vec<Vec<u8>>) = self.patient(action, &scan).await?;
            if !keys.is_empty() {
                visit(keys).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
        let reason = format!("it holds more than {} keys", SCAN_STEPS_MAX * SCAN_KEYS);
        Err(CacheError::Server { action, address: self.address(), reason })
    }

    /// Version and round-trip time of the server.
    pub(super) async fn info(&self) -> Result<Info, CacheError> {
        let mut info = ::redis::cmd("INFO");
        info.arg("server");
        let text: String = self.patient("asking for the version", &info).await?;
        let version = text.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown").trim().to_owned();
        let started = Instant::now();
        self.patient::<String>("measuring a round trip", &::redis::cmd("PING")).await?;
        Ok(Info { address: self.address(), version, latency: started.elapsed() })
    }
}

/// False for an answer of a server that is well: it refuses this one command (another type under the key, no room, no writes just
/// now), and the next one may do.
fn is_outage(error: &RedisError) -> bool {
    !matches!(error.code(), Some("WRONGTYPE" | "OOM" | "MISCONF" | "READONLY"))
}
