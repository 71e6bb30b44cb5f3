//! A plan as a person wants to read it: waves, critical path, parallelism, requirements, what waits, findings.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::findings;
use crate::dag::Graph;
use crate::model::{Finding, Plan, RequirementClass, SpecFormat, Subject, Task};
use crate::pipeline::plan::PlanError;
use crate::pipeline::schedule;

/// The width where stdout is no terminal.
pub const WIDTH_DEFAULT: usize = 110;
/// Narrower terminals wrap.
const WIDTH_MIN: usize = 60;

const HEADING: Style = Style::new().bold();
const NAME: Style = AnsiColor::Cyan.on_default();
const CARE: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();

/// The whole view. Operations that cannot be derived are told once, under what waits. `source` is how the specification is called, `workers` how many the speed-up is shown for, `width` how
/// many columns there are.
pub fn render(plan: &Plan, source: &str, workers: usize, width: usize) -> Result<String, PlanError> {
    let graph = schedule::graph(plan)?;
    let width = width.max(WIDTH_MIN);
    let mut page = Page { text: String::new(), width };
    head(&mut page, plan);
    waves(&mut page, plan);
    critical_path(&mut page, plan, &graph);
    parallelism(&mut page, &graph, workers);
    requirements(&mut page, plan);
    waiting(&mut page, plan);
    let told: Vec<Finding> = plan.findings.iter().filter(|finding| finding.code != "underivable-operation").cloned().collect();
    if !told.is_empty() {
        page.heading(&format!("Findings: {}", findings::count(&told)));
        page.text.push_str(&findings::render(&told, source));
    }
    Ok(page.text)
}

/// What is printed, line by line.
struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn line(&mut self, line: &str) {
        writeln!(self.text, "{}", line.trim_end()).expect("a string takes everything");
    }

    fn heading(&mut self, title: &str) {
        self.line("");
        self.line(&format!("{HEADING}{title}{HEADING:#}"));
    }

    /// Words one after the other, wrapped and indented by two columns.
    fn paragraph(&mut self, words: impl Iterator<Item = String>) {
        self.indented("  ", words);
    }

    fn indented(&mut self, indent: &str, words: impl Iterator<Item = String>) {
        let mut line = indent.to_owned();
        let mut columns = indent.len();
        for word in words {
            let wide = anstream::adapter::strip_str(&word).to_string().width();
            if columns + 1 + wide > self.width && columns > indent.len() {
                self.line(&line);
                indent.clone_into(&mut line);
                columns = indent.len();
            }
            if columns > indent.len() {
                line.push(' ');
                columns += 1;
            }
            line.push_str(&word);
            columns += wide;
        }
        self.line(&line);
    }
}

fn head(page: &mut Page, plan: &Plan) {
    let about = match &plan.target {
        Some(target) => format!("{} for {} {}", format_name(plan.spec.format), target.name, target.version),
        None => format_name(plan.spec.format).to_owned(),
    };
    page.line(&format!("{HEADING}{}{HEADING:#}  {DIM}{about}{DIM:#}", plan.spec.title));
    let subjects = |wanted: fn(&Subject) -> bool| plan.requirements.iter().filter(|requirement| wanted(&requirement.subject)).count();
    let parts = [
        (subjects(|subject| matches!(subject, Subject::Entity(_))), "entity", "entities"),
        (subjects(|subject| matches!(subject, Subject::Operation(_))), "operation", "operations"),
        (plan.requirements.len(), "requirement", "requirements"),
        (plan.units().count(), "unit", "units"),
        (plan.waves.len(), "wave", "waves"),
    ];
    let shown = parts.into_iter().filter(|(count, ..)| *count > 0).map(|(count, one, many)| counted(count, one, many));
    page.line(&shown.collect::<Vec<_>>().join(" · "));
}

