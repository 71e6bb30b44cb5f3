//! The agents that can be had in this process: the enabled profiles of the registry, with what stands behind each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::Agent;
use super::agentapi::{AgentApiForm, AgentApiWorker};
use super::command::{CommandAgent, CommandForm, CommandWorker};
use super::llm::prices::{Price, Prices, micros};
use super::llm::prompt::Prompts;
use super::llm::provider::{Provider, ProviderKind, ProviderSettings};
use super::llm::{LlmAgent, LlmOptions, ModelWorker};
use super::profile::ProfileError;
use crate::config::{AgentSettings, Environment, ModelSettings, Secret};
use crate::model::{AgentKind, Duty, Profile, TaskType};

/// The word that leaves the choice to the record of each agent.
pub const AUTO: &str = "auto";
/// A price is written with so many numbers: input, cached input, written into the cache, output.
const PRICE_PARTS: usize = 4;

/// An agent and its profile.
#[derive(Clone)]
pub struct Member {
    /// What it is for.
    pub profile: Profile,
    /// Who performs.
    pub agent: Arc<dyn Agent>,
}

/// Every agent that can be had, and the rules by which they are sent.
#[derive(Clone, Default)]
pub struct Roster {
    members: BTreeMap<String, Member>,
    /// Profiles that cannot be had, and why.
    unavailable: BTreeMap<String, String>,
    /// Who builds what no generator builds: a name, [`AUTO`], or nobody.
    default: Option<String>,
    /// Who builds units of a sort, whatever a generator could do.
    rules: BTreeMap<TaskType, String>,
    /// Who is sent when others have failed.
    debugger: Option<String>,
}

/// What a profile may say of its model; what it leaves out the settings of the installation say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileModel {
    /// The provider's protocol.
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// Its address.
    pub base_url: Option<String>,
}

/// What a profile says of its model.
pub fn model_settings(profile: &Profile) -> Result<ProfileModel, ProfileError> {
    if profile.settings.is_null() {
        return Ok(ProfileModel::default());
    }
    let wrong = |problem: String| ProfileError::Settings { name: profile.name.clone(), problem };
    let settings: ProfileModel = serde_json::from_value(profile.settings.clone()).map_err(|error| wrong(error.to_string()))?;
    if let Some(provider) = &settings.provider {
        kind_of(provider).map_err(wrong)?;
    }
    Ok(settings)
}

/// What a profile says of its command.
pub fn command_settings(profile: &Profile) -> Result<CommandForm, ProfileError> {
    let wrong = |problem: String| ProfileError::Settings { name: profile.name.clone(), problem };
    let form: CommandForm = serde_json::from_value(profile.settings.clone()).map_err(|error| wrong(error.to_string()))?;
    form.clone().settings().map_err(|error| wrong(error.to_string()))?;
    Ok(form)
}

/// What a profile says of its server.
pub fn server_settings(profile: &Profile) -> Result<AgentApiForm, ProfileError> {
    let wrong = |problem: String| ProfileError::Settings { name: profile.name.clone(), problem };
    let form: AgentApiForm = serde_json::from_value(profile.settings.clone()).map_err(|error| wrong(error.to_string()))?;
    form.wanted().map_err(wrong)?;
    Ok(form)
}

impl Roster {
    /// The roster of an installation: profiles that are switched off or that nothing stands behind cannot be had, and say why.
    /// `default` overrides the setting.
    pub fn new(profiles: Vec<Profile>, settings: &AgentSettings, default: Option<&str>, unit_timeout: Duration) -> Self {
        let mut roster = Self {
            default: default.or(settings.default.as_deref()).map(str::to_owned),
            rules: settings.rules.clone(),
            debugger: settings.debugger.clone(),
            ..Self::default()
        };
        for profile in profiles {
            match behind(&profile, settings, unit_timeout) {
                Ok(agent) => drop(roster.members.insert(profile.name.clone(), Member { profile, agent })),
                Err(reason) => drop(roster.unavailable.insert(profile.name, reason)),
            }
        }
        roster
    }

    /// Adds an agent, for tests.
    #[cfg(test)]
    #[must_use]
    pub fn with(mut self, profile: Profile, agent: Arc<dyn Agent>) -> Self {
        self.members.insert(profile.name.clone(), Member { profile, agent });
        self
    }

    /// The same with rules, for tests.
    #[cfg(test)]
    #[must_use]
    pub fn ruled(mut self, default: Option<&str>, rules: &[(TaskType, &str)], debugger: Option<&str>) -> Self {
        self.default = default.map(str::to_owned);
        self.rules = rules.iter().map(|(sort, name)| (*sort, (*name).to_owned())).collect();
        self.debugger = debugger.map(str::to_owned);
        self
    }

    /// The agent of that name, or why it cannot be had.
    pub fn find(&self, name: &str) -> Result<&Member, String> {
        self.members.get(name).ok_or_else(|| match self.unavailable.get(name) {
            Some(reason) => format!("the agent {name} cannot be had: {reason}"),
            None => format!("there is no agent {name}; `specwave agents list` shows who there is"),
        })
    }

