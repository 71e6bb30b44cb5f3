//! Budgets: nothing is used before it was set aside, and what is set aside never exceeds what the run, its wave, its unit and the attempt
//! may use.
//!
//! What was set aside carries the claim's token: it counts while the claim holds, and no longer. What was used counts for good.

use std::collections::BTreeMap;

use super::{Claim, Engine, EngineError};
use crate::model::budget::{Amount, BudgetScope, Ceiling, Resource};
use crate::model::{OrganizationId, RunId, SpendId};
use crate::store::postgres::budgets;

/// What asking for an amount led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// It is set aside.
    Granted {
        /// To be named when it is known what was used.
        id: SpendId,
        /// How much: what was asked for, or what is left of it.
        amount: Amount,
    },
    /// Others have set too much aside: what they do not use comes back.
    Later {
        /// Where it is short.
        short: Shortage,
    },
    /// It is used up.
    Exhausted {
        /// Where it is short.
        short: Shortage,
    },
    /// The claim is lost.
    Lost,
}

/// Where a budget is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Whose budget.
    pub scope: BudgetScope,
    /// Of what.
    pub resource: Resource,
    /// What it is at most.
    pub limit: u64,
    /// What is needed at least and not left.
    pub needed: u64,
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (limit, needed) = (self.resource.show(self.limit), self.resource.show(self.needed));
        write!(out, "the budget of the {} is {limit}, and {needed} more are needed", self.scope)
    }
}

impl Engine {
    /// Sets an amount aside for what a claim is about to do: all that is asked for, or what is left, but at least `least`. To be called
    /// before every use; concurrent callers of one run never exceed its budgets together.
    pub async fn reserve(
        &self,
        organization: OrganizationId,
        claim: &Claim,
        purpose: &str,
        ask: Amount,
        least: Amount,
    ) -> Result<Reserved, EngineError> {
        let mut tx = self.store.tenant(organization).await?;
        let ceilings = budgets::lock(&mut tx, claim.run).await?;
        let Some(used) = budgets::used(&mut tx, claim).await? else { return Ok(Reserved::Lost) };
        let (mut granted, mut later) = (ask, None);
        for (scope, ceiling) in &ceilings {
            let used = used.get(scope).copied().unwrap_or_default();
            for resource in Resource::ALL {
                let Some(limit) = resource.at_most(ceiling) else { continue };
                let (spent, reserved, needed) = (resource.of(&used.spent), resource.of(&used.reserved), resource.of(&least));
                let short = Shortage { scope: *scope, resource, limit, needed };
                if spent.saturating_add(needed) > limit || (needed == 0 && resource.of(&ask) > 0 && spent >= limit) {
                    return Ok(Reserved::Exhausted { short });
                }
                let left = limit.saturating_sub(spent).saturating_sub(reserved);
                if left < needed || (left == 0 && resource.of(&ask) > 0) {
                    later = later.or(Some(short));
                }
                lower(&mut granted, resource, left);
            }
        }
        if let Some(short) = later {
            return Ok(Reserved::Later { short });
        }
        let id = budgets::reserve(&mut tx, claim, purpose, &granted).await?;
        tx.commit().await?;
        Ok(Reserved::Granted { id, amount: granted })
    }

    /// Writes down what was used of it, also when the claim is lost by now. False when that was written down before.
    pub async fn spend(&self, organization: OrganizationId, id: SpendId, amount: Amount) -> Result<bool, EngineError> {
        let mut tx = self.store.tenant(organization).await?;
        let written = budgets::spend(&mut tx, id, &amount).await?;
        tx.commit().await?;
        Ok(written)
    }

    /// What each scope of the run may use; none for scopes without a limit.
    pub async fn ceilings(&self, organization: OrganizationId, run: RunId) -> Result<BTreeMap<BudgetScope, Ceiling>, EngineError> {
        let mut tx = self.store.tenant(organization).await?;
        let ceilings = budgets::list(&mut tx, run).await?;
        tx.commit().await?;
        Ok(ceilings)
    }

    /// What a run has used for good.
    pub async fn spent(&self, organization: OrganizationId, run: RunId) -> Result<Amount, EngineError> {
        let mut tx = self.store.tenant(organization).await?;
        let spent = budgets::spent(&mut tx, run).await?;
        tx.commit().await?;
        Ok(spent)
    }
}

