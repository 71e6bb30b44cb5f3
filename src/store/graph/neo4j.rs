//! A Neo4j server over Bolt: one statement at a time, each with its deadline, retried while that is safe.
//!
//! Called by `server`, which decides what happens when it fails. Every statement is idempotent and its own transaction, so that a lost
//! answer may be asked for again and no transaction is ever left open. It never builds a statement's text.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use neo4rs::{BoltType, ConfigBuilder, Neo4jErrorKind, Row};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::statements::{self, Statement};
use super::{GraphError, PlanKey};
use crate::config::GraphServer;

/// How long a question may take.
pub(super) const QUERY_DEADLINE: Duration = Duration::from_secs(2);
/// How long writing how a few units stand may take: nobody waits for it.
pub(super) const UPDATE_DEADLINE: Duration = Duration::from_secs(10);
/// How long either may take for the first time that this process sends a statement: the server may have to compile it, 0.2 to 1.3 s on an idle machine.
pub(super) const COLD_DEADLINE: Duration = Duration::from_secs(10);
/// How long writing or removing one chunk may take.
pub(super) const CHUNK_DEADLINE: Duration = Duration::from_secs(30);
/// How long a whole plan, and the whole schema, may take.
pub(super) const LOAD_DEADLINE: Duration = Duration::from_mins(2);
/// Tries at a statement, the first one included.
const ATTEMPTS_MAX: u32 = 4;
/// The wait before the second try; doubled for each further one, plus up to as much again by chance.
const BACKOFF: Duration = Duration::from_millis(15);
/// Connections of this process to the server.
const CONNECTIONS_MAX: usize = 16;
/// How long a call waits for one of them.
const POOL_WAIT: Duration = Duration::from_secs(1);
/// How long the driver may take to find out whether a pooled connection still lives.
const RECYCLE_WAIT: Duration = Duration::from_secs(1);
/// Rows that the driver fetches at once: every statement answers with one.
const FETCH_SIZE: usize = 64;
/// Writers of different plans that share a slot wait for each other, which costs a moment; 64 keep that rare.
const WRITER_SLOTS: usize = 64;
/// The version of `schema.cypher`; to be raised with every change of it.
const SCHEMA_VERSION: i64 = 1;

