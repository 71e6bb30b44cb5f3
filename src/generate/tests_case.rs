//! One operation as its tests see it: how to call it, what to send, which row to prepare.

use serde_json::{Value, json};

use super::context_factories::{demanded, overrides, sample};
use super::context_schema::{request_envelope, response_envelope, row_class, success_number, success_shape};
use super::context_service::row_behaviour;
use super::context_tests::error_status;
use super::project::{EntityNames, Project};
use super::python;
use super::samples::{self, Sample};
use super::solver::{Goal, Row, Solver};
use super::test_values;
use crate::model::RuleKind;
use crate::model::entity::{Field, FieldType};
use crate::model::operation::{Behaviour, Binding, Location, Method, Operation, Status};
use crate::model::shape::{ObjectShape, ShapeKind};

/// One derivable operation.
pub(super) struct Case<'p, 'a> {
    pub(super) project: &'p Project<'a>,
    pub(super) operation: &'p Operation,
    pub(super) names: &'p EntityNames<'a>,
    pub(super) path: &'p [Binding],
}

impl<'p, 'a> Case<'p, 'a> {
    pub(super) fn of(project: &'p Project<'a>, operation: &'p Operation) -> Option<Self> {
        let names = project.entity(operation.behaviour.entity()?)?;
        let path: &[Binding] = match &operation.behaviour {
            Behaviour::List(list) => &list.path,
            _ => row_behaviour(operation).map_or(&[], |row| &row.path),
        };
        Some(Self { project, operation, names, path })
    }

    pub(super) fn status(&self, wanted: u16) -> u16 {
        error_status(self.project, self.operation, wanted)
    }

    /// The status when all goes well.
    pub(super) fn good(&self) -> u16 {
        match success_number(self.operation).map(|number| self.operation.responses[number].status) {
            Some(Status::Code(code)) => code,
            _ => 200,
        }
    }

    /// A factory call that makes a row with these values.
    pub(super) fn make(&self, row: &Row, extra: &[String]) -> String {
        let solver = Solver { project: self.project, names: self.names };
        let mut arguments = vec!["session".to_owned()];
        arguments.extend(extra.iter().cloned());
        arguments.extend(solver.keywords(&overrides(self.project, self.names, row)));
        format!("factories.make_{}({})", self.names.module, arguments.join(", "))
    }

    /// Values of a row that the operation may change or delete.
    pub(super) fn ready(&self) -> Row {
        let deletes = matches!(self.operation.behaviour, Behaviour::Delete(_));
        let solver = Solver { project: self.project, names: self.names };
        let conditions = self.project.rules_of(&self.names.entity.name).filter_map(|rule| match &rule.kind {
            RuleKind::DeleteOnlyWhen(condition) if deletes => Some(condition),
            RuleKind::ChangeOnlyWhen(condition) if !deletes => Some(condition),
            _ => None,
        });
        conditions.last().and_then(|condition| solver.solve(Goal::Fulfils(condition), &Row::new())).unwrap_or_default()
    }

    /// Lines that make the parents in the path, and the arguments that put a row below them.
    pub(super) fn parents(&self) -> (Vec<String>, Vec<String>) {
        let (mut lines, mut given) = (Vec::new(), Vec::new());
        for binding in self.path {
            let Some(field) = self.names.entity.field(&binding.field) else {
                continue;
            };
            let column = self.names.attribute(&field.name);
            if let FieldType::Reference { entity, .. } = &field.field_type
                && let Some(parent) = self.project.entity(entity)
            {
                lines.push(format!("{column} = factories.make_{}(session).{}", parent.module, parent.key()));
                given.push(format!("{column}={column}"));
            } else if let Some(value) = sample(self.project, self.names, field) {
                lines.push(format!("{column} = {}", value.stored(self.project, &field.field_type, "factories.number()")));
                given.push(format!("{column}={column}"));
            }
        }
        (lines, given)
    }

    /// The URL with the path's values taken from a row, or from variables named like its columns.
    pub(super) fn url(&self, row: Option<&str>) -> String {
        self.url_with(row, None)
    }

    /// The URL whose last path value is this expression.
    pub(super) fn url_with(&self, row: Option<&str>, last: Option<&str>) -> String {
        let mut path = self.operation.path.replace('"', "");
        let count = self.path.len();
        for (number, binding) in self.path.iter().enumerate() {
            let column = self.names.attribute(&binding.field);
            let own = row.map_or_else(|| column.to_owned(), |row| format!("{row}.{column}"));
            let value = if number + 1 == count { last.map_or(own, str::to_owned) } else { own };
            let value = literal(&value).map_or_else(|| format!("\u{1}{value}\u{2}"), str::to_owned);
            path = path.replace(&format!("{{{}}}", binding.parameter), &value);
        }
        for parameter in self.operation.parameters.iter().filter(|parameter| parameter.location == Location::Path) {
            let value = test_values::valid(&self.project.classes, &parameter.shape)
                .map_or_else(|| "x".to_owned(), |value| value.as_str().map_or(value.to_string(), str::to_owned));
            path = path.replace(&format!("{{{}}}", parameter.name), &value);
        }
        let formatted = path.contains('\u{1}');
        let text = format!("\"{}\"", path.replace('\u{1}', "{").replace('\u{2}', "}"));
        if formatted { format!("f{text}") } else { text }
    }

