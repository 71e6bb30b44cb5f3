//! How large an input may be, and how far the parsers may follow it. Every reader takes its bounds from here.

use serde_saphyr::{Budget, Options};

/// Most bytes of one specification; larger ones are refused before anything is parsed.
pub const INPUT_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Most bytes of one line of Markdown or prose. The longest line of a real document has a few thousand; JSON may be one line as a whole.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of any input. Real documents stay below 20.
pub const DEPTH_MAX: usize = 64;
/// Most YAML or JSON nodes. A published API of 900 operations has about 150,000.
pub const NODES_MAX: usize = 400_000;
/// Most uses of YAML anchors; real documents use a handful.
pub const ALIASES_MAX: usize = 256;
/// Most nodes that those uses may repeat in all, which is what an alias bomb multiplies.
pub const ALIAS_NODES_MAX: usize = 20_000;
/// Most characters of an entity's, field's or section's name.
pub const NAME_CHARS_MAX: usize = 100;
/// Most characters of a derived identifier; PostgreSQL cuts names at 63 bytes.
pub const IDENT_CHARS_MAX: usize = 60;
/// Most entities of one document.
pub const ENTITIES_MAX: usize = 500;
/// Most fields of one entity, nested ones included.
pub const FIELDS_MAX: usize = 500;
/// Most endpoints of one document.
pub const OPERATIONS_MAX: usize = 2_000;
/// Most rules, statements and stated tasks, each.
pub const STATEMENTS_MAX: usize = 10_000;
/// Most findings that are reported; a last one says how many more there were.
pub const FINDINGS_MAX: usize = 200;
/// Stack of the reading thread. Debug builds need about 8 KiB for each level of nesting.
pub(super) const STACK_BYTES: usize = 16 * 1024 * 1024;

/// The options that every YAML and JSON reader uses: bounded, `yes` and `no` are text, no excerpts in messages.
pub(super) fn yaml_options() -> Options {
    let mut budget = Budget::default();
    budget.max_depth = DEPTH_MAX;
    budget.flow_nesting_limit = DEPTH_MAX;
    budget.max_nodes = NODES_MAX;
    budget.max_events = NODES_MAX * 2;
    budget.max_aliases = ALIASES_MAX;
    budget.max_anchors = ALIASES_MAX;
    budget.max_documents = 1;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.alias_limits.max_total_replayed_events = ALIAS_NODES_MAX;
    options.strict_booleans = true;
    options.with_snippet = false;
    options
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn parse(text: &str) -> Result<serde_json::Value, serde_saphyr::Error> {
        serde_saphyr::from_str_with_options(text, yaml_options())
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let uses = vec![format!("*a{}", level - 1); 9].join(", ");
            writeln!(text, "a{level}: &a{level} [{uses}]").expect("writing to a string never fails");
        }
        assert!(parse(&text).is_err());
    }

    #[test]
    fn nesting_beyond_the_limit_is_refused() {
        assert!(parse(&format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000))).is_err());
        assert!(parse(&format!("{}1", "- ".repeat(10_000))).is_err());
        assert!(parse(&format!("{}1{}", "[".repeat(DEPTH_MAX - 1), "]".repeat(DEPTH_MAX - 1))).is_ok());
    }

    #[test]
    fn yes_stays_text() {
        assert_eq!(parse("a: yes").expect("parses"), serde_json::json!({"a": "yes"}));
    }
}
