//! Style sheets: what cannot be overridden, and what does not fit other screens.

use std::sync::LazyLock;

use regex::Regex;

use super::{Check, Code};
use crate::skills::Language;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

const CSS: &[Language] = &[Language::Css];

pub(super) const CHECKS: &[Check] = &[
    Check::tree("important", CSS, important),
    Check::tree("id-selector", CSS, id_selector),
    Check::tree("pixel-font-size", CSS, pixel_font_size),
    Check::tree("fixed-width", CSS, fixed_width).with(&[("pixels_max", 480)]),
    Check::tree("media-query", CSS, media_query).with(&[("rules_min", 20)]),
];

static PIXELS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(\d+)(?:\.\d+)?px\b").expect("the pattern is a constant that the tests of the checks compile"));

fn important(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    // Who asks for less motion means it, whatever a rule says.
    let meant = |node: &Node<'_>| {
        node.ancestors().any(|above| above.kind() == "media_statement" && above.text().contains("prefers-reduced-motion"))
    };
    let found = code.of_kinds(&["important"]).filter(|node| !meant(node));
    found.map(|node| Problem::at(node, "nothing can override this", "make the selector fit instead, or use a layer")).collect()
}

fn id_selector(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let found = code.of_kinds(&["id_selector"]);
    found.map(|node| Problem::at(node, format!("{} styles one element alone", node.text()), "select by class")).collect()
}

/// The name of a declaration in lower case, and the text of its value.
fn declaration(node: Node<'_>) -> Option<(String, &str)> {
    let (name, value) = node.text().split_once(':')?;
    Some((name.trim().to_ascii_lowercase(), value))
}

fn pixels(value: &str) -> impl Iterator<Item = usize> {
    PIXELS.captures_iter(value).filter_map(|found| found[1].parse().ok())
}

fn pixel_font_size(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let fixed = code.of_kinds(&["declaration"]).filter(|node| {
        let sized = declaration(*node).filter(|(name, _)| name == "font-size" || name == "font");
        sized.is_some_and(|(_, value)| pixels(value.split('/').next().unwrap_or(value)).any(|size| size > 0))
    });
    let hint = "give it in rem, so that it follows what the reader has set";
    fixed.map(|node| Problem::at(node, "the text does not grow with the reader's settings", hint)).collect()
}

fn fixed_width(code: &Code<'_>, parameters: &Parameters) -> Vec<Problem> {
    let most = parameters.get("pixels_max");
    let wide = code.of_kinds(&["declaration"]).filter(|node| {
        let stated = declaration(*node).filter(|(name, _)| name == "width" || name == "min-width");
        let guarded = node.ancestors().any(|above| above.kind() == "media_statement");
        stated.is_some_and(|(_, value)| !value.contains('(') && pixels(value).any(|width| width > most)) && !guarded
    });
    let hint = "take max-width, a share of what is around it, or a media query";
    wide.map(|node| Problem::at(node, format!("wider than {most} px on every screen"), hint)).collect()
}

/// A sheet that lays out much and looks at no screen.
fn media_query(code: &Code<'_>, parameters: &Parameters) -> Vec<Problem> {
    let rules = code.of_kinds(&["rule_set"]).count();
    let text = code.syntax.text();
    let adapts = ["@media", "@container", "clamp(", "minmax(", "auto-fit", "auto-fill", "flex-wrap"].iter().any(|sign| text.contains(sign));
    let lays_out = code.of_kinds(&["declaration"]).any(|node| {
        declaration(node).is_some_and(|(name, value)| {
            matches!(name.as_str(), "grid-template-columns" | "width" | "float" | "columns") || name == "display" && value.contains("grid")
        })
    });
    if rules < parameters.get("rules_min") || adapts || !lays_out {
        return Vec::new();
    }
    let message = format!("{rules} rules, and none looks at the size of the screen");
    vec![Problem::new(1, 1, message, "begin with the small screen and add media or container queries for larger ones")]
}