    /// A call of the operation; `extra` are further arguments (`json=…`).
    pub(super) fn call(&self, url: &str, extra: &[String]) -> String {
        let (method, mut arguments) = method_call(self.operation.method, url, extra);
        arguments.extend(extra.iter().cloned());
        for (location, name) in [(Location::Query, "params"), (Location::Header, "headers"), (Location::Cookie, "cookies")] {
            if extra.iter().any(|text| text.starts_with(&format!("{name}="))) {
                continue;
            }
            let needed = self.operation.parameters.iter().filter(|parameter| parameter.location == location && parameter.required);
            let pairs: Vec<String> = needed
                .filter_map(|parameter| {
                    let value = test_values::valid(&self.project.classes, &parameter.shape)?;
                    let value = value.as_str().map_or(value.to_string(), str::to_owned);
                    Some(format!("{}: {}", python::text(&parameter.name), python::text(&value)))
                })
                .collect();
            if !pairs.is_empty() {
                arguments.push(format!("{name}={{{}}}", pairs.join(", ")));
            }
        }
        format!("{method}({})", arguments.join(", "))
    }

    /// A value of the last path parameter that no row has; none when one cannot be told.
    pub(super) fn missing(&self) -> Option<String> {
        let field = self.names.entity.field(&self.path.last()?.field)?;
        match python::stored_type(self.project, &field.field_type) {
            FieldType::Uuid => Some("uuid4()".to_owned()),
            FieldType::Integer | FieldType::BigInteger => Some("987654321".to_owned()),
            FieldType::Text | FieldType::Email | FieldType::Url if matches!(field.field_type, FieldType::Reference { .. }) => {
                Some("\"missing\"".to_owned())
            }
            FieldType::Text | FieldType::Email | FieldType::Url => {
                let value = samples::of_field(field, true)?;
                Some(value.stored(self.project, &field.field_type, "factories.number()"))
            }
            _ => None,
        }
    }

    /// A test text for a path value that is malformed, and the status that answers it.
    pub(super) fn malformed(&self) -> Option<u16> {
        let parameter = self
            .operation
            .parameters
            .iter()
            .find(|parameter| Some(&parameter.name) == self.path.last().map(|binding| &binding.parameter))?;
        let field = self.names.entity.field(&self.path.last()?.field)?;
        let stored = python::stored_type(self.project, &field.field_type);
        match (&parameter.shape.kind, stored) {
            (ShapeKind::Integer { .. }, _) => Some(self.status(422)),
            (ShapeKind::Text { format, .. }, _) if format.as_deref() == Some("uuid") => Some(self.status(422)),
            (ShapeKind::Text { values, .. }, FieldType::Integer | FieldType::BigInteger | FieldType::Uuid) if values.is_empty() => {
                Some(self.status(404))
            }
            _ => None,
        }
    }

    // ------------------------------------------------------------------------------------------------ bodies

