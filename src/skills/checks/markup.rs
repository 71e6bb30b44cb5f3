//! Pages as a whole.

use super::elements::{elements, marked_up};
use super::{Check, Code};
use crate::skills::Language;
use crate::skills::skill::Parameters;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[Check::tree("viewport", &[Language::Html], viewport)];

fn viewport(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let Some(head) = elements(code).find(|element| element.tag.eq_ignore_ascii_case("head")).filter(|_| marked_up(code)) else {
        return Vec::new();
    };
    let views = elements(code).find(|element| element.tag.eq_ignore_ascii_case("meta") && element.value("name") == Some("viewport"));
    let Some(view) = views else {
        let hint = "add <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">";
        return vec![Problem::at(head.node, "the page is shown as on a wide screen and shrunk", hint)];
    };
    let content = view.value("content").unwrap_or_default().replace(' ', "");
    if content.contains("user-scalable=no") || content.contains("user-scalable=0") || content.contains("maximum-scale=1") {
        return vec![Problem::at(view.node, "readers may not enlarge the page", "leave user-scalable and maximum-scale out")];
    }
    Vec::new()
}