/// The values of a statement's parameters.
pub(super) type Parameters = Vec<(&'static str, BoltType)>;

/// The driver at work. Its futures are large and deep, and everything above would consist of them.
type Driving<'a, T> = Pin<Box<dyn Future<Output = Result<T, neo4rs::Error>> + Send + 'a>>;

/// A connection pool, and what is known of the server.
pub(super) struct Neo4j {
    graph: neo4rs::Graph,
    pub(super) address: String,
    /// Which installation's graphs these are, of those that share the server.
    projection: String,
    /// True once the schema is known to be there.
    prepared: AtomicBool,
    /// Statements that the server has answered at least once.
    answered: Mutex<HashSet<&'static str>>,
    writers: Vec<Semaphore>,
}

/// The one row of an answer.
pub(super) struct Answer {
    row: Row,
    statement: &'static str,
}

impl Neo4j {
    /// Makes the pool; connects to nothing yet.
    pub(super) fn new(server: &GraphServer, installation: &str) -> Result<Self, GraphError> {
        let scheme = server.uri.split_once("://").map_or("bolt", |(scheme, _)| scheme);
        if !matches!(scheme, "bolt" | "bolt+s" | "neo4j" | "neo4j+s") {
            let reason = if scheme.ends_with("+ssc") { "would not check the server's certificate" } else { "is not known" };
            return Err(GraphError::Address { address: server.uri.clone(), reason: format!("its scheme {scheme} {reason}") });
        }
        // The driver takes `max_lifetime` for the wait for a connection and `idle_timeout` for the check of a used one.
        let config = ConfigBuilder::default()
            .uri(&server.uri)
            .user(&server.user)
            .password(server.password.expose())
            .max_connections(CONNECTIONS_MAX)
            .fetch_size(FETCH_SIZE)
            .connection_timeout(CHUNK_DEADLINE)
            .max_lifetime(POOL_WAIT)
            .idle_timeout(RECYCLE_WAIT)
            .build();
        let graph = config.and_then(neo4rs::Graph::connect);
        let graph = graph.map_err(|error| GraphError::Address { address: server.uri.clone(), reason: error.to_string() })?;
        Ok(Self {
            graph,
            address: server.uri.clone(),
            projection: installation.to_owned(),
            prepared: AtomicBool::new(false),
            answered: Mutex::default(),
            writers: (0..WRITER_SLOTS).map(|_| Semaphore::new(1)).collect(),
        })
    }

    /// How long a caller of those statements should wait: longer where the server may have to compile one of them.
    pub(super) fn deadline(&self, statements: &[Statement]) -> Duration {
        let warm = self.prepared.load(Ordering::Relaxed) && statements.iter().all(|&statement| self.has_answered(statement));
        if warm { QUERY_DEADLINE } else { COLD_DEADLINE }
    }

    /// Sends a statement and reads its one row.
    pub(super) async fn ask(&self, statement: Statement, parameters: Parameters, within: Duration) -> Result<Answer, GraphError> {
        if !self.prepared.load(Ordering::Relaxed) {
            Box::pin(self.prepare()).await?;
        }
        if self.has_answered(statement) && within <= UPDATE_DEADLINE {
            return self.send(statement, &parameters, within).await;
        }
        // What hangs is found out soon, for only what answers gets the time to compile, or to write.
        self.ping().await?;
        self.send(statement, &parameters, within.max(COLD_DEADLINE)).await
    }

    /// What the server says that it is. It changes nothing there.
    pub(super) async fn version(&self) -> Result<String, GraphError> {
        self.send(statements::VERSION, &Vec::new(), COLD_DEADLINE).await?.get("version")
    }

    /// One round trip; its time.
    pub(super) async fn ping(&self) -> Result<Duration, GraphError> {
        let started = Instant::now();
        let answer: i64 = self.send(statements::PING, &Vec::new(), QUERY_DEADLINE).await?.get("answer")?;
        if answer == 1 { Ok(started.elapsed()) } else { Err(unreadable(statements::PING.name, "it is not 1")) }
    }

    /// Applies the schema where it is missing or old.
    pub(super) async fn prepare(&self) -> Result<(), GraphError> {
        self.ping().await?;
        let found = self.send(statements::PREPARED, &Vec::new(), COLD_DEADLINE).await?;
        let (version, begun): (i64, bool) = (found.get("version")?, found.get("begun")?);
        if version < SCHEMA_VERSION {
            let text: String = statements::SCHEMA.lines().filter(|line| !line.starts_with("//")).collect::<Vec<_>>().join("\n");
            for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
                self.apply(statement).await?;
            }
        }
        if version < SCHEMA_VERSION || !begun {
            self.send(statements::PREPARE, &vec![("version", SCHEMA_VERSION.into())], COLD_DEADLINE).await?;
        }
        self.prepared.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The right to write that plan from this process.
    pub(super) async fn writer(&self, plan: PlanKey) -> Result<SemaphorePermit<'_>, GraphError> {
        let slot = usize::from(plan.plan.0.as_bytes()[15]) % WRITER_SLOTS;
        self.writers[slot].acquire().await.map_err(|error| GraphError::Unavailable(error.to_string()))
    }

    /// One statement of the schema, which has no row.
    async fn apply(&self, text: &str) -> Result<(), GraphError> {
        let mut last = None;
        for attempt in 0..ATTEMPTS_MAX {
            back_off(attempt).await;
            let call: Driving<'_, ()> = Box::pin(self.graph.run(text));
            match tokio::time::timeout(CHUNK_DEADLINE, call).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => last = Some(GraphError::Unavailable(format!("the schema cannot be applied: {error}"))),
                Err(_) => return Err(GraphError::Unavailable(late("schema.cypher", CHUNK_DEADLINE))),
            }
        }
        Err(last.expect("a failed attempt leaves its error"))
    }

    async fn send(&self, statement: Statement, parameters: &Parameters, within: Duration) -> Result<Answer, GraphError> {
        let mut last = None;
        for attempt in 0..ATTEMPTS_MAX {
            back_off(attempt).await;
            let call: Driving<'_, Option<Row>> = Box::pin(self.send_once(statement, parameters, within));
            match tokio::time::timeout(within, call).await {
                Ok(Ok(Some(row))) => {
                    self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(statement.name);
                    return Ok(Answer { row, statement: statement.name });
                }
                // Every statement answers with a row unless the node that holds the generation is gone.
                Ok(Ok(None)) => {
                    self.prepared.store(false, Ordering::Relaxed);
                    return Err(unreadable(statement.name, "it has no row; was the database emptied?"));
                }
                Ok(Err(error)) if is_transient(&error) => last = Some(error),
                Ok(Err(error)) => return Err(GraphError::Unavailable(format!("{}: {error}", statement.name))),
                Err(_) => return Err(GraphError::Unavailable(late(statement.name, within))),
            }
        }
        let error = last.map_or_else(String::new, |error| error.to_string());
        Err(GraphError::Unavailable(format!("{} failed {ATTEMPTS_MAX} times: {error}", statement.name)))
    }

    /// Reads to the end of the answer: only then is the statement's transaction committed.
    async fn send_once(&self, statement: Statement, parameters: &Parameters, within: Duration) -> Result<Option<Row>, neo4rs::Error> {
        let timeout_ms = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        let query = neo4rs::query(statement.text).params(parameters.iter().cloned());
        let query = query.param("projection", self.projection.as_str()).extra("tx_timeout", timeout_ms);
        let mut stream = self.graph.execute(query).await?;
        let row = stream.next().await?;
        while stream.next().await?.is_some() {}
        Ok(row)
    }

    fn has_answered(&self, statement: Statement) -> bool {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).contains(statement.name)
    }
}