    /// The object that a request describes a row with.
    pub(super) fn input(&self) -> Option<&'p ObjectShape> {
        let shape = self.project.classes.body(&self.operation.key)?;
        row_class(&self.project.classes, shape, request_envelope(self.operation))?.object()
    }

    /// The object that an answer shows a row as.
    pub(super) fn shown(&self) -> Option<&'p ObjectShape> {
        row_class(&self.project.classes, success_shape(self.project, self.operation)?, response_envelope(self.operation))?.object()
    }

    /// True when a valid request can be made.
    pub(super) fn sendable(&self) -> bool {
        self.input().is_some_and(|object| {
            object.properties.iter().filter(|property| property.required).all(|property| self.property(property).is_some())
        })
    }

    pub(super) fn body_name(&self) -> String {
        format!("{}_body", self.operation.ident)
    }

    /// The function that makes a valid request body.
    pub(super) fn body_function(&self) -> Option<Value> {
        if !self.sendable() || !super::context_factories::makeable(self.project, self.names) {
            return None;
        }
        let demanded = demanded(self.project, self.names);
        let mut lines = Vec::new();
        let (mut counts, mut parents) = (false, false);
        for property in &self.input()?.properties {
            if demanded.get(&property.name).is_some_and(Value::is_null) && !property.required {
                continue;
            }
            let Some((text, value)) = self.property(property) else {
                continue;
            };
            counts |= value.as_ref().is_some_and(Sample::counts);
            parents |= matches!(value, Some(Sample::KeyOf(_)));
            lines.push(format!("{}: {text}", python::text(&property.name)));
        }
        Some(json!({ "name": self.body_name(), "lines": lines, "counts": counts, "parents": parents, "doc": self.operation.key }))
    }

    fn property(&self, property: &crate::model::shape::Property) -> Option<(String, Option<Sample>)> {
        let Some(field) = self.names.entity.field(&property.name) else {
            return Some((python::value(&test_values::valid(&self.project.classes, &property.shape)?), None));
        };
        let demanded = demanded(self.project, self.names);
        let unique = samples::unique(self.project, &self.names.entity.name, field);
        let sample = match demanded.get(&field.name).filter(|value| !unique && !value.is_null()) {
            Some(value) => Sample::Fixed(value.clone()),
            None => sample(self.project, self.names, field)?,
        };
        if let (Sample::Fixed(_), ShapeKind::Reference(_) | ShapeKind::Array { .. } | ShapeKind::Object(_)) =
            (&sample, &property.shape.kind)
            && !matches!(field.field_type, FieldType::List(_))
        {
            return Some((python::value(&test_values::valid(&self.project.classes, &property.shape)?), None));
        }
        Some((sample.wire(self.project, &field.field_type, "number"), Some(sample)))
    }

    /// The JSON argument for a body expression.
    pub(super) fn json(&self, body: &str) -> String {
        match request_envelope(self.operation) {
            Some(envelope) => format!("json={{{}: {body}}}", python::text(envelope)),
            None => format!("json={body}"),
        }
    }

    /// The row in the answer `response`.
    pub(super) fn answer(&self) -> String {
        match response_envelope(self.operation) {
            Some(envelope) => format!("response.json()[{}]", python::text(envelope)),
            None => "response.json()".to_owned(),
        }
    }

    /// Names of properties that are sent and shown alike.
    pub(super) fn echoed(&self) -> Vec<String> {
        let (Some(input), Some(shown)) = (self.input(), self.shown()) else {
            return Vec::new();
        };
        let both = input.properties.iter().filter(|property| shown.properties.iter().any(|other| other.name == property.name));
        let stored = both.filter(|property| {
            self.names.entity.field(&property.name).is_some_and(|field| !matches!(field.field_type, FieldType::Object(_)))
        });
        stored.map(|property| property.name.clone()).collect()
    }

    /// A stored value as JSON shows it.
    pub(super) fn wire_of(&self, field: &Field, row: &str) -> String {
        let value = format!("{row}.{}", self.names.attribute(&field.name));
        match python::stored_type(self.project, &field.field_type) {
            FieldType::Uuid => format!("str({value})"),
            FieldType::Decimal { .. } => format!("float({value})"),
            FieldType::Date | FieldType::Time | FieldType::DateTime => format!("{value}.isoformat()"),
            _ => value,
        }
    }

    /// Overrides that keep what may not change: `{"isbn": row.isbn}`.
    pub(super) fn kept(&self) -> Vec<String> {
        let fixed = |field: &&Field| {
            let by_rule = self
                .project
                .rules_of(&self.names.entity.name)
                .any(|rule| matches!(&rule.kind, RuleKind::Immutable { field: name } if *name == field.name));
            field.immutable || field.primary_key || by_rule
        };
        let input = self.input();
        let sent = |field: &&Field| input.is_some_and(|object| object.properties.iter().any(|property| property.name == field.name));
        let fields = self.names.entity.fields.iter().filter(fixed).filter(sent);
        fields.map(|field| format!("{}: {}", python::text(&field.name), self.wire_of(field, "row"))).collect()
    }
}

/// The client's method for a call, and its first arguments.
pub(super) fn method_call(method: Method, url: &str, extra: &[String]) -> (String, Vec<String>) {
    let name = method.to_string();
    let carries = extra.iter().any(|text| text.starts_with("json=") || text.starts_with("content="));
    let own = matches!(method, Method::Post | Method::Put | Method::Patch)
        || (matches!(method, Method::Get | Method::Delete | Method::Head | Method::Options) && !carries);
    if own {
        (format!("client.{}", name.to_lowercase()), vec![url.to_owned()])
    } else {
        ("client.request".to_owned(), vec![python::text(&name), url.to_owned()])
    }
}

/// What a literal number or plain text stands for in a URL; none of any other expression.
fn literal(expression: &str) -> Option<&str> {
    let inner = expression.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(expression);
    let plain = !inner.is_empty() && inner.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    let number = expression.chars().all(|letter| letter.is_ascii_digit());
    (plain && (number || inner.len() < expression.len())).then_some(inner)
}
