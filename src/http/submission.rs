//! A submitted specification: raw, in a media type of its own with the rest in the query, or as text within a JSON envelope.

use axum::extract::{FromRequest, Request};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use super::extract::{Query, body, json, media_type};
use super::state::Api;
use crate::engine::{self, Submitted};
use crate::ingest::limits::INPUT_BYTES_MAX;
use crate::model::SpecFormat;
use crate::pipeline::intake::{self, Intake, Wishes};
use crate::pipeline::run::RunOptions;
use crate::store::postgres::TenantTx;
use crate::store::postgres::specs::NewSpec;

/// Most bytes of a submission. JSON escapes make a text longer, and a text of lines hardly by a tenth.
pub const SUBMISSION_BYTES_MAX: usize = INPUT_BYTES_MAX + INPUT_BYTES_MAX / 5;
/// What a raw submission may call itself, and the file name that helps to tell its format.
const RAW: [(&str, &str); 5] = [
    ("text/markdown", "spec.md"),
    ("text/plain", "spec.txt"),
    ("application/yaml", "spec.yaml"),
    ("application/openapi+yaml", "spec.yaml"),
    ("application/openapi+json", "spec.json"),
];
const TAKEN: &str = "application/json (an envelope) or, raw, text/markdown, text/plain, application/yaml, application/openapi+yaml, \
                     application/openapi+json";

/// The formats of specifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// OpenAPI 3.0 or 3.1, YAML or JSON.
    OpenApi,
    /// Structured Markdown.
    Markdown,
    /// The structured model as YAML or JSON.
    Model,
    /// Requirements in prose.
    Prose,
}

impl From<Format> for SpecFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::OpenApi => Self::OpenApi,
            Format::Markdown => Self::Markdown,
            Format::Model => Self::Model,
            Format::Prose => Self::Prose,
        }
    }
}

/// A specification within JSON.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "notes",
    "content": "# Notes\n\n## Entities\n\n### Note\n\n| field | type | rules |\n| --- | --- | --- |\n| title | string | required, length 1..80 |\n\n## Endpoints\n\n| method | path | purpose | entity |\n| --- | --- | --- | --- |\n| GET | /notes | list | Note |\n| POST | /notes | create | Note |\n"
}))]
pub struct Envelope {
    /// The identity of the specification across versions; left out: its title.
    #[schema(pattern = "^[a-z][a-z0-9-]{0,63}$", nullable = false)]
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    /// The format; left out: the one that is detected.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "present")]
    format: Option<Format>,
    /// The target pack; left out: the one that the document names, else the setting `run.target`.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "present")]
    target: Option<String>,
    /// The document.
    #[schema(min_length = 1)]
    content: String,
}

/// A field that may be left out, and is not null when it is there.
pub fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What a submission says in the query; an envelope's own words count more.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubmissionQuery {
    /// The identity of the specification across versions; left out: its title.
    #[param(pattern = "^[a-z][a-z0-9-]{0,63}$")]
    name: Option<String>,
    /// The format; left out: the one that is detected.
    format: Option<Format>,
    /// The target pack.
    target: Option<String>,
    /// False: store and plan it, and do not build it.
    run: Option<bool>,
}

/// A submission as it came.
#[derive(Debug, Clone)]
pub struct Submission {
    name: Option<String>,
    format: Option<Format>,
    target: Option<String>,
    source_name: Option<String>,
    /// The document's bytes.
    pub content: Vec<u8>,
    /// False when nothing is to be built.
    pub run: bool,
    /// Everything that tells this request from another one.
    pub identity: Vec<u8>,
}

impl<S: Send + Sync> FromRequest<S> for Submission {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (mut parts, incoming) = request.into_parts();
        let Query(query) = <Query<SubmissionQuery> as axum::extract::FromRequestParts<S>>::from_request_parts(&mut parts, state).await?;
        let asked = parts.uri.query().unwrap_or_default().to_owned();
        let request = Request::from_parts(parts, incoming);
        let kind = media_type(&request);
        let raw = RAW.iter().find(|(raw, _)| *raw == kind);
        if raw.is_none() && kind != "application/json" {
            return Err(ApiError::UnsupportedMediaType(TAKEN));
        }
        let bytes = body(request, SUBMISSION_BYTES_MAX).await?;
        let identity = [kind.as_bytes(), b"\n", asked.as_bytes(), b"\n", &bytes].concat();
        let run = query.run.unwrap_or(true);
        if let Some((_, file)) = raw {
            let SubmissionQuery { name, format, target, .. } = query;
            return Ok(Self { name, format, target, source_name: Some((*file).to_owned()), content: bytes, run, identity });
        }
        let Envelope { name, format, target, content } = json(&bytes)?;
        if let Some(name) = &query.name {
            intake::check_name(name)?;
        }
        // What is nearer to the document counts.
        let (name, format, target) = (name.or(query.name), format.or(query.format), target.or(query.target));
        Ok(Self { name, format, target, source_name: None, content: content.into_bytes(), run, identity })
    }
}

impl Submission {
    /// The format that the caller insists on.
    pub fn format(&self) -> Option<SpecFormat> {
        self.format.map(SpecFormat::from)
    }

    /// What the document's file would be called; it helps to tell the format.
    pub fn source_name(&self) -> &str {
        self.source_name.as_deref().unwrap_or("-")
    }

    /// One that is stored already, to be built once more.
    pub fn stored(content: Vec<u8>, name: &str, source_name: &str, format: Option<Format>, target: Option<String>) -> Self {
        let source_name = (source_name != "-").then(|| source_name.to_owned());
        Self { name: Some(name.to_owned()), format, target, source_name, content, run: true, identity: Vec::new() }
    }

    /// What is stored of it.
    pub fn spec<'a>(&'a self, intake: &'a Intake) -> NewSpec<'a> {
        NewSpec {
            slug: &intake.slug,
            title: &intake.document.title,
            content_hash: &intake.document.content_hash,
            source_name: self.source_name(),
            content: &self.content,
        }
    }

    /// Finds or makes its run; the output directory is this server's choice, never the caller's.
    pub async fn make_run(&self, api: &Api, tx: &mut TenantTx, intake: &Intake, fresh: bool) -> Result<Submitted, ApiError> {
        // A repository of this machine is not the caller's to name.
        let options = RunOptions {
            format: self.format(),
            strict_waves: api.app.config.strict_waves,
            allow_undeclared: api.app.config.agents.allow_undeclared,
            ..RunOptions::default()
        };
        let options = serde_json::to_value(&options).map_err(|error| ApiError::internal(&error))?;
        let output_dir = api.output_root.join(&intake.slug);
        let output_dir = output_dir.to_string_lossy();
        let (spec, target) = (self.spec(intake), intake.target.as_str());
        let submission = engine::Submission { spec, target, output_dir: &output_dir, options: &options, fresh };
        Ok(api.engine.submit_in(tx, &api.app.actor, &submission).await?)
    }

    /// Reads and plans it; 422 with the findings when it cannot be built from.
    pub async fn take(self, api: &Api) -> Result<(Self, Intake), ApiError> {
        let default = api.app.config.target.clone();
        let read = move || {
            let wishes = Wishes {
                source_name: self.source_name.as_deref(),
                name: self.name.as_deref(),
                format: self.format(),
                target: self.target.as_deref(),
            };
            let taken = intake::take(&self.content, wishes, &default);
            (self, taken)
        };
        let (submission, taken) = api.parse(read).await?;
        Ok((submission, taken?))
    }
}
