//! What PostgreSQL wrote, asked on a connection of its own.

use std::ops::Sub;
use std::time::Duration;

use specwave::config::Config;
use specwave::model::RunId;
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;

/// A connection to the same server; none when the settings name no server.
pub struct Ledger(Option<Mutex<PgConnection>>);

/// Positions at one moment.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    wal_bytes: i64,
    transactions: i64,
}

impl Position {
    /// What was written since, a round.
    pub fn since(self, before: Self, rounds: usize) -> String {
        let rounds = i64::try_from(rounds).unwrap();
        let written = self - before;
        let (wal, transactions) = (written.wal_bytes / rounds, written.transactions / rounds);
        if wal == 0 { String::new() } else { format!("{transactions} writing transactions and {} KB of WAL a round", wal / 1024) }
    }
}

impl Sub for Position {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { wal_bytes: self.wal_bytes - before.wal_bytes, transactions: self.transactions - before.transactions }
    }
}

impl Ledger {
    pub async fn open(config: &Config) -> Self {
        match &config.database_url {
            Some(url) => Self(Some(Mutex::new(PgConnection::connect(url.expose()).await.unwrap()))),
            None => Self(None),
        }
    }

    pub async fn read(&self) -> Position {
        let Some(connection) = &self.0 else { return Position::default() };
        let query = "select (pg_current_wal_insert_lsn() - '0/0')::bigint, pg_current_xact_id()::text::bigint";
        let (wal_bytes, transactions) = sqlx::query_as(query).fetch_one(&mut *connection.lock().await).await.unwrap();
        Position { wal_bytes, transactions }
    }

    /// What is on disk when a commit is answered.
    pub async fn durability(&self) -> String {
        let Some(connection) = &self.0 else { return "as the managed server has it".to_owned() };
        let mut connection = connection.lock().await;
        let mut settings = Vec::new();
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value: String = sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(&mut *connection).await.unwrap();
            settings.push(format!("{name} {value}"));
        }
        settings.join(", ")
    }

    /// From the first claim of a run to its last settlement.
    pub async fn took(&self, run: RunId) -> Duration {
        let connection = self.0.as_ref().expect("two processes share a server that the settings name");
        let mut connection = connection.lock().await;
        let tenant = format!("set app.current_tenant = '{}'", specwave::model::id::LOCAL_ORGANIZATION);
        let role: String = sqlx::query_scalar("select app_role from installation").fetch_one(&mut *connection).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("{tenant}; set role \"{role}\""))).execute(&mut *connection).await.unwrap();
        let query = "select extract(epoch from max(finished_at) - min(started_at))::float8 from task_attempts where run_id = $1";
        let secs: f64 = sqlx::query_scalar(query).bind(run.0).fetch_one(&mut *connection).await.unwrap();
        sqlx::raw_sql("reset role").execute(&mut *connection).await.unwrap();
        Duration::from_secs_f64(secs)
    }
}
