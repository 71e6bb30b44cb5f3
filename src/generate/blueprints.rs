//! From a specification to the units that build it: what each writes, needs and serves.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::pack::Manifest;
use super::project::Project;
use super::units::{About, Unit, entities_of, module_title, modules_of, parents_of, units};
use super::{Blueprint, GenerateError, Step, TargetPack, contexts};
use crate::model::operation::{Behaviour, Operation};
use crate::model::plan::Waiting;
use crate::model::{SpecDocument, Subject};

impl TargetPack {
    /// The units that `doc` needs, in the pack's order and within it in the source's; none when it names nothing to build.
    /// An error when something in it cannot be expressed in the target.
    pub fn blueprints(&self, doc: &SpecDocument) -> Result<Vec<Blueprint>, GenerateError> {
        if !doc.generates() {
            return Ok(Vec::new());
        }
        let project = Project::new(doc);
        contexts::expressible(&project)?;
        let units = units(self.manifest(), &project);
        let mut found = Vec::with_capacity(units.len());
        for unit in &units {
            found.push(blueprint(self.manifest(), &project, &units, unit));
            if let About::Operation(operation) = unit.about {
                found.push(implement(&project, unit, operation));
            }
        }
        Ok(found)
    }

    /// Everything of the specification that the files of each unit depend on, by unit; hashed into its input hash. Far more work
    /// than the blueprints, which is why a plan does without.
    pub fn fragments(&self, doc: &SpecDocument) -> Result<BTreeMap<String, Value>, GenerateError> {
        let project = Project::new(doc);
        let mut found = BTreeMap::new();
        for unit in &units(self.manifest(), &project) {
            found.insert(unit.key.clone(), contexts::context(self.manifest(), &project, unit)?);
            if let About::Operation(operation) = unit.about {
                found.insert(implement_key(unit), json!({ "operation": operation }));
            }
        }
        Ok(found)
    }
}

fn blueprint(manifest: &Manifest, project: &Project<'_>, units: &[Unit<'_>], unit: &Unit<'_>) -> Blueprint {
    let steps = steps(project, unit);
    Blueprint {
        key: unit.key.clone(),
        group: unit.about.fill(project, &unit.spec.group),
        phase: unit.spec.phase,
        task_type: unit.spec.task_type,
        title: unit.about.fill(project, &unit.spec.title),
        description: describe(project, unit),
        priority: if unit.spec.phase >= 5 { 4 } else { 3 },
        effort_points: effort(project, unit, steps.len()),
        files: unit.files.iter().map(|(path, _)| path.clone()).collect(),
        depends_on: dependencies(project, units, unit),
        skills: unit.spec.skills.clone(),
        criteria: unit.spec.criteria.iter().map(|text| unit.about.fill(project, text)).collect(),
        expected_output: unit.about.fill(project, &unit.spec.output),
        subjects: subjects(manifest, project, unit),
        steps,
        position: position(project, unit),
        waiting: None,
    }
}

fn implement_key(unit: &Unit<'_>) -> String {
    format!("{}#implement", unit.key)
}

/// The unit that waits until somebody writes what no generator can derive.
fn implement(project: &Project<'_>, unit: &Unit<'_>, operation: &Operation) -> Blueprint {
    let reason = match &operation.behaviour {
        Behaviour::Underivable { reason } => reason.clone(),
        _ => String::new(),
    };
    Blueprint {
        key: implement_key(unit),
        group: unit.about.fill(project, &unit.spec.group),
        phase: 3,
        task_type: unit.spec.task_type,
        title: format!("Implement {}", operation.key),
        description: format!("{} Replaces the route that answers 501.", sentence(&operation.summary)).trim().to_owned(),
        priority: 3,
        effort_points: 3,
        files: Vec::new(),
        depends_on: vec![(unit.key.clone(), "the documented route is there already".to_owned())],
        skills: unit.spec.skills.clone(),
        criteria: vec![format!("`{}` answers as documented", operation.key)],
        expected_output: "an endpoint that does what the specification says".to_owned(),
        subjects: vec![Subject::Operation(operation.key.clone())],
        steps: Vec::new(),
        position: operation.position,
        waiting: Some(Waiting { reason, configure: "an agent that can write code, or a person to hand it in".to_owned() }),
    }
}