fn lower(amount: &mut Amount, resource: Resource, left: u64) {
    let part = match resource {
        Resource::Tokens => &mut amount.tokens,
        Resource::Cost => &mut amount.cost_micros,
        Resource::Time => &mut amount.time_ms,
    };
    *part = (*part).min(left);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, ORGANIZATION, plan};
    use super::super::{ClaimedUnit, EngineOptions};
    use super::*;

    fn tokens(tokens: u64) -> Amount {
        Amount { tokens, ..Amount::default() }
    }

    async fn bench(ceilings: &[(BudgetScope, u64)]) -> (Bench, Vec<ClaimedUnit>) {
        let of = |(scope, tokens): &(BudgetScope, u64)| (*scope, Ceiling { tokens: Some(*tokens), ..Ceiling::default() });
        let budgets: BTreeMap<BudgetScope, Ceiling> = ceilings.iter().map(of).collect();
        let mut units = plan(&[("a", 1), ("b", 1), ("c", 1)], &[]);
        units.tasks[2].wave = Some(2);
        let bench = Bench::with(&units, |options: &mut EngineOptions| options.budgets = budgets, |_| None).await;
        let units = bench.claim(3).await;
        (bench, units)
    }

    /// Asks for so many tokens and at least half of them; says what came of it.
    async fn ask(bench: &Bench, unit: &ClaimedUnit, asked: u64) -> (String, Option<SpendId>) {
        match bench.engine.reserve(ORGANIZATION, &unit.claim, "test", tokens(asked), tokens(asked / 2)).await.unwrap() {
            Reserved::Granted { id, amount } => (format!("granted {}", amount.tokens), Some(id)),
            Reserved::Later { short } => (format!("later: {}", short.scope), None),
            Reserved::Exhausted { short } => (format!("exhausted: {}", short.scope), None),
            Reserved::Lost => ("lost".to_owned(), None),
        }
    }

    async fn spend(bench: &Bench, id: Option<SpendId>, used: u64) -> bool {
        bench.engine.spend(ORGANIZATION, id.unwrap(), tokens(used)).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_set_aside_counts_until_less_was_used() {
        let (bench, units) = bench(&[(BudgetScope::Run, 100)]).await;
        let (first, id) = ask(&bench, &units[0], 60).await;
        assert_eq!(first, "granted 60");
        assert_eq!(ask(&bench, &units[1], 60).await.0, "granted 40", "what is left");
        assert_eq!(ask(&bench, &units[2], 10).await.0, "later: run");
        assert!(spend(&bench, id, 5).await);
        assert!(!spend(&bench, id, 50).await, "it is written down once");
        assert_eq!(ask(&bench, &units[2], 10).await.0, "granted 10");
        assert_eq!(bench.engine.spent(ORGANIZATION, bench.run).await.unwrap(), tokens(5));
    }

    #[tokio::test]
    async fn each_scope_holds_within_the_one_before_it() {
        let scopes = [(BudgetScope::Run, 1_000), (BudgetScope::Wave, 100), (BudgetScope::Unit, 60), (BudgetScope::Attempt, 50)];
        let (bench, units) = bench(&scopes).await;
        let (asked, id) = ask(&bench, &units[0], 80).await;
        assert_eq!(asked, "granted 50", "the attempt's");
        spend(&bench, id, 50).await;
        assert_eq!(ask(&bench, &units[0], 10).await.0, "exhausted: attempt");
        bench.fail(&units[0], super::super::ErrorClass::Transient).await;
        let again = bench.claim_one().await;
        assert_eq!((again.key.as_str(), ask(&bench, &again, 16).await.0.as_str()), ("a", "granted 10"), "the rest of the unit's");
        assert_eq!(ask(&bench, &units[1], 60).await.0, "granted 40", "the rest of the wave's");
        assert_eq!(ask(&bench, &units[2], 60).await.0, "granted 50", "another wave");
    }

    #[tokio::test]
    async fn a_lost_claim_gives_back_what_it_had_set_aside_and_still_pays_for_what_it_used() {
        let (bench, units) = bench(&[(BudgetScope::Run, 100)]).await;
        let (_, id) = ask(&bench, &units[0], 100).await;
        assert_eq!(ask(&bench, &units[1], 10).await.0, "later: run");
        bench.expire_leases().await;
        bench.engine.sweep().await.unwrap();
        assert_eq!(ask(&bench, &units[0], 10).await.0, "lost");
        let again = bench.claim(3).await;
        let (_, second) = ask(&bench, &again[1], 10).await;
        assert!(second.is_some(), "what was set aside came back");
        assert!(spend(&bench, second, 10).await);
        let late = bench.engine.spend(ORGANIZATION, id.unwrap(), tokens(30)).await.unwrap();
        assert!(late, "money that is gone is gone");
        assert_eq!(bench.engine.spent(ORGANIZATION, bench.run).await.unwrap(), tokens(40));
    }

    #[tokio::test]
    async fn callers_at_the_same_moment_never_exceed_a_budget_together() {
        let (bench, units) = bench(&[(BudgetScope::Run, 100)]).await;
        let asks = (0..12).map(|turn| {
            let (engine, claim) = (bench.engine.clone(), units[turn % 3].claim);
            tokio::spawn(async move { engine.reserve(ORGANIZATION, &claim, "test", tokens(30), tokens(30)).await.unwrap() })
        });
        let answers = futures_util::future::join_all(asks.collect::<Vec<_>>()).await;
        let granted = answers.into_iter().filter(|answer| matches!(answer, Ok(Reserved::Granted { .. }))).count();
        assert_eq!(granted, 3);
    }
}
