//! The two ways to a row: [`TenantTx`] for the work of one organization, [`SystemTx`] for what crosses them.
//!
//! Both enter their role inside the transaction, so nothing survives in the pool: after commit or rollback the connection is the
//! owner's again, who under forced row-level security sees no row at all.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, Postgres as Database, Transaction};

use super::roles::quoted;
use super::{Postgres, StoreError};
use crate::model::OrganizationId;

/// A transaction that waits so long for its own process is ended by the server: the process is stopped, or its machine is gone, and others
/// wait for what it has locked.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// Holds a transaction to plans that look rows up where they lie, and makes each of them once. What the planner believes of a queue is
/// always old: rows come and go faster than statistics are gathered. Where it takes a full queue for an empty one, it reads all of it for
/// each batch, the dead rows too (`benches/README.md` has the figures). A queue is in memory, so that a page costs nothing beside the rows
/// that need not be read; and no value of a parameter makes another plan better, though the planner likes to make one for each. Whatever it
/// may think a plan costs, compiling one is never worth it.
const BY_KEY: &str = "set local enable_seqscan = off; set local enable_bitmapscan = off; set local random_page_cost = 0; \
                      set local plan_cache_mode = force_generic_plan; set local jit = off";

/// A transaction that sees the rows of one organization. The only way for application work.
#[derive(Debug)]
pub struct TenantTx {
    inner: Transaction<'static, Database>,
    organization: OrganizationId,
    managed: bool,
}

/// A transaction that crosses organizations, on the tables that a system policy names. For sweeps and projections.
#[derive(Debug)]
pub struct SystemTx {
    inner: Transaction<'static, Database>,
    managed: bool,
}

impl Postgres {
    /// Begins the work of one organization.
    pub async fn tenant(&self, organization: OrganizationId) -> Result<TenantTx, StoreError> {
        self.tenant_with(organization, "").await
    }

    /// The same, for statements each of which touches the few rows that it names, however large the tables are.
    pub(crate) async fn tenant_by_key(&self, organization: OrganizationId) -> Result<TenantTx, StoreError> {
        self.tenant_with(organization, BY_KEY).await
    }

    async fn tenant_with(&self, organization: OrganizationId, settings: &str) -> Result<TenantTx, StoreError> {
        let begin = begin(&self.roles.app);
        let statement = format!("{begin}; set local app.current_tenant = '{organization}'; {settings}");
        let inner = self.pool.begin_with(AssertSqlSafe(statement)).await?;
        Ok(TenantTx { inner, organization, managed: self.managed.is_some() })
    }

    /// Begins work that crosses organizations.
    pub async fn system(&self) -> Result<SystemTx, StoreError> {
        let inner = self.pool.begin_with(AssertSqlSafe(begin(&self.roles.system))).await?;
        Ok(SystemTx { inner, managed: self.managed.is_some() })
    }
}

/// Begins in that role, within its limits.
fn begin(role: &str) -> String {
    let (role, idle_ms) = (quoted(role), IDLE_MAX.as_millis());
    format!("begin; set local role {role}; set local idle_in_transaction_session_timeout = {idle_ms}")
}

impl TenantTx {
    /// The organization whose rows it sees.
    pub fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// True on the managed server.
    pub(super) fn managed(&self) -> bool {
        self.managed
    }

    /// Makes the changes last. Without it they are undone.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }
}

impl SystemTx {
    /// True on the managed server.
    pub(super) fn managed(&self) -> bool {
        self.managed
    }

    /// Makes the changes last. Without it they are undone.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }
}

impl Deref for TenantTx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for TenantTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

impl Deref for SystemTx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for SystemTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}
