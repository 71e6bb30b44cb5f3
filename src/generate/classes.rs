//! Which wire shapes become classes, what they are called and in which module they stand.
//!
//! Inline objects are lifted: each becomes a class of its own, and the shape that held it refers to it by name. Modules
//! follow entities; modules that need each other become one, so that imports never form a circle.

use std::collections::{BTreeMap, BTreeSet};

use heck::ToUpperCamelCase;

use super::{order, python};
use crate::model::entity::Limits;
use crate::model::shape::{Additional, ObjectShape, Property, Shape, ShapeKind};
use crate::model::spec::ErrorStyle;
use crate::model::{SchemaRole, SpecDocument};

/// The module of schemas that belong to no entity.
pub(super) const SHARED: &str = "shared";

/// The class of problem documents where the source has none.
const PROBLEM: &str = "ProblemDetails";

/// All classes of a project and the lifted shapes of its operations.
pub(super) struct Classes {
    /// In source order, lifted ones before the class that holds them.
    pub(super) all: Vec<Class>,
    by_name: BTreeMap<String, usize>,
    bodies: BTreeMap<String, Shape>,
    responses: BTreeMap<(String, usize), Shape>,
}

/// One class (or alias) of the schemas.
#[derive(Debug, Clone)]
pub(super) struct Class {
    /// The name that references use: the source's, or a made one for lifted objects.
    pub(super) name: String,
    /// The Python name.
    #[expect(clippy::struct_field_names, reason = "the name of the class in the code")]
    pub(super) class: String,
    /// The module.
    pub(super) module: String,
    pub(super) description: String,
    /// Its shape; nested objects are references.
    pub(super) shape: Shape,
    pub(super) role: SchemaRole,
    pub(super) entity: Option<String>,
}

impl Class {
    /// The properties, when it is an object.
    pub(super) fn object(&self) -> Option<&ObjectShape> {
        match &self.shape.kind {
            ShapeKind::Object(object) => Some(object),
            _ => None,
        }
    }
}

impl Classes {
    /// Lifts and places all shapes of `doc`; `modules` is the module of each entity.
    pub(super) fn of(doc: &SpecDocument, modules: &BTreeMap<&str, String>) -> Self {
        let mut lift = Lift::new();
        let home = |entity: Option<&str>| entity.and_then(|name| modules.get(name)).cloned().unwrap_or_else(|| SHARED.to_owned());
        for schema in &doc.schemas {
            let module = home(schema.entity.as_deref());
            let class = lift.fresh(&schema.class);
            let shape = lift.below(&schema.shape, &class, &module, schema.entity.as_deref());
            lift.made.push(Class {
                name: schema.name.clone(),
                class,
                module,
                description: schema.description.clone(),
                shape,
                role: schema.role,
                entity: schema.entity.clone(),
            });
        }
        if doc.errors == ErrorStyle::Problem && !lift.made.iter().any(|class| class.role == SchemaRole::Error) {
            lift.taken.insert(PROBLEM.to_owned());
            lift.made.push(problem());
        }
        let (mut bodies, mut responses) = (BTreeMap::new(), BTreeMap::new());
        for operation in &doc.operations {
            let entity = operation.behaviour.entity();
            let module = home(entity);
            let stem = operation.ident.to_upper_camel_case();
            if let Some(body) = &operation.body {
                bodies.insert(operation.key.clone(), lift.whole(&body.shape, &format!("{stem}Request"), &module, entity));
            }
            for (number, response) in operation.responses.iter().enumerate() {
                if let Some(content) = &response.content {
                    let name = if number == 0 { format!("{stem}Response") } else { format!("{stem}Response{}", number + 1) };
                    responses.insert((operation.key.clone(), number), lift.whole(&content.shape, &name, &module, entity));
                }
            }
        }
        let mut classes = Self { all: lift.made, by_name: BTreeMap::new(), bodies, responses };
        classes.by_name = classes.all.iter().enumerate().map(|(number, class)| (class.name.clone(), number)).collect();
        classes.untangle();
        classes
    }

    /// The class that a reference names.
    pub(super) fn get(&self, name: &str) -> Option<&Class> {
        self.by_name.get(name).map(|&number| &self.all[number])
    }

