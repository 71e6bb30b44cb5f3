//! Where in a prose document the reader is, and what text standing there counts for.

use crate::model::spec::StatementOrigin;

/// What the text of a section counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Bullets and sentences demand.
    Demand,
    /// Only `must` and `shall` demand.
    Background,
    /// Nothing demands: it is explicitly not asked for, or an example.
    Nothing,
}

/// Words in titles of sections that are not asked for.
const NOTHING: [&str; 14] = [
    "non-goal",
    "non goal",
    "out of scope",
    "future",
    "reference",
    "appendix",
    "example",
    "glossary",
    "changelog",
    "revision history",
    "open question",
    "alternatives",
    "table of contents",
    "not in scope",
];
/// Words in titles of sections that explain.
const BACKGROUND: [&str; 10] =
    ["overview", "introduction", "background", "problem", "context", "summary", "motivation", "risk", "persona", "assumption"];
/// Words in titles of sections whose numbered lists are tasks.
const PLANS: [&str; 13] = [
    "roadmap",
    "task",
    "dependency chain",
    "implementation plan",
    "implementation steps",
    "implementation order",
    "milestone",
    "work plan",
    "work breakdown",
    "development plan",
    "development phases",
    "build order",
    "project plan",
];

/// The headings around the current place.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// The innermost heading.
    pub(super) title: String,
    path: Vec<(u8, String)>,
    label: Option<String>,
}

impl Section {
    /// Enters the section of a heading.
    pub(super) fn enter(&mut self, level: u8, title: &str) {
        self.path.retain(|(outer, _)| *outer < level);
        self.path.push((level, title.to_lowercase()));
        title.clone_into(&mut self.title);
        self.label = None;
    }

    /// Notes the paragraph that introduces what follows: `Not included:`.
    pub(super) fn label(&mut self, label: Option<&str>) {
        self.label = label.map(str::to_lowercase);
    }

    /// What text standing here counts for.
    pub(super) fn standing(&self) -> Standing {
        self.standing_below(&[])
    }

    /// What a list item below these labels counts for.
    pub(super) fn standing_below(&self, labels: &[Option<&str>]) -> Standing {
        let labels: Vec<String> = labels.iter().flatten().map(|label| label.to_lowercase()).collect();
        let titles = || self.path.iter().map(|(_, title)| title).chain(&self.label).chain(&labels);
        let any = |words: &[&str]| titles().any(|title| words.iter().any(|word| title.contains(word)));
        if any(&NOTHING) {
            Standing::Nothing
        } else if any(&BACKGROUND) {
            Standing::Background
        } else {
            Standing::Demand
        }
    }

    /// True when numbered lists standing here, below `label`, are tasks.
    pub(super) fn plans(&self, label: Option<&str>) -> bool {
        let titles = self.path.iter().map(|(_, title)| title.as_str()).chain(self.label.as_deref());
        let label = label.map(str::to_lowercase);
        let planned = titles.chain(label.as_deref()).any(|title| PLANS.iter().any(|word| title.contains(word)));
        planned && self.standing_below(&[label.as_deref()]) == Standing::Demand
    }

    /// True for a section that introduces the document.
    pub(super) fn introduces(&self) -> bool {
        ["overview", "introduction", "summary"].contains(&self.title.to_lowercase().as_str())
    }

    /// True for a section that lists technologies.
    pub(super) fn tech_stack(&self) -> bool {
        ["tech stack", "technology stack", "technologies"].contains(&self.title.to_lowercase().as_str())
    }

    /// The kind of statements that stand here.
    pub(super) fn origin(&self) -> StatementOrigin {
        let any = |words: &[&str]| self.path.iter().any(|(_, title)| words.iter().any(|word| title.contains(word)));
        if any(&["acceptance criteria", "success criteria", "success metric", "definition of done"]) {
            StatementOrigin::Criterion
        } else if any(&["non-functional", "non functional", "nonfunctional", "quality attributes"]) {
            StatementOrigin::NonFunctional
        } else {
            StatementOrigin::Prose
        }
    }
}
