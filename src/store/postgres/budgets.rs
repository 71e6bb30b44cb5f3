//! Budgets of runs, and what was set aside and used of them.

use std::collections::BTreeMap;

use super::units::Claim;
use super::{StoreError, TenantTx};
use crate::model::budget::{Amount, BudgetScope, Ceiling};
use crate::model::{RunId, SpendId};

/// What was used for good, and what is set aside at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// For good.
    pub spent: Amount,
    /// Set aside by work that is under way.
    pub reserved: Amount,
}

/// Sets what each scope of a run may use; what was set before stays.
pub async fn set(tx: &mut TenantTx, run: RunId, ceilings: &BTreeMap<BudgetScope, Ceiling>) -> Result<(), StoreError> {
    let insert = "insert into budgets (organization_id, run_id, scope, tokens, cost_micros, time_ms) values ($1, $2, $3, $4, $5, $6) \
                  on conflict on constraint budgets_pkey do nothing";
    for (scope, ceiling) in ceilings.iter().filter(|(_, ceiling)| !ceiling.is_open()) {
        let insert = sqlx::query(insert).bind(tx.organization().0).bind(run.0).bind(scope.as_str());
        let insert = insert.bind(ceiling.tokens.map(number)).bind(ceiling.cost_micros.map(number)).bind(ceiling.time_ms.map(number));
        insert.execute(&mut **tx).await?;
    }
    Ok(())
}

/// The same as [`list`], and the rows stay locked: who sets something aside does so after the one before.
pub async fn lock(tx: &mut TenantTx, run: RunId) -> Result<BTreeMap<BudgetScope, Ceiling>, StoreError> {
    let lock = "select from budgets where organization_id = $1 and run_id = $2 order by scope for update";
    sqlx::query(lock).bind(tx.organization().0).bind(run.0).execute(&mut **tx).await?;
    list(tx, run).await
}

/// What each scope of the run may use; none for scopes without a limit.
pub async fn list(tx: &mut TenantTx, run: RunId) -> Result<BTreeMap<BudgetScope, Ceiling>, StoreError> {
    let query = "select scope, tokens, cost_micros, time_ms from budgets where organization_id = $1 and run_id = $2";
    let query = sqlx::query_as(query).bind(tx.organization().0).bind(run.0);
    let rows: Vec<Row> = query.fetch_all(&mut **tx).await?;
    let read = |(scope, tokens, cost, time): Row| {
        let named = BudgetScope::ALL.into_iter().find(|named| named.as_str() == scope);
        let ceiling = Ceiling {
            tokens: tokens.map(i64::cast_unsigned),
            cost_micros: cost.map(i64::cast_unsigned),
            time_ms: time.map(i64::cast_unsigned),
        };
        Ok((named.ok_or_else(|| StoreError::corrupt("budget scope", scope))?, ceiling))
    };
    rows.into_iter().map(read).collect()
}

/// A scope, and its ceilings of tokens, money and time.
type Row = (String, Option<i64>, Option<i64>, Option<i64>);

/// What is used of each scope that the claim lies in; none when the claim does not hold any more.
pub async fn used(tx: &mut TenantTx, claim: &Claim) -> Result<Option<BTreeMap<BudgetScope, Used>>, StoreError> {
    let query = "with unit as ( \
                     select id, wave, token from run_tasks where organization_id = $1 and run_id = $2 and id = $3 and token = $4 and state = 'running' \
                 ), entries as ( \
                     select e.*, e.wave is not distinct from unit.wave as in_wave, e.unit_id = unit.id as in_unit, \
                            e.unit_id = unit.id and e.token = unit.token as in_attempt \
                     from unit, budget_entries e \
                     where e.organization_id = $1 and e.run_id = $2 and (e.spent_at is not null or exists ( \
                         select from run_tasks t where t.organization_id = $1 and t.id = e.unit_id and t.token = e.token and t.state = 'running')) \
                 ), scopes as ( \
                     select * from (values ('run'), ('wave'), ('unit'), ('attempt')) as given (scope) cross join unit \
                 ) \
                 select scope, spent, coalesce(sum(tokens), 0)::bigint, coalesce(sum(cost_micros), 0)::bigint, coalesce(sum(time_ms), 0)::bigint \
                 from scopes cross join (values (true), (false)) as kind (spent) \
                 left join entries e on (e.spent_at is not null) = spent and case scope \
                     when 'run' then true when 'wave' then in_wave when 'unit' then in_unit else in_attempt end \
                 group by scope, spent";
    let query = sqlx::query_as(query).bind(tx.organization().0).bind(claim.run.0).bind(claim.unit.0).bind(claim.token);
    let rows: Vec<(String, bool, i64, i64, i64)> = query.fetch_all(&mut **tx).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut used: BTreeMap<BudgetScope, Used> = BTreeMap::new();
    for (scope, spent, tokens, cost, time) in rows {
        let named = BudgetScope::ALL.into_iter().find(|named| named.as_str() == scope);
        let of_scope = used.entry(named.ok_or_else(|| StoreError::corrupt("budget scope", scope))?).or_default();
        let amount = Amount { tokens: tokens.cast_unsigned(), cost_micros: cost.cast_unsigned(), time_ms: time.cast_unsigned() };
        *if spent { &mut of_scope.spent } else { &mut of_scope.reserved } = amount;
    }
    Ok(Some(used))
}

/// Sets an amount aside under the claim's token. The caller has compared it with what is left.
pub async fn reserve(tx: &mut TenantTx, claim: &Claim, purpose: &str, amount: &Amount) -> Result<SpendId, StoreError> {
    let id = SpendId::new();
    let insert = "insert into budget_entries (organization_id, id, run_id, unit_id, wave, token, purpose, tokens, cost_micros, time_ms) \
                  select $1, $2, $3, $4, wave, $5, $6, $7, $8, $9 from run_tasks where organization_id = $1 and id = $4";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(id.0).bind(claim.run.0).bind(claim.unit.0).bind(claim.token);
    let insert = insert.bind(purpose).bind(number(amount.tokens)).bind(number(amount.cost_micros)).bind(number(amount.time_ms));
    insert.execute(&mut **tx).await?;
    Ok(id)
}

/// Writes down what was used of something set aside: once, even when the claim is lost by now.
pub async fn spend(tx: &mut TenantTx, id: SpendId, amount: &Amount) -> Result<bool, StoreError> {
    let update = "update budget_entries set tokens = $3, cost_micros = $4, time_ms = $5, spent_at = now() \
                  where organization_id = $1 and id = $2 and spent_at is null";
    let update = sqlx::query(update).bind(tx.organization().0).bind(id.0);
    let update = update.bind(number(amount.tokens)).bind(number(amount.cost_micros)).bind(number(amount.time_ms));
    Ok(update.execute(&mut **tx).await?.rows_affected() == 1)
}

/// What the run has used for good.
pub async fn spent(tx: &mut TenantTx, run: RunId) -> Result<Amount, StoreError> {
    let query = "select coalesce(sum(tokens), 0)::bigint, coalesce(sum(cost_micros), 0)::bigint, coalesce(sum(time_ms), 0)::bigint \
                 from budget_entries where organization_id = $1 and run_id = $2 and spent_at is not null";
    let (tokens, cost, time): (i64, i64, i64) = sqlx::query_as(query).bind(tx.organization().0).bind(run.0).fetch_one(&mut **tx).await?;
    Ok(Amount { tokens: tokens.cast_unsigned(), cost_micros: cost.cast_unsigned(), time_ms: time.cast_unsigned() })
}

fn number(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