    /// The class of every error body.
    pub(super) fn error(&self, style: &ErrorStyle) -> Option<&Class> {
        match style {
            ErrorStyle::Schema(name) => self.get(name),
            ErrorStyle::Problem => self.all.iter().find(|class| class.role == SchemaRole::Error && class.object().is_some()),
        }
    }

    /// The module of a class.
    pub(super) fn module_of(&self, name: &str) -> Option<&str> {
        self.get(name).map(|class| class.module.as_str())
    }

    /// The lifted shape of an operation's request body.
    pub(super) fn body(&self, operation: &str) -> Option<&Shape> {
        self.bodies.get(operation)
    }

    /// The lifted shape of an operation's response, by its place in the source.
    pub(super) fn response(&self, operation: &str, number: usize) -> Option<&Shape> {
        self.responses.get(&(operation.to_owned(), number))
    }

    /// The modules that exist, in order of first use.
    pub(super) fn modules(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for class in &self.all {
            if !found.contains(&class.module.as_str()) {
                found.push(&class.module);
            }
        }
        found
    }

    /// The classes of a module, each after those of the same module that it needs.
    pub(super) fn in_module(&self, module: &str) -> Vec<&Class> {
        let members: Vec<&Class> = self.all.iter().filter(|class| class.module == module).collect();
        let number = |name: &str| members.iter().position(|class| class.name == name);
        let edges: Vec<BTreeSet<usize>> =
            members.iter().map(|class| references(&class.shape).iter().filter_map(|name| number(name)).collect()).collect();
        order::successors_first(&edges).into_iter().map(|number| members[number]).collect()
    }

    /// Other modules that a module's classes refer to.
    pub(super) fn modules_used_by(&self, module: &str) -> BTreeSet<&str> {
        let members = self.all.iter().filter(|class| class.module == module);
        members.flat_map(|class| references(&class.shape)).filter_map(|name| self.module_of(name)).filter(|used| *used != module).collect()
    }

    /// Merges modules that refer to each other.
    fn untangle(&mut self) {
        let modules: Vec<String> = self.modules().into_iter().map(str::to_owned).collect();
        let number = |name: &str| modules.iter().position(|module| module == name);
        let edges: Vec<BTreeSet<usize>> =
            modules.iter().map(|module| self.modules_used_by(module).into_iter().filter_map(number).collect()).collect();
        let component = order::components(&edges);
        for class in &mut self.all {
            if let Some(own) = modules.iter().position(|module| *module == class.module) {
                let together: Vec<&String> = (0..modules.len()).filter(|&n| component[n] == component[own]).map(|n| &modules[n]).collect();
                let name = together.iter().find(|module| module.as_str() == SHARED).unwrap_or(&together[0]);
                class.module.clone_from(name);
            }
        }
    }
}

/// The problem document of RFC 9457, for sources that describe no error.
fn problem() -> Class {
    let text = || Shape::of(ShapeKind::Text { format: None, limits: Limits::default(), values: Vec::new() });
    let status = ShapeKind::Integer { format: Some("int32".to_owned()), limits: Limits::default(), values: Vec::new() };
    let property = |name: &str, required: bool, shape: Shape| Property { name: name.to_owned(), ident: name.to_owned(), required, shape };
    let properties = vec![
        property("type", true, text()),
        property("title", true, text()),
        property("status", true, Shape::of(status)),
        property("detail", false, text()),
    ];
    Class {
        name: PROBLEM.to_owned(),
        class: PROBLEM.to_owned(),
        module: SHARED.to_owned(),
        description: "An error (RFC 9457).".to_owned(),
        shape: Shape::of(ShapeKind::Object(ObjectShape { properties, additional: Additional::Ignored })),
        role: SchemaRole::Error,
        entity: None,
    }
}

/// The names that a shape refers to, at any depth.
pub(super) fn references(shape: &Shape) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut pending = vec![shape];
    while let Some(shape) = pending.pop() {
        match &shape.kind {
            ShapeKind::Reference(name) => {
                found.insert(name.as_str());
            }
            ShapeKind::Array { items, .. } => pending.push(items),
            ShapeKind::OneOf { variants, .. } => pending.extend(variants),
            ShapeKind::Object(object) => {
                pending.extend(object.properties.iter().map(|property| &property.shape));
                if let Additional::Values(values) = &object.additional {
                    pending.push(values);
                }
            }
            _ => {}
        }
    }
    found
}

