//! A store that follows the facts: a table in another database, so that it can be ahead of or behind the cursor when a process dies.

use std::collections::BTreeMap;
use std::str::FromStr;

use specwave::model::{OrganizationId, RunId};
use specwave::store::postgres::outbox::OutboxRow;
use specwave::store::postgres::projected::{self, ProjectedUnit};
use specwave::store::postgres::{Postgres, StoreError};
use specwave::store::projection::relay::{Rebuilt, Target, TargetError};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

/// The table.
pub const TABLE: &str = "create table units (run uuid, key text, state text, version bigint, primary key (run, key))";

/// The table as a target.
pub struct Sink {
    facts: Postgres,
    table: PgPool,
}

impl Sink {
    /// Connects at the first use.
    pub fn new(facts: Postgres, url: &str) -> Self {
        Self { facts, table: PgPoolOptions::new().max_connections(1).connect_lazy_with(PgConnectOptions::from_str(url).unwrap()) }
    }

    /// Whatever it holds of a run, by key.
    pub async fn of_run(&self, run: RunId) -> BTreeMap<String, (String, i64)> {
        let query = "select key, state, version from units where run = $1";
        let rows: Vec<(String, String, i64)> = sqlx::query_as(query).bind(run.0).fetch_all(&self.table).await.unwrap();
        rows.into_iter().map(|(key, state, version)| (key, (state, version))).collect()
    }

    /// Writes units, unless it has a later version of them.
    async fn write(&self, units: &[ProjectedUnit]) -> Result<(), TargetError> {
        let insert = "insert into units select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) \
                      on conflict (run, key) do update set state = excluded.state, version = excluded.version \
                      where units.version < excluded.version";
        let insert = sqlx::query(insert)
            .bind(units.iter().map(|unit| unit.run.0).collect::<Vec<_>>())
            .bind(units.iter().map(|unit| unit.key.as_str()).collect::<Vec<_>>())
            .bind(units.iter().map(|unit| unit.state.as_str()).collect::<Vec<_>>())
            .bind(units.iter().map(|unit| unit.version).collect::<Vec<_>>());
        insert.execute(&self.table).await.map_err(|error| TargetError::away("sink", error))?;
        Ok(())
    }
}

impl Target for Sink {
    fn name(&self) -> &'static str {
        "sink"
    }

    fn aggregates(&self) -> &'static [&'static str] {
        &["unit"]
    }

    async fn take_in(&self, changes: &[OutboxRow]) -> Result<(), TargetError> {
        let mut touched: BTreeMap<OrganizationId, Vec<uuid::Uuid>> = BTreeMap::new();
        for change in changes {
            touched.entry(change.organization).or_default().push(change.aggregate_id);
        }
        for (organization, mut ids) in touched {
            ids.sort_unstable();
            ids.dedup();
            let mut tx = self.facts.tenant(organization).await?;
            let units = projected::units(&mut tx, &ids).await?;
            tx.commit().await?;
            self.write(&units).await?;
        }
        Ok(())
    }

    async fn rebuild(&self) -> Result<Rebuilt, TargetError> {
        let mut system = self.facts.system().await?;
        let organizations = projected::organizations(&mut system).await?;
        system.commit().await?;
        let mut rebuilt = Rebuilt::default();
        for organization in organizations {
            let mut tx = self.facts.tenant(organization).await?;
            let runs: Vec<uuid::Uuid> = sqlx::query_scalar("select id from runs").fetch_all(&mut *tx).await.map_err(StoreError::from)?;
            for run in runs {
                let units = projected::units_of_run(&mut tx, RunId(run)).await?;
                self.write(&units).await?;
                rebuilt.items += units.len();
            }
            tx.commit().await?;
        }
        Ok(rebuilt)
    }
}
