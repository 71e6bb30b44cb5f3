//! Pass 3: which requirements each unit and step serves, and which none does.

use std::collections::{BTreeMap, BTreeSet};

use crate::generate::Blueprint;
use crate::model::{Finding, Plan, Requirement, Subject};

/// Fills in the requirements of every unit and step. A constraint of a field that no blueprint
/// names is served by the units that name its entity.
pub(super) fn trace(plan: &mut Plan, blueprints: &[&Blueprint]) {
    let mut by_subject: BTreeMap<&Subject, Vec<&str>> = BTreeMap::new();
    for requirement in &plan.requirements {
        by_subject.entry(&requirement.subject).or_default().push(&requirement.key);
    }
    let named: BTreeSet<&Subject> = blueprints.iter().flat_map(|blueprint| subjects(blueprint)).collect();
    let fields = inherited_fields(&by_subject, &named);
    let keys = |subjects: &mut dyn Iterator<Item = &Subject>| -> Vec<String> {
        let mut found = BTreeSet::new();
        for subject in subjects {
            found.extend(by_subject.get(subject).into_iter().flatten().map(|key| (*key).to_owned()));
            found.extend(fields.get(&subject.to_string()).into_iter().flatten().cloned());
        }
        found.into_iter().collect()
    };
    let mut traced: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for blueprint in blueprints {
        traced.insert(&blueprint.key, keys(&mut subjects(blueprint)));
        traced.extend(blueprint.steps.iter().map(|step| (step.key.as_str(), keys(&mut step.subjects.iter()))));
    }
    let served: BTreeSet<&String> = traced.values().flatten().collect();
    let orphans: Vec<Finding> =
        plan.requirements.iter().filter(|requirement| !served.contains(&requirement.key)).filter_map(orphan).collect();
    for task in &mut plan.tasks {
        task.requirements = traced.remove(task.key.as_str()).unwrap_or_default();
    }
    if blueprints.iter().any(|blueprint| blueprint.waiting.is_none()) {
        plan.findings.extend(orphans);
    }
}

fn subjects(blueprint: &Blueprint) -> impl Iterator<Item = &Subject> {
    blueprint.subjects.iter().chain(blueprint.steps.iter().flat_map(|step| &step.subjects))
}

/// Requirements of fields that no unit names, by the text form of their entity's subject.
fn inherited_fields(by_subject: &BTreeMap<&Subject, Vec<&str>>, named: &BTreeSet<&Subject>) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (subject, keys) in by_subject {
        if let Subject::Field(name) = subject
            && !named.contains(subject)
        {
            let entity = Subject::Entity(name.split('.').next().unwrap_or_default().to_owned());
            found.entry(entity.to_string()).or_default().extend(keys.iter().map(|key| (*key).to_owned()));
        }
    }
    found
}

/// A demand for something to be built that no unit builds.
fn orphan(requirement: &Requirement) -> Option<Finding> {
    let built = matches!(requirement.subject, Subject::Operation(_) | Subject::Entity(_) | Subject::Field(_) | Subject::Rule(_));
    built.then(|| {
        let message = format!("no unit serves {} ({})", requirement.key, requirement.text);
        Finding::warning(
            "requirement-without-unit",
            message,
            requirement.position,
            "the target pack does not cover it; it will stay unverified",
        )
    })
}