fn describe(project: &Project<'_>, unit: &Unit<'_>) -> String {
    let own = match &unit.about {
        About::Entity(number) => sentence(&project.entities[*number].entity.description),
        About::Group(group) => sentence(&group.description),
        About::Operation(operation) => sentence(&operation.summary),
        _ => String::new(),
    };
    format!("{} {own}", unit.about.fill(project, &unit.spec.description)).trim().to_owned()
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

fn effort(project: &Project<'_>, unit: &Unit<'_>, steps: usize) -> u32 {
    let extra = match &unit.about {
        About::Entity(number) => {
            let names = &project.entities[*number];
            names.entity.fields.len() / 5 + project.rules_of(&names.entity.name).count() / 2
        }
        About::Group(_) => steps,
        About::Project if unit.key == "migration" => project.entities.len() / 5,
        _ => 0,
    };
    unit.spec.effort + u32::try_from(extra).unwrap_or(u32::MAX - unit.spec.effort)
}

fn steps(project: &Project<'_>, unit: &Unit<'_>) -> Vec<Step> {
    let About::Group(group) = unit.about else {
        return Vec::new();
    };
    if !unit.key.starts_with("router/") {
        return Vec::new();
    }
    let operations = project.operations_in(group).filter(|operation| operation.derivable());
    let step = |operation: &Operation| Step {
        key: format!("api/{}", operation.key),
        task_type: unit.spec.task_type,
        title: if operation.summary.is_empty() { operation.key.clone() } else { format!("{}: {}", operation.key, operation.summary) },
        subjects: vec![Subject::Operation(operation.key.clone())],
        position: operation.position,
    };
    operations.map(step).collect()
}

fn subjects(manifest: &Manifest, project: &Project<'_>, unit: &Unit<'_>) -> Vec<Subject> {
    match &unit.about {
        About::Project if unit.key == "project/packaging" => {
            manifest.project_checks.iter().map(|check| Subject::Project(check.name.clone())).collect()
        }
        About::Project | About::Module(_) => Vec::new(),
        About::Entity(number) => {
            let entity = project.entities[*number].entity;
            if unit.key.starts_with("model/") {
                let fields = entity.fields.iter().map(|field| Subject::Field(format!("{}.{}", entity.name, field.name)));
                std::iter::once(Subject::Entity(entity.name.clone())).chain(fields).collect()
            } else {
                project.rules_of(&entity.name).map(|rule| Subject::Rule(rule.key.clone())).collect()
            }
        }
        About::Group(group) if unit.key.starts_with("tests/") => project
            .operations_in(group)
            .filter(|operation| operation.derivable())
            .map(|operation| Subject::Operation(operation.key.clone()))
            .collect(),
        About::Group(_) | About::Operation(_) => Vec::new(),
    }
}

fn position(project: &Project<'_>, unit: &Unit<'_>) -> Option<crate::model::Position> {
    match &unit.about {
        About::Entity(number) => project.entities[*number].entity.position,
        About::Operation(operation) => operation.position,
        About::Group(group) => project.operations_in(group).find_map(|operation| operation.position),
        About::Module(module) => project.entities.iter().find(|names| names.module == *module).and_then(|names| names.entity.position),
        About::Project => None,
    }
}

fn dependencies(project: &Project<'_>, units: &[Unit<'_>], unit: &Unit<'_>) -> Vec<(String, String)> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for need in &unit.spec.needs {
        let because = unit.about.fill(project, &need.because);
        let wanted = unit.about.fill(project, &need.unit);
        let keys: Vec<(String, String)> = if let Some(prefix) = wanted.strip_suffix('*') {
            let all = units.iter().filter(|other| other.key.starts_with(prefix) && other.key != unit.key);
            all.map(|other| (other.key.clone(), String::new())).collect()
        } else if let Some((prefix, relation)) = wanted.strip_suffix('}').and_then(|text| text.split_once('{')) {
            related(project, unit, relation).into_iter().map(|(name, title)| (format!("{prefix}{name}"), title)).collect()
        } else {
            vec![(wanted, String::new())]
        };
        for (key, title) in keys {
            if key != unit.key && units.iter().any(|other| other.key == key) {
                found.entry(key).or_insert_with(|| because.replace("{Reference}", &title));
            }
        }
    }
    if unit.key.starts_with("tests/")
        && let About::Group(group) = unit.about
    {
        for operation in project.operations_in(group).filter(|operation| !operation.derivable()) {
            found.insert(format!("api/{}", operation.key), "these endpoints are tested".to_owned());
        }
    }
    found.into_iter().collect()
}

/// The units that a relation of the manifest names: the last part of the key and a title.
fn related(project: &Project<'_>, unit: &Unit<'_>, relation: &str) -> Vec<(String, String)> {
    let models = |names: Vec<&str>| -> Vec<(String, String)> {
        names.into_iter().filter_map(|name| project.entity(name)).map(|names| (names.module.clone(), names.entity.name.clone())).collect()
    };
    let schemas = |modules: Vec<String>| -> Vec<(String, String)> {
        modules.into_iter().map(|module| (module.clone(), module_title(project, &module))).collect()
    };
    let operations: Vec<&Operation> = match &unit.about {
        About::Group(group) => project.operations_in(group).filter(|operation| operation.derivable()).collect(),
        About::Operation(operation) => vec![operation],
        About::Entity(number) => project.operations_on(&project.entities[*number].entity.name).collect(),
        _ => Vec::new(),
    };
    match (relation, &unit.about) {
        ("errors", _) => schemas(project.error_module().into_iter().map(str::to_owned).collect()),
        ("references", About::Entity(number)) => {
            let entity = project.entities[*number].entity;
            models(project.references_of(entity).into_iter().filter(|other| !project.entangled(&entity.name, other)).collect())
        }
        ("parents", About::Entity(number)) => {
            let mut names = project.references_of(project.entities[*number].entity);
            names.extend(operations.iter().flat_map(|operation| parents_of(project, operation)));
            models(names)
        }
        ("models", About::Module(module)) => {
            let shown = project.classes.all.iter().filter(|class| class.module == *module).filter_map(|class| class.entity.as_deref());
            models(shown.collect())
        }
        ("modules", About::Module(module)) => schemas(project.classes.modules_used_by(module).into_iter().map(str::to_owned).collect()),
        ("services", _) => models(operations.iter().flat_map(|operation| entities_of(project, operation)).collect()),
        ("schemas", _) => schemas(operations.iter().flat_map(|operation| modules_of(project, operation)).collect()),
        _ => Vec::new(),
    }
}
