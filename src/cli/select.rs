//! Which run a person means.

use super::Failure;
use crate::model::OrganizationId;
use crate::store::postgres::runs::{self, RunRow};
use crate::store::postgres::{Postgres, StoreError};

/// The run of that id, end of an id, or specification; the newest when nothing is said.
pub async fn run(postgres: &Postgres, organization: OrganizationId, text: Option<&str>) -> Result<RunRow, Failure> {
    let mut found = candidates(postgres, organization, text).await.map_err(|error| Failure::database(&error))?;
    match (found.len(), text) {
        (1, _) => Ok(found.remove(0)),
        (0, None) => Err(Failure::usage("there is no run yet").hint("start one with `specwave run SPEC`")),
        (0, Some(text)) => Err(Failure::usage(format!("no run is called {text:?}")).hint("`specwave status` lists the runs")),
        (_, text) => {
            let ids: Vec<String> = found.iter().map(|row| row.id.to_string()).collect();
            Err(Failure::usage(format!("{:?} means several runs: {}", text.unwrap_or_default(), ids.join(", ")))
                .hint("give more of the id"))
        }
    }
}

async fn candidates(postgres: &Postgres, organization: OrganizationId, text: Option<&str>) -> Result<Vec<RunRow>, StoreError> {
    let mut tx = postgres.tenant(organization).await?;
    match text {
        Some(text) => runs::resolve(&mut tx, text).await,
        None => runs::newest(&mut tx, None, 1).await,
    }
}
