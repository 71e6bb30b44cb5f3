//! Settings of the engine: leases, order, limits, retries, escalation.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{ConfigError, Layers};
use crate::model::budget::{BudgetScope, Ceiling};
use crate::model::{AgentKind, Backoff, Escalation, Limits, Strategy};

/// How units are chosen, limited, repeated and handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulingSettings {
    /// Which ready unit goes first.
    pub strategy: Strategy,
    /// How many units may be running at once.
    pub limits: Limits,
    /// Attempts at a unit for each who tries it, 1 to 10.
    pub attempts_max: u32,
    /// How long a transient failure waits before it is tried again.
    pub backoff: Backoff,
    /// That wait, or the first one.
    pub retry_base: Duration,
    /// The longest wait.
    pub retry_cap: Duration,
    /// Who tries a unit after the assigned agent has failed for good.
    pub escalation: Vec<Escalation>,
    /// What each scope of a run may use.
    pub budgets: BTreeMap<BudgetScope, Ceiling>,
    /// The lease of a claim.
    pub lease: Duration,
    /// After so long without progress a run is stuck.
    pub stuck_after: Duration,
}

/// The largest limit that can be set; 0 means none.
const LIMIT_MAX: i64 = 100_000;
/// The largest budget that can be set; 0 means none.
const AMOUNT_MAX: i64 = 1_000_000_000_000;
/// Money is set in hundredths and counted in millionths.
const MICROS_PER_CENT: u64 = 10_000;

impl Layers {
    pub(super) fn scheduling(&self) -> Result<SchedulingSettings, ConfigError> {
        let named = |key, expected| self.text(key).map(|text| (text.to_owned(), self.invalid(key, expected)));
        let (strategy, refused) = named("run.strategy", "critical-path, priority, fifo or shortest-first")?;
        let strategy = strategy.parse().map_err(|()| refused)?;
        let (backoff, refused) = named("run.retry", "none, immediate, fixed or exponential")?;
        let backoff = backoff.parse().map_err(|()| refused)?;
        let retry_base = self.seconds("run.retry_base_secs", 0, 3_600, "seconds from 0 to 3600")?;
        let retry_cap = self.seconds("run.retry_cap_secs", 0, 86_400, "seconds from 0 to 86400")?;
        Ok(SchedulingSettings {
            strategy,
            limits: self.limits()?,
            attempts_max: u32::try_from(self.integer("run.attempts_max", 1, 10, "a whole number from 1 to 10")?).unwrap_or(1),
            backoff,
            retry_base,
            retry_cap,
            escalation: self.escalation()?,
            budgets: self.budgets()?,
            lease: self.seconds("engine.lease_secs", 2, 3_600, "seconds from 2 to 3600")?,
            stuck_after: self.seconds("engine.stuck_after_secs", 60, 604_800, "seconds from 60 to 604800")?,
        })
    }

    fn limits(&self) -> Result<Limits, ConfigError> {
        let limit = |key: &str| {
            let number = self.integer(key, 0, LIMIT_MAX, "a whole number from 0, for none, to 100000")?;
            Ok::<_, ConfigError>(u32::try_from(number).ok().filter(|limit| *limit > 0))
        };
        let mut limits = Limits {
            run: limit("run.concurrency")?,
            wave: limit("run.wave_concurrency")?,
            organization: limit("engine.concurrency")?,
            ..Limits::default()
        };
        for kind in AgentKind::ALL.into_iter().filter(|kind| *kind != AgentKind::Manual) {
            if let Some(allowed) = limit(&format!("agents.{}_concurrency", kind.as_str()))? {
                limits.agent_kinds.insert(kind, allowed);
            }
        }
        Ok(limits)
    }

    fn budgets(&self) -> Result<BTreeMap<BudgetScope, Ceiling>, ConfigError> {
        let most = |scope: BudgetScope, what: &str, unit: u64| {
            let key = format!("budget.{scope}_{what}");
            let number = self.integer(&key, 0, AMOUNT_MAX, "a whole number from 0, for no limit, to 1000000000000")?;
            Ok::<_, ConfigError>(Some(number.unsigned_abs() * unit).filter(|amount| *amount > 0))
        };
        let ceiling = |scope: BudgetScope| {
            let (tokens, cost_micros) = (most(scope, "tokens", 1)?, most(scope, "cost_cents", MICROS_PER_CENT)?);
            Ok((scope, Ceiling { tokens, cost_micros, time_ms: most(scope, "secs", 1_000)? }))
        };
        let ceilings: Vec<(BudgetScope, Ceiling)> = BudgetScope::ALL.into_iter().map(ceiling).collect::<Result<_, ConfigError>>()?;
        Ok(ceilings.into_iter().filter(|(_, ceiling)| !ceiling.is_open()).collect())
    }

    fn escalation(&self) -> Result<Vec<Escalation>, ConfigError> {
        let refused = || self.invalid("run.escalation", "another-agent, debugging-agent and person, or some of them, separated by commas");
        let steps = self.text("run.escalation")?.split(',').map(str::trim).filter(|step| !step.is_empty());
        let mut steps: Vec<Escalation> = steps.map(|step| step.parse().map_err(|()| refused())).collect::<Result<_, _>>()?;
        if steps.contains(&Escalation::Assigned) {
            return Err(refused());
        }
        steps.sort_unstable();
        steps.dedup();
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check_error, load};
    use super::*;

    #[test]
    fn steps_and_limits_are_read() {
        let text = "[run]\nescalation = \"person, another-agent\"\nstrategy = \"fifo\"\nretry = \"fixed\"\n[agents]\nllm_concurrency = 3";
        let settings = load(text).expect("valid").scheduling;
        assert_eq!(settings.escalation, [Escalation::AnotherAgent, Escalation::Person]);
        assert_eq!((settings.strategy, settings.backoff), (Strategy::Fifo, Backoff::Fixed));
        assert_eq!(settings.limits.run, Some(5));
        assert_eq!(settings.limits.agent_kinds.into_iter().collect::<Vec<_>>(), [(AgentKind::Llm, 3)]);
    }

    #[test]
    fn budgets_are_nested_and_0_means_none() {
        let settings = load("[budget]\nrun_tokens = 5000\nattempt_cost_cents = 25\nattempt_secs = 30").expect("valid").scheduling;
        let run = Ceiling { tokens: Some(5_000), ..Ceiling::default() };
        let attempt = Ceiling { cost_micros: Some(250_000), time_ms: Some(30_000), ..Ceiling::default() };
        assert_eq!(settings.budgets.into_iter().collect::<Vec<_>>(), [(BudgetScope::Run, run), (BudgetScope::Attempt, attempt)]);
    }

    #[test]
    fn words_that_do_not_exist_are_refused() {
        check_error(
            "[run]\nescalation = \"boss\"",
            "setting `run.escalation` from specwave.toml is \"boss\", expected another-agent, debugging-agent and person, or some of them, separated by commas",
        );
        check_error(
            "[run]\nstrategy = \"random\"",
            "setting `run.strategy` from specwave.toml is \"random\", expected critical-path, priority, fifo or shortest-first",
        );
    }
}
