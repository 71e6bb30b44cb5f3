//! Settings of the agents that read: who is sent, and the model behind them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::IntoDeserializer;
use serde::de::value::{Error as NameError, StrDeserializer};
use time::Date;
use time::macros::{date, format_description};

use super::{ConfigError, Layers, Secret};
use crate::model::TaskType;

/// More prices than providers have models.
const PRICES_MAX: usize = 200;

/// Who is sent to what.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgentSettings {
    /// Who builds what no generator builds; none: nobody.
    pub default: Option<String>,
    /// Who builds units of a sort, whatever a generator could do.
    pub rules: BTreeMap<TaskType, String>,
    /// Who is sent when others have failed; none: whose duty it is.
    pub debugger: Option<String>,
    /// True: whoever works in a tree may change files that no unit declares.
    pub allow_undeclared: bool,
    /// The share of the units that are shown no patterns, so that their effect can be measured: 0.1 to 0.5, or 0 for no trial.
    pub holdout_share: f64,
    /// True: commands that need a stronger sandbox than this machine offers run with what there is.
    pub weaker_sandbox: bool,
    /// After so long without being confirmed a pattern weighs half as much when it is ranked.
    pub pattern_half_life: Duration,
    /// The model behind profiles that name none.
    pub model: ModelSettings,
    /// What commands may be given of specwave's own environment, where their profile names it.
    pub environment: Environment,
}

/// The variables of specwave's own environment. Their values may be secret.
#[derive(Clone, Default, PartialEq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    pub(super) fn of(variables: &[(String, String)]) -> Self {
        Self(variables.iter().cloned().collect())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} variables", self.0.len())
    }
}

/// A model and how it is asked.
#[derive(Clone, PartialEq)]
pub struct ModelSettings {
    /// The provider's protocol; empty: none.
    pub provider: String,
    /// Its name at the provider.
    pub model: String,
    /// The provider's address, when it is not its own.
    pub base_url: String,
    /// The key.
    pub key: Option<Secret>,
    /// The key that Anthropic's own programs read.
    pub anthropic_key: Option<Secret>,
    /// The key that OpenAI's own programs read.
    pub openai_key: Option<Secret>,
    /// How freely it chooses; none for models that refuse to be told.
    pub temperature: Option<f64>,
    /// The most tokens of one answer.
    pub output_tokens_max: u32,
    /// How long nothing may come.
    pub stall: Duration,
    /// A folder with prompts that replace the built-in ones.
    pub prompts: Option<PathBuf>,
    /// `model = input / cached input / written into the cache / output`.
    pub prices: Vec<String>,
    /// When they were looked up.
    pub prices_date: Date,
    /// In what they are.
    pub prices_currency: String,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            provider: String::new(),
            model: String::new(),
            base_url: String::new(),
            key: None,
            anthropic_key: None,
            openai_key: None,
            temperature: Some(0.2),
            output_tokens_max: 4_000,
            stall: Duration::from_mins(1),
            prompts: None,
            prices: Vec::new(),
            prices_date: date!(2025 - 11 - 30),
            prices_currency: "USD".to_owned(),
        }
    }
}

impl fmt::Debug for ModelSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ModelSettings").field("provider", &self.provider).field("model", &self.model).finish_non_exhaustive()
    }
}

impl Layers {
    pub(super) fn agents(&self, inherited: &[(String, String)]) -> Result<AgentSettings, ConfigError> {
        let named = |key: &str| Ok::<_, ConfigError>(Some(self.text(key)?.trim().to_owned()).filter(|name| !name.is_empty()));
        let share = self.number("agents.holdout_share", "0, or a number from 0.1 to 0.5")?;
        if share != 0.0 && !(0.1..=0.5).contains(&share) {
            return Err(self.invalid("agents.holdout_share", "0, or a number from 0.1 to 0.5"));
        }
        Ok(AgentSettings {
            default: named("agents.default")?,
            rules: self.agent_rules()?,
            debugger: named("agents.debugger")?,
            allow_undeclared: self.boolean("agents.allow_undeclared")?,
            holdout_share: share,
            weaker_sandbox: !self.boolean("sandbox.required")?,
            pattern_half_life: self.days("agents.pattern_half_life_days")?,
            model: self.model()?,
            environment: Environment::of(inherited),
        })
    }

