//! Which units a specification needs, from the kinds that the manifest declares.

use std::collections::BTreeSet;

use super::classes::{SHARED, references};
use super::pack::{Manifest, Scope, UnitSpec};
use super::project::Project;
use crate::model::operation::{Behaviour, Operation};
use crate::model::shape::{Shape, ShapeKind};
use crate::model::spec::Group;

/// One unit of a project.
#[derive(Clone)]
pub(super) struct Unit<'a> {
    pub(super) spec: &'a UnitSpec,
    pub(super) key: String,
    pub(super) about: About<'a>,
    /// Paths and templates.
    pub(super) files: Vec<(String, &'a str)>,
}

/// What a unit is about.
#[derive(Clone)]
pub(super) enum About<'a> {
    Project,
    Entity(usize),
    Module(String),
    Group(&'a Group),
    Operation(&'a Operation),
}

impl About<'_> {
    /// Fills the placeholders of the manifest that name the subject.
    pub(super) fn fill(&self, project: &Project<'_>, text: &str) -> String {
        let text = text.replace("{package}", &project.package).replace("{title}", &project.doc.title);
        match self {
            Self::Project => text,
            Self::Entity(number) => {
                let names = &project.entities[*number];
                text.replace("{entity}", &names.module).replace("{Entity}", &names.entity.name).replace("{table}", &names.entity.table)
            }
            Self::Module(module) => text.replace("{module_title}", &module_title(project, module)).replace("{module}", module),
            Self::Group(group) => text.replace("{group_title}", &group.title).replace("{group}", &Project::group_module(group)),
            Self::Operation(operation) => {
                let group = project.doc.groups.iter().find(|group| group.slug == operation.group);
                text.replace("{group_title}", group.map_or("", |group| group.title.as_str()))
                    .replace("{operation}", &operation.key)
                    .replace("{pending}", &Project::pending_module(operation))
            }
        }
    }
}

/// What people call a module of schemas.
pub(super) fn module_title(project: &Project<'_>, module: &str) -> String {
    if module == SHARED {
        return "shared values".to_owned();
    }
    project.entities.iter().find(|names| names.module == module).map_or_else(|| module.to_owned(), |names| names.entity.name.clone())
}

/// All units of a project, in the manifest's order and within it in the source's.
pub(super) fn units<'a>(manifest: &'a Manifest, project: &Project<'a>) -> Vec<Unit<'a>> {
    let mut found = Vec::new();
    for spec in &manifest.units {
        for about in abouts(spec.scope, project) {
            let files = spec.files.iter().map(|file| (about.fill(project, &file.path), file.template.as_str())).collect();
            found.push(Unit { key: about.fill(project, &spec.key), spec, about, files });
        }
    }
    found
}

fn abouts<'a>(scope: Scope, project: &Project<'a>) -> Vec<About<'a>> {
    let doc = project.doc;
    let entities = |keep: &dyn Fn(&str) -> bool| {
        let numbers = (0..project.entities.len()).filter(|&number| keep(&project.entities[number].entity.name));
        numbers.map(About::Entity).collect()
    };
    match scope {
        Scope::Project => vec![About::Project],
        Scope::Migration => {
            if project.entities.is_empty() {
                Vec::new()
            } else {
                vec![About::Project]
            }
        }
        Scope::Entity => entities(&|_| true),
        Scope::Service => entities(&|name| project.operations_on(name).next().is_some()),
        Scope::Rules => entities(&|name| !project.enforced_rules(name).is_empty()),
        Scope::Module => project.classes.modules().into_iter().map(|module| About::Module(module.to_owned())).collect(),
        Scope::Group => {
            let served = doc.groups.iter().filter(|group| project.operations_in(group).any(Operation::derivable));
            served.map(About::Group).collect()
        }
        Scope::Tests => doc.groups.iter().filter(|group| !group.operations.is_empty()).map(About::Group).collect(),
        Scope::Operation => doc.operations.iter().filter(|operation| !operation.derivable()).map(About::Operation).collect(),
    }
}

/// The modules of schemas that an operation speaks.
pub(super) fn modules_of(project: &Project<'_>, operation: &Operation) -> BTreeSet<String> {
    let mut shapes: Vec<&Shape> = project.classes.body(&operation.key).into_iter().collect();
    shapes.extend((0..operation.responses.len()).filter_map(|number| project.classes.response(&operation.key, number)));
    shapes.extend(operation.parameters.iter().map(|parameter| &parameter.shape));
    let names = shapes.into_iter().flat_map(|shape| match &shape.kind {
        ShapeKind::Reference(name) => BTreeSet::from([name.as_str()]),
        _ => references(shape),
    });
    names.filter_map(|name| project.classes.module_of(name)).map(str::to_owned).collect()
}

/// The entities whose rows an operation reads or changes: its own, and those that its path goes through.
pub(super) fn entities_of<'a>(project: &Project<'a>, operation: &Operation) -> Vec<&'a str> {
    let mut found: Vec<&'a str> = Vec::new();
    if let Some(names) = operation.behaviour.entity().and_then(|name| project.entity(name)) {
        found.push(&names.entity.name);
        for parent in parents_of(project, operation) {
            if !found.contains(&parent) {
                found.push(parent);
            }
        }
    }
    found
}

/// The entities that an operation's path goes through before it reaches its own.
pub(super) fn parents_of<'a>(project: &Project<'a>, operation: &Operation) -> Vec<&'a str> {
    let path = match &operation.behaviour {
        Behaviour::List(list) => &list.path,
        Behaviour::Create(row)
        | Behaviour::Read(row)
        | Behaviour::Replace(row)
        | Behaviour::Patch(row)
        | Behaviour::Delete(row)
        | Behaviour::Act { row, .. } => &row.path,
        Behaviour::Underivable { .. } => return Vec::new(),
    };
    let Some(names) = operation.behaviour.entity().and_then(|name| project.entity(name)) else {
        return Vec::new();
    };
    let fields = path.iter().filter_map(|binding| names.entity.field(&binding.field));
    let targets = fields.filter_map(|field| match &field.field_type {
        crate::model::FieldType::Reference { entity, .. } => project.entity(entity),
        _ => None,
    });
    targets.map(|names| names.entity.name.as_str()).collect()
}