impl Answer {
    /// The value of a column.
    pub(super) fn get<T: DeserializeOwned>(&self, column: &str) -> Result<T, GraphError> {
        self.row.get(column).map_err(|error| unreadable(self.statement, &format!("column {column}: {error}")))
    }

    /// A count.
    pub(super) fn count(&self, column: &str) -> Result<usize, GraphError> {
        let value: i64 = self.get(column)?;
        usize::try_from(value).map_err(|_| unreadable(self.statement, &format!("column {column} is {value}")))
    }

    /// A list, which must be as long as the server says it is.
    pub(super) fn list<T: DeserializeOwned>(&self, column: &str, length: &str) -> Result<Vec<T>, GraphError> {
        let (list, expected) = (self.get::<Vec<T>>(column)?, self.count(length)?);
        if list.len() == expected {
            return Ok(list);
        }
        Err(unreadable(self.statement, &format!("{column} has {} of {expected} rows", list.len())))
    }

    /// Refuses an answer about a plan that is not there.
    pub(super) fn known(self, plan: PlanKey) -> Result<Self, GraphError> {
        if self.get("known")? { Ok(self) } else { Err(GraphError::UnknownPlan(plan.plan)) }
    }

    /// Refuses an answer about a node that is not there.
    pub(super) fn found(self, key: &str) -> Result<Self, GraphError> {
        if self.count("found")? > 0 { Ok(self) } else { Err(GraphError::UnknownNode(key.to_owned())) }
    }
}

/// Waits before a further attempt, longer each time, and never as long as another process does.
async fn back_off(attempt: u32) {
    if attempt > 0 {
        let base = BACKOFF * 2_u32.pow(attempt - 1);
        tokio::time::sleep(base + base.mul_f64(fastrand::f64())).await;
    }
}

/// True for what may go well the next time: a deadlock, a connection that broke. A wrong password or statement is not among them.
fn is_transient(error: &neo4rs::Error) -> bool {
    match error {
        neo4rs::Error::Neo4j(error) => error.kind() == Neo4jErrorKind::Transient,
        neo4rs::Error::IOError { detail } => detail.kind() != std::io::ErrorKind::ConnectionRefused,
        neo4rs::Error::ConnectionError
        | neo4rs::Error::IncompleteBoltExchange
        | neo4rs::Error::RequestIgnoredError
        | neo4rs::Error::Ignored(_)
        | neo4rs::Error::UnexpectedMessage(_) => true,
        _ => false,
    }
}

fn late(statement: &str, within: Duration) -> String {
    format!("{statement} gave no answer within {} ms", within.as_millis())
}

fn unreadable(statement: &str, detail: &str) -> GraphError {
    GraphError::Unavailable(format!("the answer to {statement} cannot be used: {detail}"))
}
