//! What the template of rule tests is given: for each rule, rows that break it and what must refuse them.

use serde_json::{Value, json};

use super::conditions::Conditions;
use super::context_factories::{makeable, overrides, sample};
use super::project::{EntityNames, Project};
use super::python;
use super::samples::{self, Sample};
use super::solver::{Goal, Row, Solver};
use crate::model::operation::Behaviour;
use crate::model::{Field, FieldType, Rule, RuleKind};

/// How many rows a test of `at most` makes at most.
const ROWS_MAX: u64 = 50;

/// The context of the rule tests of one entity.
pub(super) fn context(project: &Project<'_>, names: &EntityNames<'_>) -> Value {
    let tests: Vec<Value> = tests(project, names).into_iter().map(|(_, test)| test).collect();
    let states = if makeable(project, names) { Case::of(project, names).states() } else { Vec::new() };
    json!({ "class": names.class, "module": names.module, "table": names.entity.table, "states": states, "tests": tests })
}

/// Tests by the key of the rule that they prove.
pub(super) fn tests(project: &Project<'_>, names: &EntityNames<'_>) -> Vec<(String, Value)> {
    if !makeable(project, names) {
        return Vec::new();
    }
    let case = Case::of(project, names);
    let mut found = Vec::new();
    for rule in project.enforced_rules(&names.entity.name) {
        for mut test in case.rule(rule) {
            let suffix = test["suffix"].as_str().map_or(String::new(), |suffix| format!("_{suffix}"));
            test["name"] = json!(format!("test_{}{suffix}", rule.ident));
            test["doc"] = json!(rule.text.trim());
            found.push((rule.key.clone(), test));
        }
    }
    found
}

/// What the service of an entity can do.
struct Case<'p, 'a> {
    project: &'p Project<'a>,
    names: &'p EntityNames<'a>,
    solver: Solver<'p, 'a>,
    create: bool,
    /// The method that gives columns new values.
    change: Option<&'static str>,
    delete: bool,
}

impl<'p, 'a> Case<'p, 'a> {
    fn of(project: &'p Project<'a>, names: &'p EntityNames<'a>) -> Self {
        let has = |verb: &str| project.operations_on(&names.entity.name).any(|operation| operation.behaviour.verb() == verb);
        let change = if has("patch") {
            Some("change")
        } else if has("replace") {
            Some("replace")
        } else {
            None
        };
        Self { project, names, solver: Solver { project, names }, create: has("create"), change, delete: has("delete") }
    }

    fn rule(&self, rule: &Rule) -> Vec<Value> {
        match &rule.kind {
            RuleKind::Check(_) | RuleKind::RequiredWhen { .. } | RuleKind::Implies { .. } => self.checked(rule).into_iter().collect(),
            RuleKind::Unique(fields) => self.unique(fields).into_iter().collect(),
            RuleKind::Transitions { field, edges } => self.transitions(field, edges),
            RuleKind::Immutable { field } => self.immutable(field).into_iter().collect(),
            RuleKind::ChangeOnlyWhen(condition) => {
                let Some(change) = self.change else {
                    return self.acts(condition).into_iter().collect();
                };
                let row = self.solver.solve(Goal::Violates(condition), &Row::new());
                let made = row.map(|row| self.make(&row));
                made.map(|made| self.test(&[format!("row = {made}")], "ConflictError", &format!("service.{change}(row, {{}})")))
                    .into_iter()
                    .collect()
            }
            RuleKind::DeleteOnlyWhen(condition) => {
                let row = if self.delete { self.solver.solve(Goal::Violates(condition), &Row::new()) } else { None };
                let made = row.map(|row| self.make(&row));
                made.map(|made| self.test(&[format!("row = {made}")], "ConflictError", "service.delete(row)")).into_iter().collect()
            }
            RuleKind::AtMost { limit, per, when } => self.at_most(*limit, per, when.as_ref()).into_iter().collect(),
        }
    }

    #[expect(clippy::unused_self, reason = "called like its siblings")]
    fn test(&self, given: &[String], refusal: &str, call: &str) -> Value {
        json!({ "given": given, "refusal": refusal, "call": call, "service": call.contains("service.") })
    }

