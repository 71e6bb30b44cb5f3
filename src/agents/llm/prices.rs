//! What tokens cost: a table from the settings, with its date. Integers only; every cost is rounded up.

use std::collections::BTreeMap;

use time::Date;

use crate::agents::usage::Usage;

/// Tokens that a price is for.
const PRICED_TOKENS: u128 = 1_000_000;

/// Prices of one model, in millionths of the currency for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// What is read.
    pub input: u64,
    /// What is read out of the provider's cache.
    pub cached_input: u64,
    /// What is written into that cache, where it has a price of its own; else such a call's cost is unknown.
    pub cache_write: Option<u64>,
    /// What is written.
    pub output: u64,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    /// The currency, as `USD`.
    pub currency: String,
    /// When the prices were looked up.
    pub date: Date,
    /// Price by the name that a model is asked for with.
    pub models: BTreeMap<String, Price>,
}

impl Prices {
    /// What a call cost, in millionths; none when the model, or a kind of token that it used, has no price.
    pub fn cost_micros(&self, model: &str, usage: &Usage) -> Option<u64> {
        let price = self.models.get(model)?;
        let write = if usage.cache_write == 0 { 0 } else { price.cache_write? };
        let plain = usage.input.saturating_sub(usage.cached_input).saturating_sub(usage.cache_write);
        sum([(plain, price.input), (usage.cached_input, price.cached_input), (usage.cache_write, write), (usage.output, price.output)])
    }

    /// What a call may cost at most; none when the model has no price. Every token that is read is taken at the dearest of its prices.
    pub fn bound_micros(&self, model: &str, input_max: u64, output_max: u64) -> Option<u64> {
        let price = self.models.get(model)?;
        let dearest = price.input.max(price.cached_input).max(price.cache_write.unwrap_or(0));
        sum([(input_max, dearest), (output_max, price.output)])
    }
}

/// Tokens times prices, rounded up once; none beyond what can be counted.
fn sum<const N: usize>(parts: [(u64, u64); N]) -> Option<u64> {
    let total = parts.into_iter().try_fold(0_u128, |total, (tokens, price)| total.checked_add(u128::from(tokens) * u128::from(price)))?;
    u64::try_from(total.div_ceil(PRICED_TOKENS)).ok()
}

/// A price as it is written, `3`, `0.075`, in millionths; none when it is no number with at most six decimals.
pub fn micros(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || part.len() > 6 || text.ends_with('.') || !digits(whole) || !digits(part) {
        return None;
    }
    let part: u64 = format!("{part:0<6}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    fn prices() -> Prices {
        let price = Price { input: 3_000_000, cached_input: 300_000, cache_write: None, output: 15_000_000 };
        Prices { currency: "USD".to_owned(), date: date!(2026 - 01 - 31), models: BTreeMap::from([("m".to_owned(), price)]) }
    }

    #[test]
    fn costs_are_rounded_up_once() {
        let check = |usage, expected| assert_eq!(prices().cost_micros("m", &usage), expected, "{usage:?}");
        check(Usage { input: 1_000, output: 100, ..Usage::default() }, Some(4_500));
        check(Usage { input: 1_000, cached_input: 900, output: 0, ..Usage::default() }, Some(570));
        check(Usage { cached_input: 1, input: 1, ..Usage::default() }, Some(1));
        check(Usage::default(), Some(0));
        check(Usage { input: 5, cache_write: 5, ..Usage::default() }, None);
        check(Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() }, None);
        assert_eq!(prices().cost_micros("another", &Usage::default()), None);
    }

    #[test]
    fn no_call_costs_more_than_its_bound() {
        let mut prices = prices();
        prices.models.get_mut("m").unwrap().cache_write = Some(3_750_000);
        let bound = prices.bound_micros("m", 1_000, 200).unwrap();
        assert_eq!(bound, 6_750);
        for (cached_input, cache_write) in [(0, 0), (1_000, 0), (0, 1_000), (400, 600)] {
            assert!(prices.cost_micros("m", &Usage { input: 1_000, cached_input, cache_write, output: 200 }).unwrap() <= bound);
        }
        assert_eq!(prices.bound_micros("another", 1, 1), None);
    }

    #[test]
    fn prices_are_read_as_they_are_written() {
        let check = |text, expected| assert_eq!(micros(text), expected, "{text}");
        check("3", Some(3_000_000));
        check("0.075", Some(75_000));
        check("12.000001", Some(12_000_001));
        for wrong in ["", ".5", "3.", "1.0000001", "-1", "1e3", "a", "99999999999999999999"] {
            check(wrong, None);
        }
    }
}