struct Lift {
    taken: BTreeSet<String>,
    made: Vec<Class>,
}

/// Class names that modules of schemas, routers and errors import or define for themselves.
const CLASSES_TAKEN: &[&str] = &[
    "APIRouter",
    "Annotated",
    "AsWhole",
    "Any",
    "BaseModel",
    "Body",
    "Boolean",
    "BooleanText",
    "Callable",
    "ConflictError",
    "Cookie",
    "Date",
    "Decimal",
    "Depends",
    "Double",
    "Email",
    "FastAPI",
    "Field",
    "Float",
    "HTTPException",
    "HTTPStatus",
    "Header",
    "Instant",
    "Int32",
    "Int64",
    "Integer",
    "IntegerText",
    "InvalidError",
    "JSONResponse",
    "Json",
    "Literal",
    "Mapping",
    "Match",
    "NotFoundError",
    "NotNull",
    "Number",
    "NumberText",
    "Path",
    "Payload",
    "Problem",
    "Query",
    "Request",
    "RequestValidationError",
    "Response",
    "Route",
    "Self",
    "Sequence",
    "ServiceError",
    "Session",
    "SessionDependency",
    "Text",
    "Time",
    "UUID",
    "Unique",
    "Url",
    "Uuid",
    "WaitingError",
];

impl Lift {
    fn new() -> Self {
        Self { taken: BTreeSet::new(), made: Vec::new() }
    }

    /// The shape with every object in it lifted, itself included.
    fn whole(&mut self, shape: &Shape, name: &str, module: &str, entity: Option<&str>) -> Shape {
        let ShapeKind::Object(object) = &shape.kind else {
            return self.below(shape, name, module, entity);
        };
        if object.properties.is_empty() {
            return self.below(shape, name, module, entity);
        }
        let class = self.fresh(name);
        let inner = self.below(shape, &class, module, entity);
        self.made.push(Class {
            name: format!("{class} (inline)"),
            class: class.clone(),
            module: module.to_owned(),
            description: shape.description.clone().unwrap_or_default(),
            shape: Shape { nullable: false, default: None, ..inner },
            role: SchemaRole::Value,
            entity: entity.map(str::to_owned),
        });
        Shape { kind: ShapeKind::Reference(format!("{class} (inline)")), ..shape.clone() }
    }

    /// The shape with the objects below it lifted.
    fn below(&mut self, shape: &Shape, name: &str, module: &str, entity: Option<&str>) -> Shape {
        let kind = match &shape.kind {
            ShapeKind::Array { items, limits, unique } => ShapeKind::Array {
                items: Box::new(self.whole(items, &format!("{name}Item"), module, entity)),
                limits: limits.clone(),
                unique: *unique,
            },
            ShapeKind::OneOf { variants, discriminator } => ShapeKind::OneOf {
                variants: variants
                    .iter()
                    .enumerate()
                    .map(|(number, variant)| self.whole(variant, &format!("{name}Variant{}", number + 1), module, entity))
                    .collect(),
                discriminator: discriminator.clone(),
            },
            ShapeKind::Object(object) => {
                let mut object = object.clone();
                for property in &mut object.properties {
                    let inner = format!("{name}{}", property.ident.to_upper_camel_case());
                    property.shape = self.whole(&property.shape, &inner, module, entity);
                }
                if let Additional::Values(values) = &object.additional {
                    object.additional = Additional::Values(Box::new(self.whole(values, &format!("{name}Value"), module, entity)));
                }
                ShapeKind::Object(object)
            }
            other => other.clone(),
        };
        Shape { kind, ..shape.clone() }
    }

    fn fresh(&mut self, wanted: &str) -> String {
        let reserved = CLASSES_TAKEN.contains(&wanted) || python::builtin_class(wanted);
        let wanted = if reserved { format!("{wanted}Schema") } else { wanted.to_owned() };
        let mut name = wanted.clone();
        let mut number = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{wanted}{number}");
            number += 1;
        }
        name
    }
}