    fn make(&self, row: &Row) -> String {
        let arguments: Vec<String> =
            std::iter::once("session".to_owned()).chain(self.solver.keywords(&overrides(self.project, self.names, row))).collect();
        format!("factories.make_{}({})", self.names.module, arguments.join(", "))
    }

    fn values(&self, row: &Row) -> String {
        let row = overrides(self.project, self.names, row);
        let values = format!("factories.{}_values(session)", self.names.module);
        if row.is_empty() { values } else { format!("{values} | {}", self.solver.literal(&row)) }
    }

    /// A rule about one row: a row that breaks it is refused.
    fn checked(&self, rule: &Rule) -> Option<Value> {
        let mut fixed = Row::new();
        if self.create {
            for other in self.project.rules_of(&self.names.entity.name) {
                if let RuleKind::Transitions { field, edges } = &other.kind
                    && let Some((first, _)) = edges.first()
                {
                    fixed.insert(field.clone(), json!(first));
                }
            }
        }
        let broken = self.solver.solve(Goal::Breaks(rule), &fixed).or_else(|| self.solver.solve(Goal::Breaks(rule), &Row::new()))?;
        if self.create {
            return Some(self.test(&[format!("values = {}", self.values(&broken))], "InvalidError", "service.create(values)"));
        }
        if let Some(change) = self.change {
            let given = [format!("row = factories.make_{}(session)", self.names.module)];
            return Some(self.test(&given, "InvalidError", &format!("service.{change}(row, {})", self.solver.literal(&broken))));
        }
        let conditions = Conditions { project: self.project, names: self.names };
        let stored = match &rule.kind {
            RuleKind::Check(condition) => conditions.sql(condition).is_some(),
            RuleKind::RequiredWhen { when, .. } => conditions.sql(when).is_some(),
            RuleKind::Implies { when, then } => conditions.sql(when).is_some() && conditions.sql(then).is_some(),
            _ => false,
        };
        stored.then(|| self.test(&[], "IntegrityError", &self.make(&broken)))
    }

    fn unique(&self, fields: &[String]) -> Option<Value> {
        let columns: Vec<&str> = fields.iter().map(|field| self.names.attribute(field)).collect();
        let absent: Vec<&Field> = fields
            .iter()
            .filter_map(|name| self.names.entity.field(name))
            .filter(|field| !field.required && field.default.is_none())
            .collect();
        let mut extra = Vec::new();
        for field in absent {
            let value = sample(self.project, self.names, field)?;
            let text = value.stored(self.project, &field.field_type, "factories.number()");
            extra.push(format!("{}={text}", self.names.attribute(&field.name)));
        }
        let module = &self.names.module;
        let made = if extra.is_empty() {
            format!("factories.make_{module}(session)")
        } else {
            format!("factories.make_{module}(session, {})", extra.join(", "))
        };
        let same: Vec<String> = columns.iter().map(|column| format!("{}: first.{column}", python::text(column))).collect();
        let same = format!("{{{}}}", same.join(", "));
        let first = format!("first = {made}");
        if self.create {
            let given = [first, format!("values = factories.{module}_values(session) | {same}")];
            return Some(self.test(&given, "ConflictError", "service.create(values)"));
        }
        if let Some(change) = self.change {
            let given = [first, format!("second = factories.make_{module}(session)")];
            Some(self.test(&given, "ConflictError", &format!("service.{change}(second, {same})")))
        } else {
            let same: Vec<String> = columns.iter().map(|column| format!("{column}=first.{column}")).collect();
            Some(self.test(&[first], "IntegrityError", &format!("factories.make_{module}(session, {})", same.join(", "))))
        }
    }

    /// A valid row in each state that can be reached.
    fn rows_by_state(&self, field: &str, states: &[String]) -> Vec<(String, Row)> {
        let row_in = |state: &String| {
            let fixed = Row::from([(field.to_owned(), json!(state))]);
            let mut row = self.solver.solve(Goal::Valid, &fixed)?;
            row.entry(field.to_owned()).or_insert_with(|| json!(state));
            Some((state.clone(), row))
        };
        states.iter().filter_map(row_in).collect()
    }

