//! From a unit's context to its files.

use std::collections::BTreeMap;

use minijinja::value::Value as Rendered;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::Value;

use super::imports::{self, Symbols};
use super::pack::TargetPack;
use super::project::Project;
use super::units::{Unit, units};
use super::{GenerateError, GeneratedFile, Prior, contexts, layout, migration, python, tables};
use crate::model::{FieldType, SpecDocument};

impl TargetPack {
    /// The files of one unit, exactly those that its blueprint declares; `prior` are the files of the last delivery.
    pub fn generate(&self, doc: &SpecDocument, unit_key: &str, prior: &Prior) -> Result<Vec<GeneratedFile>, GenerateError> {
        if unit_key.ends_with("#implement") {
            return Err(GenerateError::Waiting(unit_key.to_owned()));
        }
        let project = Project::new(doc);
        let units = units(self.manifest(), &project);
        let unit = units.iter().find(|unit| unit.key == unit_key).ok_or_else(|| GenerateError::UnknownUnit(unit_key.to_owned()))?;
        Renderer::new(self, &project)?.unit(unit, prior)
    }
}

/// Renders the templates of one project.
struct Renderer<'r> {
    pack: &'r TargetPack,
    project: &'r Project<'r>,
    environment: Environment<'static>,
}

impl<'r> Renderer<'r> {
    fn new(pack: &'r TargetPack, project: &'r Project<'r>) -> Result<Self, GenerateError> {
        Ok(Self { pack, project, environment: environment(pack)? })
    }

    fn unit(&self, unit: &Unit<'_>, prior: &Prior) -> Result<Vec<GeneratedFile>, GenerateError> {
        if unit.key == "migration" {
            return migration::files(&tables::snapshot(self.project), &tables::neutral(self.project), prior, |context| {
                self.text("migrations/version.py.j2", context)
            });
        }
        let context = contexts::context(self.pack.manifest(), self.project, unit)?;
        let mut files = Vec::with_capacity(unit.files.len());
        for (path, template) in &unit.files {
            let content = match *template {
                "@empty" => String::new(),
                "@requirements" => self.pack.text("requirements-runtime.lock")?.to_owned(),
                "@requirements-dev" => self.pack.text("requirements.lock")?.to_owned(),
                template => self.text(template, &context)?,
            };
            files.push(GeneratedFile { path: path.clone(), content: content.into_bytes(), executable: false });
        }
        Ok(files)
    }

    fn text(&self, template: &str, context: &Value) -> Result<String, GenerateError> {
        let failed = |source| GenerateError::Template { template: template.to_owned(), source: Box::new(source) };
        let text = self.environment.get_template(template).and_then(|found| found.render(rendered(context))).map_err(failed)?;
        if !template.ends_with(".py.j2") {
            return Ok(format!("{}\n", text.trim_end()));
        }
        let laid_out = layout::tidy(&text);
        let symbols = symbols(self.project, template.split('/').next().unwrap_or_default());
        Ok(layout::tidy(&imports::with_imports(&laid_out, &symbols, &self.project.package)))
    }
}

/// A JSON value as the engine's own.
fn rendered(json: &Value) -> Rendered {
    match json {
        Value::Null => Rendered::from(()),
        Value::Bool(flag) => Rendered::from(*flag),
        Value::Number(number) => number.as_i64().map_or_else(|| Rendered::from(number.as_f64().unwrap_or_default()), Rendered::from),
        Value::String(text) => Rendered::from(text.as_str()),
        Value::Array(items) => Rendered::from(items.iter().map(rendered).collect::<Vec<_>>()),
        Value::Object(map) => Rendered::from(map.iter().map(|(key, item)| (key.clone(), rendered(item))).collect::<BTreeMap<_, _>>()),
    }
}

/// The engine with the pack's templates and the filters that they use.
fn environment(pack: &TargetPack) -> Result<Environment<'static>, GenerateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.add_filter("text", |text: String| python::text(&text));
    environment.add_filter("doc", |text: String, indent: usize| python::doc(&text, indent));
    environment.add_filter("headline", |text: String| python::headline(&text));
    environment.add_filter("toml", |text: String| Value::from(text).to_string());
    environment.add_filter("capitalize_first", |text: String| python::sentence(&text));
    for (name, text) in pack.templates()? {
        environment
            .add_template_owned(name.clone(), text.to_owned())
            .map_err(|source| GenerateError::Template { template: name, source: Box::new(source) })?;
    }
    Ok(environment)
}

/// The project's own names and the modules that they come from, as one area of the project (`models`, `schemas` …) sees them.
fn symbols(project: &Project<'_>, area: &str) -> Symbols {
    let package = &project.package;
    let mut found: Symbols = BTreeMap::new();
    let mut add = |names: &[&str], module: &str| {
        for name in names {
            found.insert((*name).to_owned(), if module.is_empty() { package.clone() } else { format!("{package}.{module}") });
        }
    };
    add(&["utc_now"], "column_types");
    add(&["SessionDependency", "commit"], "database");
    add(&["ConflictError", "InvalidError", "NotFoundError", "WaitingError"], "failures");
    add(&["refused"], "errors");
    match area {
        "models" => {
            add(&["BigKey", "FixedPoint", "Json", "UtcDateTime"], "column_types");
            add(&["Base"], "models.base");
        }
        "services" => {
            for names in &project.entities {
                add(&[&names.class], &format!("models.{}", names.module));
                for field in names.entity.fields.iter().filter(|field| matches!(field.field_type, FieldType::Enum(_))) {
                    add(&[&python::enum_alias(&names.class, field)], &format!("models.{}", names.module));
                }
            }
        }
        "migrations" | "project" => {}
        _ => {
            add(&["models"], "");
            add(PARAMETER_NAMES, "schemas.parameters");
            add(WIRE_NAMES, "schemas.wire");
            for class in &project.classes.all {
                add(&[&class.class], &format!("schemas.{}", class.module));
            }
            for names in &project.entities {
                add(&[&format!("{}Service", names.class)], &format!("services.{}", names.module));
            }
        }
    }
    let foreign: &[(&str, &str)] = match area {
        "models" => &[("text", "sqlalchemy")],
        "services" => &[("cast", "sqlalchemy"), ("InstrumentedAttribute", "sqlalchemy.orm")],
        "migrations" => &[("op", "alembic")],
        "tests" => &[("factories", "tests")],
        _ => &[],
    };
    found.extend(foreign.iter().map(|(name, module)| ((*name).to_owned(), (*module).to_owned())));
    found
}

const PARAMETER_NAMES: &[&str] = &[
    "BooleanText",
    "IntegerText",
    "NumberText",
    "integer_key",
    "page_size",
    "rows_before",
    "separated",
    "skipped_rows",
    "storable",
    "uuid_key",
];

const WIRE_NAMES: &[&str] = &[
    "AsNumber",
    "AsWhole",
    "Boolean",
    "Date",
    "Double",
    "Email",
    "Float",
    "Instant",
    "Int32",
    "Int64",
    "Integer",
    "Json",
    "NotNull",
    "Payload",
    "Text",
    "Time",
    "Unique",
    "Url",
    "Uuid",
    "WithoutNul",
    "absent",
    "formatted",
    "present",
];
