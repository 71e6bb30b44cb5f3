//! Keys that all processes of an installation sign with. Only the owner of the database reads them.

use super::{Postgres, StoreError};

impl Postgres {
    /// The key of that name; made by the migrations.
    pub async fn signing_key(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let mut owner = self.owner().await?;
        let key: Option<Vec<u8>> =
            sqlx::query_scalar("select key from signing_keys where name = $1").bind(name).fetch_optional(&mut *owner).await?;
        key.ok_or_else(|| StoreError::corrupt("signing key", format!("there is none called {name}")))
    }
}