fn format_name(format: SpecFormat) -> &'static str {
    match format {
        SpecFormat::OpenApi => "OpenAPI",
        SpecFormat::Markdown => "structured Markdown",
        SpecFormat::Model => "structured model",
        SpecFormat::Prose => "prose",
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn waves(page: &mut Page, plan: &Plan) {
    let units: BTreeMap<&str, &Task> = plan.units().map(|unit| (unit.key.as_str(), unit)).collect();
    let widest = |share: usize, text: fn(&Task) -> usize| units.values().map(|unit| text(unit)).max().unwrap_or(0).min(share);
    let keys = widest(page.width * 35 / 100, |unit| unit.key.width());
    let titles = widest(page.width * 35 / 100, |unit| unit.title.width());
    let files = page.width.saturating_sub(keys + titles + 8);
    for (number, wave) in plan.waves.iter().enumerate() {
        page.heading(&format!("Wave {}  {DIM}{}{DIM:#}", number + 1, counted(wave.len(), "unit", "units")));
        for unit in wave.iter().filter_map(|key| units.get(key.as_str())) {
            let mark = match (unit.waiting.is_some(), unit.critical) {
                (true, _) => format!("{CARE}?{CARE:#}"),
                (false, true) => format!("{CARE}*{CARE:#}"),
                (false, false) => " ".to_owned(),
            };
            let key = padded(&unit.key, keys);
            let title = padded(&unit.title, titles);
            let files = shortened(&unit.files, files);
            page.line(&format!("{mark} {NAME}{key}{NAME:#}  {title}  {DIM}{files}{DIM:#}"));
        }
    }
    let marks = match (plan.units().any(|unit| unit.waiting.is_some()), plan.critical_path.is_empty()) {
        (true, false) => "* on the critical path, ? waits for an agent",
        (false, false) => "* on the critical path",
        _ => return,
    };
    page.line(&format!("{DIM}{marks}{DIM:#}"));
}

/// As many file names as fit, and how many more there are.
fn shortened(files: &[String], width: usize) -> String {
    let mut text = String::new();
    for (at, file) in files.iter().enumerate() {
        let next = if at == 0 { file.clone() } else { format!(", {file}") };
        let rest = files.len() - at - 1;
        let tail = if rest == 0 { 0 } else { format!(" +{rest}").width() };
        if text.width() + next.width() + tail > width {
            let left = files.len() - at;
            return if at == 0 { cut(file, width) } else { format!("{text} +{left}") };
        }
        text.push_str(&next);
    }
    text
}

fn padded(text: &str, width: usize) -> String {
    let text = cut(text, width);
    let missing = width.saturating_sub(text.width());
    text + &" ".repeat(missing)
}

/// A text of at most so many columns; what is cut off ends in `…`.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut columns = 1;
    for c in text.chars() {
        columns += c.width().unwrap_or(0);
        if columns > width {
            break;
        }
        shown.push(c);
    }
    shown + "…"
}

fn critical_path(page: &mut Page, plan: &Plan, graph: &Graph) {
    let timing = graph.timing();
    let total = graph.bounds(1).total;
    page.heading(&format!("Critical path  {DIM}{} of {}{DIM:#}", timing.length, points(total)));
    let arrows = plan.critical_path.iter().enumerate().map(|(at, key)| if at == 0 { key.clone() } else { format!("→ {key}") });
    page.paragraph(arrows);
}

fn points(amount: u64) -> String {
    if amount == 1 { "1 point".to_owned() } else { format!("{amount} points") }
}