    fn agent_rules(&self) -> Result<BTreeMap<TaskType, String>, ConfigError> {
        let refused = || self.invalid("agents.rules", "sorts of work and agents, as `test = test-writer, docs = general`");
        let mut rules = BTreeMap::new();
        for rule in self.text("agents.rules")?.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
            let (sort, agent) = rule.split_once('=').ok_or_else(refused)?;
            let name: StrDeserializer<'_, NameError> = sort.trim().into_deserializer();
            let sort = serde::Deserialize::deserialize(name).map_err(|_| refused())?;
            rules.insert(sort, agent.trim().to_owned());
        }
        Ok(rules)
    }

    fn model(&self) -> Result<ModelSettings, ConfigError> {
        let temperature = match self.text("llm.temperature")? {
            "" => None,
            text => Some(
                text.parse()
                    .ok()
                    .filter(|warm| (0.0..=2.0).contains(warm))
                    .ok_or_else(|| self.invalid("llm.temperature", "a number from 0 to 2, or nothing for the provider's default"))?,
            ),
        };
        let dated = || self.invalid("llm.prices_date", "a date, 2025-11-30");
        Ok(ModelSettings {
            provider: self.text("llm.provider")?.to_owned(),
            model: self.text("llm.model")?.to_owned(),
            base_url: self.text("llm.base_url")?.to_owned(),
            key: self.secret("llm.api_key")?,
            anthropic_key: self.secret("llm.anthropic_api_key")?,
            openai_key: self.secret("llm.openai_api_key")?,
            temperature,
            output_tokens_max: u32::try_from(self.integer("llm.output_tokens_max", 256, 128_000, "a whole number from 256 to 128000")?)
                .unwrap_or(256),
            stall: self.seconds("llm.stall_secs", 1, 3_600, "seconds from 1 to 3600")?,
            prompts: Some(self.text("llm.prompts")?).filter(|path| !path.is_empty()).map(PathBuf::from),
            prices: self.texts("llm.prices", PRICES_MAX)?,
            prices_date: Date::parse(self.text("llm.prices_date")?, format_description!("[year]-[month]-[day]")).map_err(|_| dated())?,
            prices_currency: self.text("llm.prices_currency")?.to_owned(),
        })
    }

    fn days(&self, key: &str) -> Result<Duration, ConfigError> {
        let days = self.integer(key, 1, 3_650, "days from 1 to 3650")?;
        Ok(Duration::from_hours(24 * days.unsigned_abs()))
    }

    fn number(&self, key: &str, expected: &'static str) -> Result<f64, ConfigError> {
        let value = self.get(key);
        #[expect(clippy::cast_precision_loss, reason = "a whole number in a setting is small")]
        let whole = value.as_integer().map(|number| number as f64);
        value.as_float().or(whole).filter(|number| number.is_finite()).ok_or_else(|| self.invalid(key, expected))
    }

    pub(super) fn texts(&self, key: &str, most: usize) -> Result<Vec<String>, ConfigError> {
        let refused = || self.invalid(key, "a list of texts");
        let list = self.get(key).as_array().filter(|list| list.len() <= most).ok_or_else(refused)?;
        list.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(refused)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check_error, load};
    use super::*;

    #[test]
    fn nothing_is_sent_unless_somebody_says_so() {
        let config = load("").expect("valid");
        assert_eq!((config.agents.default, config.agents.model.provider), (None, String::new()));
        assert!(!config.agents.model.prices.is_empty());
    }

    #[test]
    fn rules_name_sorts_of_work() {
        let config = load("[agents]\nrules = \"test = test-writer, docs=general\"").expect("valid");
        let rules = BTreeMap::from([(TaskType::Test, "test-writer".to_owned()), (TaskType::Docs, "general".to_owned())]);
        assert_eq!(config.agents.rules, rules);
        let expected = "setting `agents.rules` from specwave.toml is \"tests = a\", expected sorts of work and agents, as `test = test-writer, docs = general`";
        check_error("[agents]\nrules = \"tests = a\"", expected);
    }

    #[test]
    fn a_share_outside_its_range_is_refused() {
        let expected = "setting `agents.holdout_share` from specwave.toml is 0.9, expected 0, or a number from 0.1 to 0.5";
        check_error("[agents]\nholdout_share = 0.9", expected);
    }

    #[test]
    fn patterns_lose_half_their_weight_in_a_quarter_unless_somebody_says_otherwise() {
        let half_life = |file: &str| load(file).expect("valid").agents.pattern_half_life;
        assert_eq!(half_life(""), Duration::from_hours(24 * 90));
        assert_eq!(half_life("[agents]\npattern_half_life_days = 7"), Duration::from_hours(24 * 7));
        let expected = "setting `agents.pattern_half_life_days` from specwave.toml is 0, expected days from 1 to 3650";
        check_error("[agents]\npattern_half_life_days = 0", expected);
    }

    #[test]
    fn keys_are_never_shown() {
        let config = load("[llm]\napi_key = \"sk-hunter2\"\nprovider = \"anthropic\"").expect("valid");
        let shown = format!("{config:?} {:?} {:?}", config.agents, config.entries());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