    /// Why the agent of that name cannot be had; none when it can.
    pub fn unavailable(&self, name: &str) -> Option<&str> {
        self.unavailable.get(name).map(String::as_str)
    }

    /// Everybody with that duty, by name.
    pub fn of(&self, duty: Duty) -> impl Iterator<Item = &Member> {
        self.members.values().filter(move |member| member.profile.duty == duty)
    }

    /// True when somebody may be sent who changes a work tree, so that there must be one.
    pub fn needs_trees(&self) -> bool {
        let in_tree = |name: &String| self.members.get(name).is_some_and(|member| member.agent.works_in_a_tree());
        let anybody = self.default.is_some() && self.members.keys().any(in_tree);
        anybody || self.rules.values().any(in_tree) || self.debugger().is_some_and(|member| member.agent.works_in_a_tree())
    }

    /// The longest that anybody may need for a unit, where that is more than usual.
    pub fn patience(&self) -> Option<Duration> {
        self.members.values().filter_map(|member| member.agent.patience()).max()
    }

    /// Who builds what no generator builds.
    pub fn default_name(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// Who builds units of that sort.
    pub fn rule(&self, sort: TaskType) -> Option<&str> {
        self.rules.get(&sort).map(String::as_str)
    }

    /// Who is sent when others have failed: the one that is set, or else the first whose duty it is.
    pub fn debugger(&self) -> Option<&Member> {
        match &self.debugger {
            Some(name) => self.members.get(name),
            None => self.of(Duty::Debug).next(),
        }
    }
}

/// What stands behind a profile, or why nothing does.
fn behind(profile: &Profile, settings: &AgentSettings, unit_timeout: Duration) -> Result<Arc<dyn Agent>, String> {
    if !profile.enabled {
        return Err("it is switched off; `specwave agents enable` switches it on".to_owned());
    }
    match profile.kind {
        AgentKind::Llm => model(profile, &settings.model, unit_timeout),
        AgentKind::Command => command(profile, settings),
        AgentKind::AgentApi => server(profile, &settings.model),
        other => Err(format!("agents of kind {} are not registered", other.as_str())),
    }
}

fn model(profile: &Profile, settings: &ModelSettings, unit_timeout: Duration) -> Result<Arc<dyn Agent>, String> {
    let own = model_settings(profile).map_err(|error| error.to_string())?;
    let set = |own: Option<String>, set: &str| own.or_else(|| Some(set.to_owned()).filter(|text| !text.is_empty()));
    let missing = |key: &str| format!("no model is set; set `{key}`, or the profile's own");
    let provider = set(own.provider, &settings.provider).ok_or_else(|| missing("llm.provider"))?;
    let model = set(own.model, &settings.model).ok_or_else(|| missing("llm.model"))?;
    let kind = kind_of(&provider)?;
    let base_url = set(own.base_url, &settings.base_url);
    let provider = ProviderSettings { kind, base_url, key: key_of(kind, settings), stall: settings.stall };
    let provider = Provider::new(provider).map_err(|error| error.to_string())?;
    let prompts = Prompts::load(settings.prompts.as_deref()).map_err(|error| error.to_string())?;
    let options = LlmOptions {
        temperature: settings.temperature,
        output_tokens_max: settings.output_tokens_max,
        deadline: unit_timeout,
        ..LlmOptions::new(model)
    };
    let agent = LlmAgent::new(provider, prompts, prices(settings)?, options).map_err(|error| error.to_string())?;
    Ok(Arc::new(ModelWorker::new(&profile.name, &profile.role, agent)))
}

fn command(profile: &Profile, settings: &AgentSettings) -> Result<Arc<dyn Agent>, String> {
    let form = command_settings(profile).map_err(|error| error.to_string())?;
    let mut wanted = form.settings().map_err(|error| error.to_string())?;
    wanted.confinement = wanted.confinement.or_weaker(settings.weaker_sandbox);
    missing(&wanted.pass, &settings.environment)?;
    let prompts = Prompts::load(settings.model.prompts.as_deref()).map_err(|error| error.to_string())?;
    let agent = CommandAgent::new(wanted, None).map_err(|error| error.to_string())?;
    Ok(Arc::new(CommandWorker::new(&profile.name, &profile.role, agent, prompts, &settings.environment)))
}

fn server(profile: &Profile, settings: &ModelSettings) -> Result<Arc<dyn Agent>, String> {
    let wanted = server_settings(profile).map_err(|error| error.to_string())?.wanted()?;
    let prompts = Prompts::load(settings.prompts.as_deref()).map_err(|error| error.to_string())?;
    let worker = AgentApiWorker::new(&profile.name, &profile.role, wanted, prompts);
    Ok(Arc::new(worker.map_err(|cause| format!("{cause}; hint: {}", cause.hint()))?))
}

/// A program without the key that it needs fails after it has taken its time.
fn missing(pass: &[String], environment: &Environment) -> Result<(), String> {
    match pass.iter().find(|name| environment.get(name).is_none()) {
        Some(name) => Err(format!("the variable {name} is not set, which its profile passes to the command")),
        None => Ok(()),
    }
}

fn kind_of(text: &str) -> Result<ProviderKind, String> {
    let known = ProviderKind::ALL.map(ProviderKind::as_str).join(", ");
    text.parse().map_err(|()| format!("{text:?} is no provider; there are {known}"))
}

/// The key that was set for it: its own one, or the one that the provider's other programs read too.
fn key_of(kind: ProviderKind, settings: &ModelSettings) -> Option<Secret> {
    let customary = match kind {
        ProviderKind::Anthropic => &settings.anthropic_key,
        ProviderKind::OpenAi => &settings.openai_key,
        ProviderKind::OpenAiCompatible | ProviderKind::Ollama => &None,
    };
    settings.key.clone().or_else(|| customary.clone())
}

/// The table of prices, each as `model = input / cached input / written into the cache / output`, a dash where there is none.
pub fn prices(settings: &ModelSettings) -> Result<Prices, String> {
    let mut models = BTreeMap::new();
    for line in &settings.prices {
        let wrong = || format!("{line:?} is no price; a price is as `model = 3 / 0.30 / 3.75 / 15`, money for a million tokens");
        let (model, numbers) = line.split_once('=').ok_or_else(wrong)?;
        let parts: Vec<&str> = numbers.split('/').map(str::trim).collect();
        let number = |text: &str| micros(text).ok_or_else(wrong);
        if parts.len() != PRICE_PARTS {
            return Err(wrong());
        }
        let cache_write = if parts[2] == "-" { None } else { Some(number(parts[2])?) };
        let price = Price { input: number(parts[0])?, cached_input: number(parts[1])?, cache_write, output: number(parts[3])? };
        models.insert(model.trim().to_owned(), price);
    }
    Ok(Prices { currency: settings.prices_currency.clone(), date: settings.prices_date, models })
}

#[cfg(test)]
mod tests {
    use super::super::profile::built_in;
    use super::*;

