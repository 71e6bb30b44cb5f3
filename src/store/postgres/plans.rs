//! Plans: the whole document, and the rows that the engine works with. A plan never changes once stored.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use sqlx::types::Json;

use super::{StoreError, TenantTx, text};
use crate::model::{Plan, PlanId, SpecId, Task};

/// Stores the plan of a specification's version, or finds it when the same plan was stored before.
///
/// `ranks` holds, for each task of the plan, the effort of the longest chain that begins with it. One statement per table,
/// whatever the size.
pub async fn store(tx: &mut TenantTx, spec: SpecId, spec_version: u32, plan: &Plan, ranks: &[i32]) -> Result<PlanId, StoreError> {
    let organization = tx.organization().0;
    let document = serde_json::to_vec(plan).map_err(|error| StoreError::corrupt("plan", error))?;
    let plan_hash = hex::encode(Sha256::digest(&document));
    let lock = "select version from specs where organization_id = $1 and id = $2 for no key update";
    sqlx::query(lock).bind(organization).bind(spec.0).execute(&mut **tx).await?;
    let find = "select id from plans where organization_id = $1 and spec_id = $2 and spec_version = $3 and plan_hash = $4";
    let find = sqlx::query_scalar(find).bind(organization).bind(spec.0).bind(spec_version.cast_signed()).bind(&plan_hash);
    if let Some(id) = find.fetch_optional(&mut **tx).await? {
        return Ok(PlanId(id));
    }
    let id = PlanId::new();
    let insert = "insert into plans (organization_id, id, spec_id, spec_version, version, plan_hash, document) \
                  select $1, $2, $3, $4, coalesce(max(version), 0) + 1, $5, $6 from plans where organization_id = $1 and spec_id = $3";
    let insert = sqlx::query(insert).bind(organization).bind(id.0).bind(spec.0).bind(spec_version.cast_signed()).bind(plan_hash);
    insert.bind(text::json(plan)?).execute(&mut **tx).await?;
    store_requirements(tx, id, plan).await?;
    store_tasks(tx, id, plan, ranks).await?;
    store_dependencies(tx, id, plan).await?;
    Ok(id)
}

/// The stored plan, as it was given.
pub async fn load(tx: &mut TenantTx, id: PlanId) -> Result<Option<Plan>, StoreError> {
    let query = "select document from plans where organization_id = $1 and id = $2";
    let document: Option<Json<Plan>> = sqlx::query_scalar(query).bind(tx.organization().0).bind(id.0).fetch_optional(&mut **tx).await?;
    Ok(document.map(|Json(plan)| plan))
}

async fn store_requirements(tx: &mut TenantTx, plan_id: PlanId, plan: &Plan) -> Result<(), StoreError> {
    let items = &plan.requirements;
    let insert = "insert into requirements (organization_id, plan_id, ordinal, key, text, class, priority, weight, subject, line) \
                  select $1, $2, (ordinality - 1)::integer, key, text, class, priority, weight, subject, line \
                  from unnest($3::text[], $4::text[], $5::text[], $6::integer[], $7::integer[], $8::text[], $9::integer[]) \
                  with ordinality as given (key, text, class, priority, weight, subject, line, ordinality)";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(plan_id.0);
    insert
        .bind(items.iter().map(|item| item.key.as_str()).collect::<Vec<_>>())
        .bind(items.iter().map(|item| text::without_nul(&item.text)).collect::<Vec<_>>())
        .bind(items.iter().map(|item| name_of(&item.class)).collect::<Result<Vec<_>, _>>()?)
        .bind(items.iter().map(|item| i32::from(item.priority)).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.weight.cast_signed()).collect::<Vec<_>>())
        .bind(items.iter().map(|item| text::without_nul(&item.subject.to_string())).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.position.map(|position| position.line.cast_signed())).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn store_tasks(tx: &mut TenantTx, plan_id: PlanId, plan: &Plan, ranks: &[i32]) -> Result<(), StoreError> {
    let ordinals = ordinals(plan);
    let parents: Vec<Option<i32>> =
        plan.tasks.iter().map(|task| task.parent.as_ref().and_then(|parent| ordinals.get(parent.as_str()).copied())).collect();
    let texts = |text: fn(&Task) -> Result<String, StoreError>| plan.tasks.iter().map(text).collect::<Result<Vec<_>, _>>();
    let insert = "insert into tasks (organization_id, plan_id, ordinal, key, parent, kind, role, task_type, phase, title, priority, rank, wave, critical) \
                  select $1, $2, (ordinality - 1)::integer, key, parent, kind, role, task_type, phase, title, priority, rank, wave, critical \
                  from unnest($3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::integer[], $9::text[], $10::integer[], \
                  $11::integer[], $12::integer[], $13::boolean[]) \
                  with ordinality as given (key, parent, kind, role, task_type, phase, title, priority, rank, wave, critical, ordinality)";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(plan_id.0);
    insert
        .bind(plan.tasks.iter().map(|task| task.key.as_str()).collect::<Vec<_>>())
        .bind(parents)
        .bind(texts(|task| name_of(&task.kind))?)
        .bind(texts(|task| name_of(&task.role))?)
        .bind(texts(|task| name_of(&task.task_type))?)
        .bind(plan.tasks.iter().map(|task| i32::from(task.phase)).collect::<Vec<_>>())
        .bind(plan.tasks.iter().map(|task| text::without_nul(&task.title)).collect::<Vec<_>>())
        .bind(plan.tasks.iter().map(|task| i32::from(task.priority)).collect::<Vec<_>>())
        .bind(ranks)
        .bind(plan.tasks.iter().map(|task| task.wave.map(u32::cast_signed)).collect::<Vec<_>>())
        .bind(plan.tasks.iter().map(|task| task.critical).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn store_dependencies(tx: &mut TenantTx, plan_id: PlanId, plan: &Plan) -> Result<(), StoreError> {
    let ordinals = ordinals(plan);
    let place = |key: &str| {
        ordinals.get(key).copied().ok_or_else(|| StoreError::corrupt("plan", format!("a dependency names `{key}`, which is no task")))
    };
    let mut edges = Vec::with_capacity(plan.dependencies.len());
    for edge in &plan.dependencies {
        edges.push((place(&edge.depends_on)?, place(&edge.task)?, text::without_nul(&edge.reason)));
    }
    let insert = "insert into task_dependencies (organization_id, plan_id, depends_on, task, reason) \
                  select $1, $2, depends_on, task, reason \
                  from unnest($3::integer[], $4::integer[], $5::text[]) as given (depends_on, task, reason)";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(plan_id.0);
    insert
        .bind(edges.iter().map(|edge| edge.0).collect::<Vec<_>>())
        .bind(edges.iter().map(|edge| edge.1).collect::<Vec<_>>())
        .bind(edges.iter().map(|edge| edge.2.as_str()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The place of each key in the plan.
fn ordinals(plan: &Plan) -> BTreeMap<&str, i32> {
    plan.tasks.iter().map(|task| task.key.as_str()).zip(0..).collect()
}

/// The snake_case name that the model gives to a variant.
pub(super) fn name_of(variant: &impl serde::Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        other => Err(StoreError::corrupt("name", format!("{other:?}"))),
    }
}

/// The variant of that name.
pub(super) fn named<T: serde::de::DeserializeOwned>(what: &'static str, name: String) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(name)).map_err(|error| StoreError::corrupt(what, error))
}