fn parallelism(page: &mut Page, graph: &Graph, workers: usize) {
    let bounds = graph.bounds(workers);
    page.heading("Parallelism");
    let useful = graph.useful_workers();
    page.line(&format!("  more than {} cannot help", counted(useful, "worker", "workers")));
    let speed_up = |makespan: u64| if makespan == 0 { 1.0 } else { ratio(bounds.total, makespan) };
    let queue = speed_up(graph.simulate(workers).makespan);
    let strict = speed_up(graph.simulate_barriers(workers).makespan);
    let with = counted(workers, "worker", "workers");
    page.line(&format!("  with {with} at best {:.1}× as fast as with one (the bound of this graph)", bounds.speed_up_max));
    page.line(&format!("  simulated: {queue:.1}× when units start as soon as they can, {strict:.1}× with strict waves"));
    page.line(&format!("  {DIM}effort is in relative points; there is no history of measured times to estimate from{DIM:#}"));
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn ratio(total: u64, part: u64) -> f64 {
    total as f64 / part as f64
}

fn requirements(page: &mut Page, plan: &Plan) {
    let mut classes: BTreeMap<RequirementClass, usize> = BTreeMap::new();
    for requirement in &plan.requirements {
        *classes.entry(requirement.class).or_default() += 1;
    }
    page.heading(&format!("Requirements  {DIM}{}{DIM:#}", plan.requirements.len()));
    let shown = classes.iter().map(|(class, count)| format!("{count} {}", class_name(*class)));
    page.line(&format!("  {}", shown.collect::<Vec<_>>().join(", ")));
    let unchecked: Vec<_> = plan.requirements.iter().filter(|requirement| matches!(requirement.subject, Subject::Statement(_))).collect();
    if !unchecked.is_empty() {
        let keeps = unchecked.iter().filter(|requirement| requirement.class.needs_evidence()).count();
        let effect = if keeps == 0 { "none of them keeps a run from succeeding" } else { "so a run ends partial" };
        page.line(&format!("  {CARE}{} that no machine can check{CARE:#}, {effect}", unchecked.len()));
    }
}

fn class_name(class: RequirementClass) -> &'static str {
    match class {
        RequirementClass::Functional => "functional",
        RequirementClass::Data => "data",
        RequirementClass::Api => "api",
        RequirementClass::Security => "security",
        RequirementClass::Performance => "performance",
        RequirementClass::Reliability => "reliability",
        RequirementClass::Usability => "usability",
        RequirementClass::Constraint => "constraint",
        RequirementClass::NonFunctional => "non-functional",
    }
}

/// Units that wait, those with the same reason together, and what to configure.
fn waiting(page: &mut Page, plan: &Plan) {
    let mut by_reason: Vec<(&str, Vec<&Task>)> = Vec::new();
    let mut configure: Vec<&str> = Vec::new();
    for unit in plan.units() {
        let Some(waiting) = &unit.waiting else { continue };
        match by_reason.iter_mut().find(|(reason, _)| *reason == waiting.reason) {
            Some((_, units)) => units.push(unit),
            None => by_reason.push((&waiting.reason, vec![unit])),
        }
        if !configure.contains(&waiting.configure.as_str()) {
            configure.push(&waiting.configure);
        }
    }
    if by_reason.is_empty() {
        return;
    }
    let count = by_reason.iter().map(|(_, units)| units.len()).sum();
    page.heading(&format!("Waiting  {DIM}{}{DIM:#}", counted(count, "unit", "units")));
    for (reason, units) in by_reason {
        let place = |unit: &Task| unit.position.map_or_else(String::new, |position| format!(" {DIM}({position}){DIM:#}"));
        let last = units.len() - 1;
        let words = units
            .iter()
            .enumerate()
            .map(|(at, unit)| format!("{CARE}{}{CARE:#}{}{}", unit.key, place(unit), if at == last { "" } else { "," }));
        page.paragraph(words);
        page.indented("    ", reason.split_whitespace().map(str::to_owned));
    }
    for what in configure {
        page.line(&format!("  {DIM}configure{DIM:#} {what}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_columns_not_bytes() {
        let check = |text: &str, width: usize, expect: &str| assert_eq!(cut(text, width), expect);
        check("model/book", 10, "model/book");
        check("model/books", 10, "model/boo…");
        check("模型/书籍", 6, "模型/…");
        check("", 3, "");
    }

    #[test]
    fn files_are_listed_as_far_as_they_fit() {
        let files = ["a.py", "bb.py", "ccc.py"].map(str::to_owned);
        let check = |width: usize, expect: &str| assert_eq!(shortened(&files, width), expect);
        check(40, "a.py, bb.py, ccc.py");
        check(19, "a.py, bb.py, ccc.py");
        check(18, "a.py, bb.py +1");
        check(8, "a.py +2");
        check(3, "a.…");
    }
}
