//! What goes into a unit, as one hash: an equal hash and an earlier success mean that the files can be reused.
//!
//! Never part of it: patterns, times, ids, and whatever does not change the files.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::agents::Agent;
use crate::generate::Prior;
use crate::model::{Artifact, Plan, Question, Role, Task};
use crate::skills::Skill;

/// Fragments of the specification by unit, and who depends on whom.
#[derive(Debug)]
pub struct Inputs {
    fragments: BTreeMap<String, Value>,
    dependencies: BTreeMap<String, Vec<String>>,
    start: Option<String>,
}

impl Inputs {
    /// From the plan and what of the specification each unit is made from. Gates are looked through.
    pub fn new(plan: &Plan, fragments: BTreeMap<String, Value>) -> Self {
        let mut direct: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for edge in &plan.dependencies {
            direct.entry(&edge.task).or_default().push(&edge.depends_on);
        }
        let gates: Vec<&str> = plan.tasks.iter().filter(|task| task.role == Role::Gate).map(|task| task.key.as_str()).collect();
        let dependencies = plan.units().map(|unit| (unit.key.clone(), behind_gates(&unit.key, &direct, &gates))).collect();
        Self { fragments, dependencies, start: None }
    }

    /// The same where agents begin with the files of that commit of the user's.
    #[must_use]
    pub fn starting_at(self, commit: Option<String>) -> Self {
        Self { start: commit, ..self }
    }

    /// The part of the specification that the unit is made from; null for none.
    pub fn fragment(&self, unit: &str) -> &Value {
        self.fragments.get(unit).unwrap_or(&Value::Null)
    }

    /// The units whose files this one builds on, sorted.
    pub fn dependencies(&self, unit: &str) -> &[String] {
        self.dependencies.get(unit).map_or(&[], Vec::as_slice)
    }

    /// The hash of everything that the unit's files depend on. `built` holds the files of its dependencies; without an agent it
    /// is the hash of what one would be given. `answered` is what persons have said about the unit. `standards` are told to whoever reads,
    /// and so are part of its input; what a generator makes of its templates does not depend on them.
    pub fn hash(
        &self,
        unit: &Task,
        agent: Option<&dyn Agent>,
        prior: &Prior,
        built: &BTreeMap<String, Vec<Artifact>>,
        answered: &[Question],
        standards: &[&Skill],
    ) -> String {
        let outputs: Vec<(&String, Option<String>)> =
            self.dependencies(&unit.key).iter().map(|key| (key, built.get(key).map(|files| output_hash(files)))).collect();
        let prior: Vec<(&String, String)> =
            prior.files.iter().map(|(path, content)| (path, hex::encode(Sha256::digest(content)))).collect();
        let mut input = json!({
            "unit": {"key": unit.key, "files": unit.files, "skills": unit.skills, "criteria": unit.criteria},
            "fragment": self.fragments.get(&unit.key),
            "agent": agent.map(|agent| json!({"name": agent.name(), "version": agent.version()})),
            "dependencies": outputs,
            "prior": prior,
        });
        // Generators read the specification alone.
        if let Some(start) = self.start.as_ref().filter(|_| agent.is_none_or(|agent| !agent.deterministic())) {
            input["start"] = json!(start);
        }
        // Where nothing was answered the hash is that of before there were answers, so that what generators made stays reusable.
        if !answered.is_empty() {
            input["answered"] = answered.iter().map(|question| json!([question.question, question.answer])).collect();
        }
        if agent.is_none_or(|agent| !agent.deterministic()) {
            let versions: BTreeMap<&str, u32> = standards.iter().map(|skill| (skill.name.as_str(), skill.version)).collect();
            input["standards"] = json!(versions);
        }
        hex::encode(Sha256::digest(input.to_string()))
    }
}

/// The hash of a unit's files: paths, modes and contents.
fn output_hash(files: &[Artifact]) -> String {
    let mut files: Vec<&Artifact> = files.iter().collect();
    files.sort();
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(format!("{}\0{}\0{}\n", file.path, file.executable, file.sha256));
    }
    hex::encode(hasher.finalize())
}

/// The units that `key` waits for, with every gate replaced by what the gate waits for.
fn behind_gates(key: &str, direct: &BTreeMap<&str, Vec<&str>>, gates: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<&str> = direct.get(key).cloned().unwrap_or_default();
    let mut seen: Vec<&str> = Vec::new();
    while let Some(next) = open.pop() {
        if !gates.contains(&next) {
            found.push(next.to_owned());
        } else if !seen.contains(&next) {
            seen.push(next);
            open.extend(direct.get(next).into_iter().flatten());
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::engine::testing::plan;
    use crate::model::QuestionId;

    fn answered(answer: &str) -> Question {
        let now = OffsetDateTime::now_utc();
        Question {
            id: QuestionId::new(),
            number: 1,
            unit: "a".to_owned(),
            question: "Which currency?".to_owned(),
            asked_by: "user:test".to_owned(),
            asked_at: now,
            answer: Some(answer.to_owned()),
            answered_by: Some("user:test".to_owned()),
            answered_at: Some(now),
        }
    }

    #[test]
    fn what_was_answered_is_part_of_the_input_and_when_and_by_whom_is_not() {
        let plan = plan(&[("a", 1)], &[]);
        let inputs = Inputs::new(&plan, BTreeMap::new());
        let hash = |answers: &[Question]| inputs.hash(&plan.tasks[0], None, &Prior::default(), &BTreeMap::new(), answers, &[]);
        let (none, euro) = (hash(&[]), hash(&[answered("EUR")]));
        assert_eq!(euro, hash(&[Question { number: 7, asked_by: "agent:general".to_owned(), ..answered("EUR") }]));
        assert!(none != euro && euro != hash(&[answered("USD")]) && euro != hash(&[answered("EUR"), answered("EUR")]));
    }

    #[test]
    fn standards_are_part_of_the_input_of_whoever_is_told_them() {
        let plan = plan(&[("a", 1)], &[]);
        let inputs = Inputs::new(&plan, BTreeMap::new());
        let hash = |standards: &[&Skill]| inputs.hash(&plan.tasks[0], None, &Prior::default(), &BTreeMap::new(), &[], standards);
        let [api, models] = ["backend-api", "backend-models"].map(|name| crate::skills::registry().find(name).unwrap());
        assert!(hash(&[]) != hash(&[api]) && hash(&[api]) != hash(&[models]) && hash(&[api]) != hash(&[api, models]));
    }
}
