//! What was learned: listed, shown, found by meaning.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::cursor::{self, Page};
use super::error::ApiError;
use super::extract::{Id, Query};
use super::reply::Json;
use super::state::Api;
use crate::learning;
use crate::model::{Pattern, PatternHit, PatternId, PatternKind};
use crate::store::postgres::catalogue::{self, PatternPlace};
use crate::store::postgres::patterns::{self, PatternFilter, PatternRow};

/// Most characters of a question.
const QUESTION_CHARS_MAX: usize = 2_000;
/// Hits when the caller says nothing.
const HITS_DEFAULT: u16 = 10;
/// Most hits.
const HITS_MAX: u16 = 100;
/// Where to look for patterns.
const PATTERNS_HINT: &str = "GET /api/v1/patterns lists the patterns";

/// A pattern as it is kept.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PatternView {
    /// The pattern.
    pattern: Pattern,
    /// How many units were shown it.
    uses: u64,
    /// When it was first learned.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<PatternRow> for PatternView {
    fn from(row: PatternRow) -> Self {
        Self { pattern: row.pattern, uses: row.uses, created_at: row.created_at }
    }
}

/// Which patterns.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PatternsQuery {
    /// Only of that kind.
    kind: Option<PatternKind>,
    /// Only in that language.
    #[param(max_length = 100)]
    language: Option<String>,
    /// Only of that sort of work (`api`, `model`, …).
    #[param(max_length = 100)]
    unit_type: Option<String>,
    /// Only what worked, or only what failed.
    success: Option<bool>,
    /// `next` of the part before; left out: the first one.
    #[param(max_length = 512, pattern = "^[0-9a-f]+[.][0-9a-f]{32}$")]
    cursor: Option<String>,
    /// Entries at most.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// Lists what was learned, newest first.
#[utoipa::path(get, path = "/patterns", tag = "Patterns", operation_id = "listPatterns", params(PatternsQuery),
    responses((status = 200, description = "A part of the list.", body = Page<PatternView>)))]
pub async fn list(State(api): State<Api>, Query(query): Query<PatternsQuery>) -> Result<Json<Page<PatternView>>, ApiError> {
    let limit = cursor::limit(query.limit)?;
    let question = json!(["patterns", query.kind, query.language, query.unit_type, query.success]);
    let before: Option<PatternPlace> = cursor::position(&api.cursors, &question, query.cursor.as_deref())?;
    let filter = PatternFilter {
        kind: query.kind,
        language: named(query.language.as_deref())?,
        unit_type: named(query.unit_type.as_deref())?,
        success: query.success,
    };
    let mut tx = api.begin().await?;
    let rows = catalogue::patterns(&mut tx, &filter, before, u32::from(limit) + 1).await?;
    let place = |row: &PatternRow| PatternPlace { created_at: row.created_at, id: row.pattern.id }.to_string();
    Ok(Json(cursor::page(&api.cursors, &question, limit, rows, place, PatternView::from)))
}

/// A word that PostgreSQL can compare with.
pub(super) fn named(word: Option<&str>) -> Result<Option<&str>, ApiError> {
    match word {
        Some(word) if word.contains('\0') || word.chars().count() > 100 => {
            Err(ApiError::BadRequest("a filter is at most 100 characters without NUL".to_owned()))
        }
        word => Ok(word),
    }
}

/// Shows a pattern whole.
#[utoipa::path(get, path = "/patterns/{id}", tag = "Patterns", operation_id = "getPattern",
    params(("id" = PatternId, Path, description = "The pattern.")),
    responses((status = 200, description = "The pattern.", body = PatternView)))]
pub async fn show(State(api): State<Api>, Id(id): Id<PatternId>) -> Result<Json<PatternView>, ApiError> {
    let mut tx = api.begin().await?;
    let found = patterns::find(&mut tx, &[id]).await?.into_iter().next();
    found.map(|row| Json(row.into())).ok_or_else(|| ApiError::missing("pattern", id, PATTERNS_HINT))
}

/// A question.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SimilarQuery {
    /// What to look for, in words.
    #[param(min_length = 1, max_length = 2_000, example = "paginated list endpoint with filter")]
    q: String,
    /// Only of that kind.
    kind: Option<PatternKind>,
    /// Only of that sort of work (`api`, `model`, …).
    #[param(max_length = 100)]
    unit_type: Option<String>,
    /// Only in that language.
    #[param(max_length = 100)]
    language: Option<String>,
    /// Only for that framework.
    #[param(max_length = 100)]
    framework: Option<String>,
    /// Only from specifications of that format.
    #[param(max_length = 100)]
    spec_type: Option<String>,
    /// Only what worked, or only what failed.
    success: Option<bool>,
    /// Only hits with at least this score; left out: all.
    #[param(minimum = -1, maximum = 1)]
    threshold: Option<f32>,
    /// Hits at most.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// What was found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SimilarPatterns {
    /// Which embedder compared; scores of different ones are not comparable.
    embedder: String,
    /// False when the embedder compares letters and not meanings.
    neural: bool,
    /// From this score on this embedder's hits are similar, as measured on a labelled set.
    similar_from: f32,
    /// The hits, best first.
    items: Vec<PatternHit>,
}

/// Finds the patterns nearest to a description. No threshold is set unless the caller sets one.
#[utoipa::path(get, path = "/patterns/similar", tag = "Patterns", operation_id = "findSimilarPatterns", params(SimilarQuery),
    responses((status = 200, description = "The hits.", body = SimilarPatterns)))]
pub async fn similar(State(api): State<Api>, Query(query): Query<SimilarQuery>) -> Result<Json<SimilarPatterns>, ApiError> {
    let question = checked(query)?;
    let memory = api.app.memory();
    let items = memory.search(&question).await?;
    let status = &api.app.embedder_status;
    let (embedder, similar_from) = (status.name.to_string(), memory.embedder.similar_from());
    Ok(Json(SimilarPatterns { embedder, neural: status.neural, similar_from, items }))
}

fn checked(query: SimilarQuery) -> Result<learning::Query, ApiError> {
    let refused = |detail: &str| Err(ApiError::BadRequest(detail.to_owned()));
    if query.q.trim().is_empty() || query.q.chars().count() > QUESTION_CHARS_MAX {
        return refused("q must hold 1 to 2000 characters that say something");
    }
    if query.threshold.is_some_and(|threshold| !(-1.0..=1.0).contains(&threshold)) {
        return refused("threshold must lie between -1 and 1");
    }
    let limit = query.limit.unwrap_or(HITS_DEFAULT);
    if !(1..=HITS_MAX).contains(&limit) {
        return refused("limit must be 1 to 100");
    }
    for filter in [&query.unit_type, &query.language, &query.framework, &query.spec_type] {
        named(filter.as_deref())?;
    }
    Ok(learning::Query {
        kinds: query.kind.into_iter().collect(),
        unit_type: query.unit_type,
        language: query.language,
        framework: query.framework,
        spec_type: query.spec_type,
        success: query.success,
        threshold: query.threshold,
        limit: usize::from(limit),
        ..learning::Query::of(query.q)
    })
}
