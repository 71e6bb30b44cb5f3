//! The probe: a fresh instance of the built service is started and every operation exercised over HTTP.
//!
//! Called by the phases validate (on the workspace) and health (on the delivered tree); safe to repeat, since each probe
//! has an empty database of its own. It judges by the specification alone: documented statuses, headers and shapes, what
//! behaviours and rules demand, and what the service says of itself. It never looks at the generated code, and it ends
//! the process group whatever happens.

mod call;
mod changing;
mod client;
mod condition;
mod conventions;
mod creating;
mod deleting;
mod description;
mod judge;
mod legality;
mod listing;
mod pattern;
mod reading;
mod ruling;
mod samples;
mod schema_compare;
mod shape_check;
mod start;
mod walk;

use tokio_util::sync::CancellationToken;

pub use call::{DescriptionCheck, ProbeCall, ProbeReport};
pub use start::{ProbeError, ServicePlan};

use crate::exec::Recorder;
use crate::model::operation::Behaviour;
use crate::model::{Entity, FieldType, SpecDocument};
use walk::Walk;

/// Starts the service, exercises every operation, compares its description, and stops it.
///
/// A service that starts but misbehaves is a report with failed calls; only one that cannot be started is an error.
pub async fn probe(
    document: &SpecDocument,
    plan: &ServicePlan,
    recorder: &Recorder,
    cancel: &CancellationToken,
) -> Result<ProbeReport, ProbeError> {
    let running = start::start(plan, recorder, cancel).await?;
    let mut walk = Walk::new(document, running.client.clone());
    let mut description_checks = Vec::new();
    let cancelled = tokio::select! {
        () = async {
            description_checks = description::compare(document, &running.client, &plan.openapi_path).await;
            walk_through(&mut walk).await;
        } => false,
        () = cancel.cancelled() => true,
    };
    let (ready_ms, calls) = (running.ready_ms, walk.calls);
    let stopped = running.stop(&plan.live_path).await;
    if cancelled {
        return Err(ProbeError::Cancelled);
    }
    let seen = conventions::Seen {
        migrated: !plan.migrate.is_empty(),
        database_bytes: stopped.database_bytes,
        live_status: stopped.live_status,
        log: &stopped.errors,
    };
    let conventions = conventions::evidence(document, &calls, &description_checks, &seen);
    Ok(ProbeReport { ready_ms, calls, description_checks, conventions, confinement: stopped.confinement, log: stopped.log })
}

/// Every operation of every entity, those that others refer to first, then what nobody has implemented.
async fn walk_through(walk: &mut Walk<'_>) {
    let document = walk.document;
    for entity in in_order(document) {
        for operation in document.operations.iter().filter(|operation| operation.behaviour.entity() == Some(entity.name.as_str())) {
            if walk.gone() {
                return;
            }
            match &operation.behaviour {
                Behaviour::Create(_) => walk.creating(entity, operation).await,
                Behaviour::Read(_) => walk.reading(entity, operation).await,
                Behaviour::List(list) => walk.listing(entity, operation, list).await,
                Behaviour::Replace(_) | Behaviour::Patch(_) => walk.changing(entity, operation).await,
                Behaviour::Act { set, .. } => walk.acting(entity, operation, set).await,
                Behaviour::Delete(_) => walk.deleting(entity, operation).await,
                Behaviour::Underivable { .. } => {}
            }
        }
        walk.ruling(entity).await;
    }
    for operation in document.operations.iter().filter(|operation| !operation.derivable()) {
        walk.pending(operation).await;
    }
}

/// The entities, each after those that it refers to; source order where that leaves a choice, and in circles.
fn in_order(document: &SpecDocument) -> Vec<&Entity> {
    let mut open: Vec<&Entity> = document.entities.iter().collect();
    let mut ordered: Vec<&Entity> = Vec::new();
    while !open.is_empty() {
        let refers_to_open = |entity: &Entity| {
            entity.fields.iter().any(|field| match &field.field_type {
                FieldType::Reference { entity: target, .. } => *target != entity.name && open.iter().any(|other| other.name == *target),
                _ => false,
            })
        };
        let at = open.iter().position(|entity| !refers_to_open(entity)).unwrap_or(0);
        ordered.push(open.remove(at));
    }
    ordered
}
