//! Conditions of rules in three languages: SQL for CHECK constraints, Python on a row, SQLAlchemy for queries.
//!
//! An absent value makes a comparison unknown. A condition that must hold lets unknown pass, a condition that triggers
//! something does not: that is how a CHECK of `not when or then` behaves, and the Python does the same.

use serde_json::Value;

use super::project::{EntityNames, Project};
use super::{python, sql};
use crate::model::FieldType;
use crate::model::rule::{Comparison, Condition, Expression};

/// Renders the conditions of one entity's rules.
pub(super) struct Conditions<'p, 'a> {
    pub(super) project: &'p Project<'a>,
    pub(super) names: &'p EntityNames<'a>,
}

impl Conditions<'_, '_> {
    fn field_type(&self, field: &str) -> FieldType {
        let found = self.names.entity.field(field);
        found.map_or(FieldType::Json, |field| python::stored_type(self.project, &field.field_type).clone())
    }

    fn nullable(&self, field: &str) -> bool {
        self.names.entity.field(field).is_some_and(|field| !field.required)
    }

    fn scalar(&self, field: &str) -> bool {
        !matches!(self.field_type(field), FieldType::List(_) | FieldType::Object(_) | FieldType::Json)
    }

    // ------------------------------------------------------------------------------------------------ SQL

    /// The condition as portable SQL; none when it needs the clock or types that the databases hold differently.
    pub(super) fn sql(&self, condition: &Condition) -> Option<String> {
        match condition {
            Condition::Compare { left, comparison, right } => {
                let (left, right) = (self.sql_expression(left, right)?, self.sql_expression(right, left)?);
                Some(format!("{left} {} {right}", sql_operator(*comparison)))
            }
            Condition::OneOf { field, values } => {
                let field_type = self.field_type(field);
                let values: Option<Vec<String>> = values.iter().map(|value| sql::literal(value, &field_type)).collect();
                Some(format!("{} IN ({})", sql::quoted(self.names.attribute(field)), values?.join(", ")))
            }
            Condition::Present(field) => Some(format!("{} IS NOT NULL", sql::quoted(self.names.attribute(field)))),
            Condition::Absent(field) => Some(format!("{} IS NULL", sql::quoted(self.names.attribute(field)))),
            Condition::All(all) => self.sql_join(all, " AND "),
            Condition::Any(any) => self.sql_join(any, " OR "),
        }
    }

    fn sql_join(&self, conditions: &[Condition], operator: &str) -> Option<String> {
        let parts: Option<Vec<String>> = conditions.iter().map(|condition| self.sql(condition)).collect();
        Some(format!("({})", parts?.join(operator)))
    }

    fn sql_expression(&self, expression: &Expression, other: &Expression) -> Option<String> {
        match expression {
            Expression::Field(field) => self.scalar(field).then(|| sql::quoted(self.names.attribute(field))),
            Expression::Literal(value) => sql::literal(value, &self.type_of(other)),
            Expression::Today | Expression::Now => None,
            Expression::Arithmetic { left, operator, right } => {
                let numeric = |side: &Expression| {
                    matches!(self.type_of(side), FieldType::Integer | FieldType::BigInteger | FieldType::Float | FieldType::Decimal { .. })
                };
                if !numeric(left) || !numeric(right) {
                    return None;
                }
                Some(format!("({} {operator} {})", self.sql_expression(left, right)?, self.sql_expression(right, left)?))
            }
        }
    }

    /// The type of an expression, as far as it can be told.
    fn type_of(&self, expression: &Expression) -> FieldType {
        match expression {
            Expression::Field(field) => self.field_type(field),
            Expression::Literal(Value::Number(number)) => {
                if number.is_f64() {
                    FieldType::Float
                } else {
                    FieldType::Integer
                }
            }
            Expression::Literal(Value::Bool(_)) => FieldType::Boolean,
            Expression::Literal(_) => FieldType::Text,
            Expression::Today => FieldType::Date,
            Expression::Now => FieldType::DateTime,
            Expression::Arithmetic { left, right, operator } => {
                let (left, right) = (self.type_of(left), self.type_of(right));
                match (&left, &right) {
                    (FieldType::Date, FieldType::Date) | (FieldType::DateTime, FieldType::DateTime) if *operator == '-' => {
                        FieldType::Integer
                    }
                    (FieldType::Integer | FieldType::Float, FieldType::Decimal { .. } | FieldType::Float) => right,
                    _ => left,
                }
            }
        }
    }