    fn settings(provider: &str, model: &str) -> AgentSettings {
        let model = ModelSettings { provider: provider.to_owned(), model: model.to_owned(), ..ModelSettings::default() };
        AgentSettings { model, ..AgentSettings::default() }
    }

    fn roster(settings: &AgentSettings) -> Roster {
        Roster::new(built_in(), settings, None, Duration::from_secs(1))
    }

    #[test]
    fn nobody_can_be_had_before_a_model_is_set() {
        let roster = roster(&AgentSettings::default());
        assert_eq!(roster.of(Duty::Build).count(), 0);
        let reason = roster.find("general").err().unwrap();
        assert_eq!(reason, "the agent general cannot be had: no model is set; set `llm.provider`, or the profile's own");
        assert!(roster.find("nobody").err().unwrap().contains("there is no agent nobody"));
    }

    #[test]
    fn with_a_model_every_profile_can_be_had_and_their_versions_differ_by_their_roles() {
        let roster = roster(&settings("ollama", "qwen3-coder"));
        let names: Vec<&str> = roster.of(Duty::Build).map(|member| member.profile.name.as_str()).collect();
        assert_eq!(names, ["general", "test-writer"]);
        assert_eq!(roster.debugger().unwrap().profile.name, "code-analyst");
        let version = |name: &str| roster.find(name).ok().unwrap().agent.version().to_owned();
        assert_ne!(version("general"), version("test-writer"));
        assert!(version("general").starts_with("ollama/qwen3-coder temperature 0.2 output 4000x4 "), "{}", version("general"));
    }

    #[test]
    fn a_provider_that_cannot_be_reached_so_says_why() {
        let check = |settings: &AgentSettings, expected: &str| {
            let reason = roster(settings).find("general").err().unwrap();
            assert!(reason.contains(expected), "{reason}");
        };
        check(&settings("gemini", "m"), "\"gemini\" is no provider; there are anthropic, openai, openai-compatible, ollama");
        check(&settings("anthropic", "m"), "the provider anthropic needs a key");
        check(&settings("ollama", ""), "set `llm.model`");
        let mut priced = settings("ollama", "m");
        priced.model.prices = vec!["m = 3 / 1".to_owned()];
        check(&priced, "is no price");
    }

    #[test]
    fn a_price_is_four_numbers_of_which_one_may_be_missing() {
        let lines = vec!["a = 3 / 0.30 / 3.75 / 15".to_owned(), "b=1.25/0.125/-/10".to_owned()];
        let prices = prices(&ModelSettings { prices: lines, ..ModelSettings::default() }).unwrap();
        assert_eq!(prices.models["a"], Price { input: 3_000_000, cached_input: 300_000, cache_write: Some(3_750_000), output: 15_000_000 });
        assert_eq!(prices.models["b"].cache_write, None);
    }
}