    /// The constants that hold a row in each state, for fields that changes move along edges.
    fn states(&self) -> Vec<Value> {
        let rules = self.project.enforced_rules(&self.names.entity.name);
        let fields = rules.into_iter().filter_map(|rule| match &rule.kind {
            RuleKind::Transitions { field, .. } if self.change.is_some() => Some(field),
            _ => None,
        });
        let constant = |field: &String| {
            let Some(FieldType::Enum(states)) = self.names.entity.field(field).map(|field| &field.field_type) else {
                return None;
            };
            let rows = self.rows_by_state(field, states);
            let values: Vec<String> =
                rows.iter().map(|(state, row)| format!("{}: {}", python::text(state), self.solver.literal(row))).collect();
            Some(json!({ "constant": states_constant(self.names.attribute(field)), "values": values }))
        };
        fields.filter_map(constant).collect()
    }

    fn transitions(&self, field: &str, edges: &[(String, String)]) -> Vec<Value> {
        let Some(FieldType::Enum(states)) = self.names.entity.field(field).map(|field| &field.field_type) else {
            return Vec::new();
        };
        let column = self.names.attribute(field);
        let rows = self.rows_by_state(field, states);
        let pairs = |allowed: bool| -> Vec<String> {
            let mut found = Vec::new();
            for (before, _) in &rows {
                for (after, _) in rows.iter().filter(|(after, _)| after != before) {
                    if edges.iter().any(|(from, to)| from == before && to == after) == allowed {
                        found.push(format!("({}, {})", python::text(before), python::text(after)));
                    }
                }
            }
            found
        };
        let mut tests = Vec::new();
        if let Some(change) = self.change {
            let module = &self.names.module;
            let constant = states_constant(column);
            let given = vec![format!("row = factories.make_{module}(session, **{constant}[before])")];
            let call = format!("service.{change}(row, {constant}[after])");
            let mut refused = self.test(&given, "ConflictError", &call);
            refused["pairs"] = json!(pairs(false));
            refused["suffix"] = json!("refuses");
            let mut allowed = refused.clone();
            allowed["pairs"] = json!(pairs(true));
            allowed["suffix"] = json!("allows");
            allowed["refusal"] = Value::Null;
            allowed["call"] = json!(format!("row = {call}"));
            allowed["then"] = json!([format!("assert row.{column} == after")]);
            tests.extend([refused, allowed].into_iter().filter(|test| test["pairs"] != json!([])));
        } else {
            tests.extend(self.act_transitions(field, edges, &rows));
        }
        let first = edges.first().map(|(first, _)| first.as_str());
        if let Some((_, row)) = rows.iter().find(|(state, _)| Some(state.as_str()) != first).filter(|_| self.create) {
            let mut initial = self.test(&[format!("values = {}", self.values(row))], "ConflictError", "service.create(values)");
            initial["suffix"] = json!("starts");
            tests.push(initial);
        }
        tests
    }

    /// Transitions of an entity that only actions change.
    fn act_transitions(&self, field: &str, edges: &[(String, String)], rows: &[(String, Row)]) -> Option<Value> {
        self.project.operations_on(&self.names.entity.name).find_map(|operation| {
            let Behaviour::Act { set, .. } = &operation.behaviour else {
                return None;
            };
            let (_, target) = set.iter().find(|(name, _)| name == field)?;
            let target = target.as_str()?;
            let (_, row) =
                rows.iter().find(|(state, _)| state != target && !edges.iter().any(|(from, to)| from == state && to == target))?;
            let mut test = self.test(&[format!("row = {}", self.make(row))], "ConflictError", &format!("service.{}(row)", operation.ident));
            test["suffix"] = json!("refuses");
            Some(test)
        })
    }

    /// A row in a state that forbids changes refuses an action.
    fn acts(&self, condition: &crate::model::rule::Condition) -> Option<Value> {
        let act = self.project.operations_on(&self.names.entity.name).find(|operation| operation.behaviour.verb() == "act")?;
        let row = self.solver.solve(Goal::Violates(condition), &Row::new())?;
        Some(self.test(&[format!("row = {}", self.make(&row))], "ConflictError", &format!("service.{}(row)", act.ident)))
    }

