//! What is searched for among the patterns. Pure; made by whoever asks.

use crate::model::{OrganizationId, PatternKind};
use crate::store::vectors::Filter;

/// What is searched for.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The question, in words.
    pub text: String,
    /// Only these kinds; empty means all.
    pub kinds: Vec<PatternKind>,
    /// Only this sort of work (`api`, `model`, …).
    pub unit_type: Option<String>,
    /// Only this language.
    pub language: Option<String>,
    /// Only this framework.
    pub framework: Option<String>,
    /// Only specifications of this format.
    pub spec_type: Option<String>,
    /// Only what worked, or only what failed.
    pub success: Option<bool>,
    /// The least score; none shows everything.
    pub threshold: Option<f32>,
    /// Most hits.
    pub limit: usize,
}

impl Query {
    /// A question without any restriction, ten hits.
    pub fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kinds: Vec::new(),
            unit_type: None,
            language: None,
            framework: None,
            spec_type: None,
            success: None,
            threshold: None,
            limit: 10,
        }
    }

    pub(super) fn filter(&self, tenant: OrganizationId) -> Filter {
        let mut filter = Filter::of(tenant);
        if let Some(unit_type) = &self.unit_type {
            filter = filter.unit_type(unit_type);
        }
        if let Some(language) = &self.language {
            filter = filter.language(language);
        }
        if let Some(framework) = &self.framework {
            filter = filter.framework(framework);
        }
        if let Some(spec_type) = &self.spec_type {
            filter = filter.spec_type(spec_type);
        }
        match self.success {
            Some(success) => filter.success(success),
            None => filter,
        }
    }
}
