//! The two ways to a row: [`TenantTx`] for the work of one organization, [`SystemTx`] for what crosses them.
//!
//! Both enter their role inside the transaction, so nothing survives in the pool: after commit or rollback the connection is the
//! owner's again, who under forced row-level security sees no row at all.

use std::ops::{Deref, DerefMut};

use sqlx::{AssertSqlSafe, PgConnection, Postgres as Database, Transaction};

use super::roles::quoted;
use super::{Postgres, StoreError};
use crate::model::OrganizationId;

/// A transaction that sees the rows of one organization. The only way for application work.
#[derive(Debug)]
pub struct TenantTx {
    inner: Transaction<'static, Database>,
    organization: OrganizationId,
}

/// A transaction that crosses organizations, on the tables that a system policy names. For sweeps and projections.
#[derive(Debug)]
pub struct SystemTx {
    inner: Transaction<'static, Database>,
}

impl Postgres {
    /// Begins the work of one organization.
    pub async fn tenant(&self, organization: OrganizationId) -> Result<TenantTx, StoreError> {
        let statement = format!("begin; set local role {}; set local app.current_tenant = '{organization}'", quoted(&self.roles.app));
        Ok(TenantTx { inner: self.pool.begin_with(AssertSqlSafe(statement)).await?, organization })
    }

    /// Begins work that crosses organizations.
    pub async fn system(&self) -> Result<SystemTx, StoreError> {
        let statement = format!("begin; set local role {}", quoted(&self.roles.system));
        Ok(SystemTx { inner: self.pool.begin_with(AssertSqlSafe(statement)).await? })
    }
}

impl TenantTx {
    /// The organization whose rows it sees.
    pub fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// Makes the changes last. Without it they are undone.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }
}

impl SystemTx {
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