    fn immutable(&self, field: &str) -> Option<Value> {
        let change = self.change?;
        let found = self.names.entity.field(field)?;
        let column = self.names.attribute(field);
        let other = other_value(self.project, self.names, found)?;
        let given = [format!("row = factories.make_{}(session)", self.names.module)];
        Some(self.test(&given, "ConflictError", &format!("service.{change}(row, {{{}: {other}}})", python::text(column))))
    }

    fn at_most(&self, limit: u64, per: &str, when: Option<&crate::model::rule::Condition>) -> Option<Value> {
        if limit > ROWS_MAX || !self.create {
            return None;
        }
        let row = match when {
            Some(condition) => self.solver.solve(Goal::Fulfils(condition), &Row::new())?,
            None => Row::new(),
        };
        let column = self.names.attribute(per);
        let found = self.names.entity.field(per)?;
        let shared = samples::of_field(found, false)?.stored(self.project, &found.field_type, "factories.number()");
        // Rows that share a value must still differ where they have to.
        let mut row = overrides(self.project, self.names, &row);
        row.retain(|name, _| {
            self.names.entity.field(name).is_some_and(|field| !samples::unique(self.project, &self.names.entity.name, field))
        });
        let values = self.solver.literal(&row);
        let values = values.trim_start_matches('{').trim_end_matches('}');
        let separator = if values.is_empty() { "" } else { ", " };
        let module = &self.names.module;
        let given = [
            format!("shared: dict[str, Any] = {{{values}{separator}{}: {shared}}}", python::text(column)),
            format!("for _ in range({limit}):"),
            format!("    factories.make_{module}(session, **shared)"),
            format!("values = factories.{module}_values(session) | shared"),
        ];
        Some(self.test(&given, "ConflictError", "service.create(values)"))
    }
}

fn states_constant(column: &str) -> String {
    format!("{}_STATES", column.to_uppercase().trim_end_matches('_'))
}

/// A valid value that differs from the factory's.
pub(super) fn other_value(project: &Project<'_>, names: &EntityNames<'_>, field: &Field) -> Option<String> {
    let stored = python::stored_type(project, &field.field_type);
    let fixed = match sample(project, names, field)? {
        Sample::Fixed(value) => value,
        other => return Some(other.stored(project, &field.field_type, "factories.number()")),
    };
    let other = match &field.field_type {
        FieldType::Enum(values) => values.iter().map(|value| json!(value)).find(|value| *value != fixed)?,
        FieldType::Boolean => json!(fixed != json!(true)),
        FieldType::Date => json!("2020-03-01"),
        FieldType::DateTime => json!("2020-03-01T12:30:00Z"),
        FieldType::Time => json!("18:00:00"),
        FieldType::Integer | FieldType::BigInteger | FieldType::Float | FieldType::Decimal { .. } => {
            let value = fixed.as_f64()?;
            let (least, most) = (
                field.limits.min.as_ref().and_then(serde_json::Number::as_f64),
                field.limits.max.as_ref().and_then(serde_json::Number::as_f64),
            );
            let step = field.limits.multiple_of.as_ref().and_then(serde_json::Number::as_f64).filter(|step| *step >= 1.0).unwrap_or(1.0);
            let next = [value + step, value - step]
                .into_iter()
                .find(|next| least.is_none_or(|least| *next >= least) && most.is_none_or(|most| *next <= most))?;
            if next.fract() == 0.0 { serde_json::from_str(&format!("{next:.0}")).ok()? } else { json!(next) }
        }
        FieldType::Text | FieldType::Email | FieldType::Url => {
            let numbered = samples::of_field(field, true)?;
            return Some(numbered.stored(project, &field.field_type, "factories.number()")).filter(|_| numbered.counts());
        }
        FieldType::List(_) => json!([]),
        _ => return None,
    };
    (other != fixed).then(|| python::typed(&other, stored))
}