    // ------------------------------------------------------------------------------------------------ Python

    /// Python that is true when the condition certainly holds for `row`.
    pub(super) fn fulfilled(&self, condition: &Condition, row: &str) -> String {
        match condition {
            Condition::Compare { left, comparison, right } => self.guarded(left, python_operator(*comparison), right, row),
            Condition::OneOf { field, values } => format!("{row}.{} in {}", self.names.attribute(field), self.tuple(field, values)),
            Condition::Present(field) => format!("{row}.{} is not None", self.names.attribute(field)),
            Condition::Absent(field) => format!("{row}.{} is None", self.names.attribute(field)),
            Condition::All(all) => join(all.iter().map(|condition| self.fulfilled(condition, row)), " and "),
            Condition::Any(any) => join(merged(any).iter().map(|condition| self.fulfilled(condition, row)), " or "),
        }
    }

    /// Python that is true when the condition certainly does not hold for `row`.
    pub(super) fn violated(&self, condition: &Condition, row: &str) -> String {
        match condition {
            Condition::Compare { left, comparison, right } => self.guarded(left, python_operator(opposite(*comparison)), right, row),
            Condition::OneOf { field, values } => {
                let attribute = format!("{row}.{}", self.names.attribute(field));
                let test = format!("{attribute} not in {}", self.tuple(field, values));
                if self.nullable(field) { format!("{attribute} is not None and {test}") } else { test }
            }
            Condition::Present(field) => format!("{row}.{} is None", self.names.attribute(field)),
            Condition::Absent(field) => format!("{row}.{} is not None", self.names.attribute(field)),
            Condition::All(all) => join(all.iter().map(|condition| self.violated(condition, row)), " or "),
            Condition::Any(any) => join(merged(any).iter().map(|condition| self.violated(condition, row)), " and "),
        }
    }

    fn tuple(&self, field: &str, values: &[Value]) -> String {
        let field_type = self.field_type(field);
        let items: Vec<String> = values.iter().map(|value| python::typed(value, &field_type)).collect();
        format!("{{{}}}", items.join(", "))
    }

    fn guarded(&self, left: &Expression, operator: &str, right: &Expression, row: &str) -> String {
        let mut parts: Vec<String> = Vec::new();
        for field in fields(left).into_iter().chain(fields(right)) {
            let guard = format!("{row}.{} is not None", self.names.attribute(field));
            if self.nullable(field)
                && !parts.contains(&guard)
                && !(operator == "==" && matches!(left, Expression::Field(_)) && matches!(right, Expression::Literal(_)))
            {
                parts.push(guard);
            }
        }
        parts.push(format!("{} {operator} {}", self.python(left, right, row), self.python(right, left, row)));
        parts.join(" and ")
    }

    fn python(&self, expression: &Expression, other: &Expression, row: &str) -> String {
        match expression {
            Expression::Field(field) => format!("{row}.{}", self.names.attribute(field)),
            Expression::Literal(value) => python::typed(value, &self.type_of(other)),
            Expression::Today => "utc_now().date()".to_owned(),
            Expression::Now => "utc_now()".to_owned(),
            Expression::Arithmetic { left, operator, right } => {
                let (left_type, right_type) = (self.type_of(left), self.type_of(right));
                let (left_text, right_text) = (self.python(left, right, row), self.python(right, left, row));
                match (&left_type, &right_type) {
                    (FieldType::Date, FieldType::Date) | (FieldType::DateTime, FieldType::DateTime) => {
                        format!("({left_text} - {right_text}).days")
                    }
                    (FieldType::Date | FieldType::DateTime, _) => {
                        let days = self.python(right, &Expression::Literal(Value::from(0)), row);
                        format!("({left_text} {operator} dt.timedelta(days={days}))")
                    }
                    (FieldType::Decimal { .. }, FieldType::Float) => format!("({left_text} {operator} Decimal(str({right_text})))"),
                    (FieldType::Float, FieldType::Decimal { .. }) => format!("(Decimal(str({left_text})) {operator} {right_text})"),
                    _ => format!("({left_text} {operator} {right_text})"),
                }
            }
        }
    }

