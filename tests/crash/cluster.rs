//! A PostgreSQL server with its durability on, and a migrated database for each case.

use std::sync::atomic::{AtomicU32, Ordering};

use specwave::store::postgres::Postgres;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::server::Server;
use crate::{sink, worker};

/// The owner that every server of the tests has.
const OWNER: (&str, &str) = ("specwave", "secret");

/// Durable as people have it, with room for the connections of many workers.
const SETTINGS: &str = "max_connections = 400\n";

/// The server.
pub struct Cluster {
    /// To be restarted and stopped.
    pub server: Server,
    made: AtomicU32,
}

/// A database on it.
pub struct Database {
    /// Where its owner finds it.
    pub url: String,
    /// The store, for what a person would do.
    pub store: Postgres,
    /// The superuser's view, to whom row-level security hides nothing.
    pub facts: PgPool,
}

impl Cluster {
    /// Starts it, migrates the database that the others are copied from, and makes that of the sink.
    pub async fn start() -> Self {
        let server = Server::start_with(SETTINGS).await;
        let store = worker::connect(&server.url(OWNER.0, OWNER.1, "specwave"), 2).await.unwrap();
        store.close().await.unwrap();
        server.sql("postgres", "create database sink owner specwave").await;
        let cluster = Self { server, made: AtomicU32::new(0) };
        let sink = PgPoolOptions::new().max_connections(1).connect(&cluster.sink_url()).await.unwrap();
        sqlx::raw_sql(sink::TABLE).execute(&sink).await.unwrap();
        sink.close().await;
        cluster
    }

    /// Where the sink is.
    pub fn sink_url(&self) -> String {
        self.server.url(OWNER.0, OWNER.1, "sink")
    }

    /// A new database.
    pub async fn database(&self) -> Database {
        let name = format!("case_{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.server.sql("postgres", &format!("create database {name} owner specwave template specwave strategy wal_log")).await;
        let url = self.server.url(OWNER.0, OWNER.1, &name);
        let store = worker::connect(&url, 2).await.unwrap();
        let facts = PgPoolOptions::new().max_connections(2).connect_with(self.server.superuser(&name)).await.unwrap();
        Database { url, store, facts }
    }
}
