//! Tables as code describes them: keys, what may be absent, what happens to what refers.

use super::{Check, Code, callee, keyword};
use crate::skills::Language;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[
    Check::tree("model-primary-key", &[Language::Python], model_primary_key),
    Check::tree("column-nullability", &[Language::Python], column_nullability),
    Check::tree("foreign-key-delete-rule", &[Language::Python], foreign_key_delete_rule),
];

/// A mapped class names its table; one with several bases may have its key from another.
fn model_primary_key(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let keyless = code.of_kinds(&["class_definition"]).filter(|class| {
        let body = class.field_text("body");
        let one_base =
            class.field("superclasses").is_some_and(|bases| bases.parts().filter(|base| base.kind() != "keyword_argument").count() == 1);
        let mapped = body.contains("__tablename__") || class.field_text("superclasses").contains("table=True");
        mapped && one_base && !body.contains("primary_key=True") && !body.contains("PrimaryKeyConstraint")
    });
    let told = |class: Node<'_>| {
        Problem::at(class, format!("table {} has no primary key", class.field_text("name")), "give it a key of one column or of several")
    };
    keyless.map(told).collect()
}

/// `mapped_column` behind `Mapped[…]` states it by the type.
fn column_nullability(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let silent = code.of_kinds(&["call"]).filter(|call| {
        let column = match callee(*call).0 {
            "Column" => call.field("arguments").is_some_and(|arguments| arguments.parts().next().is_some()),
            "mapped_column" => call.parent().is_some_and(|parent| parent.kind() == "assignment" && parent.field("type").is_none()),
            _ => false,
        };
        let key = keyword(*call, "primary_key").is_some_and(|value| value.text() == "True");
        column && !key && keyword(*call, "nullable").is_none() && !spread(*call)
    });
    let hint = "state nullable=True or nullable=False";
    silent.map(|call| Problem::at(call, "whether the column may be absent is not stated", hint)).collect()
}

fn foreign_key_delete_rule(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let silent = code.of_kinds(&["call"]).filter(|call| {
        let key = matches!(callee(*call).0, "ForeignKey" | "ForeignKeyConstraint" | "create_foreign_key");
        let django = keyword(*call, "on_delete").is_some() || callee(*call).1.ends_with("models");
        key && !django && keyword(*call, "ondelete").is_none() && !spread(*call)
    });
    let hint = "state ondelete: RESTRICT, CASCADE or SET NULL";
    silent.map(|call| Problem::at(call, "what happens when the referred row goes is not stated", hint)).collect()
}

/// True when arguments come from elsewhere.
fn spread(call: Node<'_>) -> bool {
    call.field("arguments").is_some_and(|arguments| arguments.parts().any(|argument| argument.kind() == "dictionary_splat"))
}