    // ------------------------------------------------------------------------------------------------ SQLAlchemy

    /// The condition as a SQLAlchemy expression over the model's class.
    pub(super) fn query(&self, condition: &Condition) -> String {
        let class = &self.names.class;
        match condition {
            Condition::Compare { left, comparison, right } => {
                format!("{} {} {}", self.python(left, right, class), python_operator(*comparison), self.python(right, left, class))
            }
            Condition::OneOf { field, values } => format!("{class}.{}.in_({})", self.names.attribute(field), self.tuple(field, values)),
            Condition::Present(field) => format!("{class}.{}.is_not(None)", self.names.attribute(field)),
            Condition::Absent(field) => format!("{class}.{}.is_(None)", self.names.attribute(field)),
            Condition::All(all) => format!("and_({})", all.iter().map(|condition| self.query(condition)).collect::<Vec<_>>().join(", ")),
            Condition::Any(any) => format!("or_({})", any.iter().map(|condition| self.query(condition)).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// The fields of an expression, in order.
pub(super) fn fields(expression: &Expression) -> Vec<&str> {
    match expression {
        Expression::Field(field) => vec![field],
        Expression::Arithmetic { left, right, .. } => fields(left).into_iter().chain(fields(right)).collect(),
        _ => Vec::new(),
    }
}

/// The fields of a condition, in order, each once.
pub(super) fn fields_of(condition: &Condition) -> Vec<&str> {
    let mut found = match condition {
        Condition::Compare { left, right, .. } => fields(left).into_iter().chain(fields(right)).collect(),
        Condition::OneOf { field, .. } | Condition::Present(field) | Condition::Absent(field) => vec![field.as_str()],
        Condition::All(all) | Condition::Any(all) => all.iter().flat_map(fields_of).collect(),
    };
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|field| seen.insert(*field));
    found
}

/// Alternatives, with those that compare one field with several values merged into one.
fn merged(any: &[Condition]) -> Vec<Condition> {
    let mut found: Vec<Condition> = Vec::new();
    for condition in any {
        let (field, values) = match condition {
            Condition::Compare { left: Expression::Field(field), comparison: Comparison::Equal, right: Expression::Literal(value) } => {
                (field, std::slice::from_ref(value))
            }
            Condition::OneOf { field, values } => (field, values.as_slice()),
            other => {
                found.push(other.clone());
                continue;
            }
        };
        let same = found.iter_mut().find_map(|other| match other {
            Condition::OneOf { field: name, values } if name == field => Some(values),
            _ => None,
        });
        match same {
            Some(known) => known.extend(values.iter().cloned()),
            None => found.push(Condition::OneOf { field: field.clone(), values: values.to_vec() }),
        }
    }
    // A set of one value is an ordinary comparison.
    for condition in &mut found {
        if let Condition::OneOf { field, values } = condition
            && let [value] = values.as_slice()
        {
            let (left, right) = (Expression::Field(field.clone()), Expression::Literal(value.clone()));
            *condition = Condition::Compare { left, comparison: Comparison::Equal, right };
        }
    }
    found
}

fn join(parts: impl Iterator<Item = String>, operator: &str) -> String {
    let parts: Vec<String> = parts.collect();
    let mixed = |part: &String| if operator == " and " { part.contains(" or ") } else { part.contains(" and ") };
    let alone = parts.len() == 1;
    parts.iter().map(|part| if !alone && mixed(part) { format!("({part})") } else { part.clone() }).collect::<Vec<_>>().join(operator)
}

fn opposite(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
    }
}

fn python_operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

fn sql_operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        other => python_operator(other),
    }
}
