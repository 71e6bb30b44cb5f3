//! Pages for those who do not see them, or do not use a mouse.

use super::elements::{Element, elements};
use super::{Check, Code};
use crate::skills::language::MARKUP;
use crate::skills::skill::Parameters;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[
    Check::tree("image-alt", MARKUP, image_alt),
    Check::tree("button-name", MARKUP, button_name),
    Check::tree("input-label", MARKUP, input_label),
    Check::tree("positive-tabindex", MARKUP, positive_tabindex),
    Check::tree("click-without-key", MARKUP, click_without_key),
    Check::tree("link-target", MARKUP, link_target),
    Check::tree("page-language", MARKUP, page_language),
];

const NAMES: &[&str] = &["aria-label", "aria-labelledby", "title"];
/// Elements that people reach and press anyway.
const PRESSED: &[&str] = &["button", "a", "input", "select", "textarea", "summary", "option", "label", "area"];

/// A problem for each element that fits.
fn wrong(code: &Code<'_>, fits: impl Fn(&Element<'_>) -> bool, message: &str, hint: &str) -> Vec<Problem> {
    elements(code).filter(fits).map(|element| Problem::at(element.node, message, hint)).collect()
}

/// An empty alternative is one: it says that the picture says nothing.
fn image_alt(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let silent = |element: &Element<'_>| element.tag == "img" && !element.spread && element.value("alt").is_none();
    wrong(code, silent, "the picture has no alt", "say in alt what it shows, or alt=\"\" when it is decoration")
}

fn button_name(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let nameless = |element: &Element<'_>| element.tag == "button" && !element.states(NAMES) && !element.readable();
    wrong(code, nameless, "the button has no name", "write in it what it does, or give it an aria-label")
}

fn input_label(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let labelled: Vec<&str> = elements(code)
        .filter(|element| element.tag.eq_ignore_ascii_case("label"))
        .filter_map(|element| element.value("htmlFor").or_else(|| element.value("for")))
        .collect();
    let nameless = |element: &Element<'_>| {
        let entered = match element.tag {
            "input" => !matches!(element.value("type"), Some("hidden" | "submit" | "button" | "reset" | "image")),
            tag => matches!(tag, "select" | "textarea"),
        };
        let by_id = element.value("id").is_some_and(|id| labelled.contains(&id));
        let inside = || element.around().any(|around| around.tag.eq_ignore_ascii_case("label"));
        entered && !element.states(NAMES) && !by_id && !inside()
    };
    wrong(code, nameless, "nothing says what is entered here", "give it a label; a placeholder goes away while one types")
}

fn positive_tabindex(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let ahead =
        |element: &Element<'_>| element.value("tabindex").and_then(|value| value.parse::<i32>().ok()).is_some_and(|index| index > 0);
    wrong(code, ahead, "it is reached before everything else on the page", "take tabindex 0 and put it where it is reached in order")
}

fn click_without_key(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let mouse = |element: &Element<'_>| {
        let clicked = element.value("onclick").is_some() && !element.spread;
        let keyed = ["onkeydown", "onkeyup", "onkeypress"].iter().any(|name| element.value(name).is_some());
        element.native() && !PRESSED.contains(&element.tag) && clicked && !(keyed && element.value("role").is_some())
    };
    wrong(code, mouse, "only a mouse can press it", "make it a button, or give it a role and a key handler")
}

fn link_target(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let idle = |element: &Element<'_>| {
        let target = element.value("href");
        let nowhere = target.is_none_or(|target| target == "#" || target.starts_with("javascript:"));
        // A name or an id makes it an anchor, which leads nowhere on purpose.
        element.tag == "a" && !element.spread && nowhere && element.value("name").is_none() && element.value("id").is_none()
    };
    wrong(code, idle, "the link leads nowhere", "give it a target, or make it a button")
}

fn page_language(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let silent = |element: &Element<'_>| element.tag == "html" && !element.states(&["lang"]);
    wrong(code, silent, "the page does not say its language", "give html a lang")
}
