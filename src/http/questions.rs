//! Questions about a unit, and their answers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::extract::{Id, JsonBody};
use super::idempotency::{Begun, IdempotencyKey, Key, Once};
use super::reply::{Json, Reply};
use super::state::Api;
use super::tasks::find;
use crate::model::{Question, QuestionId, UnitId};
use crate::pipeline::questions::{self as asking, Offered, QuestionError, To};
use crate::store::postgres::questions;

/// What was asked and answered about a unit in its run; at most 100, so that it comes in one piece.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Questions {
    /// In the order in which they were asked.
    items: Vec<Question>,
}

/// A question.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"question": "Which currency?"}))]
pub struct QuestionRequest {
    /// What is to be known; at most 2,000 bytes. What looks like a secret is left out.
    #[schema(min_length = 1, max_length = 2000)]
    question: String,
}

/// An answer.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"answer": "EUR"}))]
pub struct AnswerRequest {
    /// The answer, or a clarification that nobody has asked for; at most 2,000 bytes. What looks like a secret is left out.
    #[schema(min_length = 1, max_length = 2000)]
    answer: String,
    /// The question; left out: the only open one, or, where none is open, a clarification.
    #[serde(default)]
    question: Option<QuestionId>,
}

/// An answered question, and what became of its unit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AnswerView {
    /// The question with its answer.
    question: Question,
    /// True when the unit is offered again. Otherwise more questions are open, it neither waits nor has failed, or its run has ended or
    /// is being delivered: whoever tries it next is told.
    offered: bool,
}

/// Lists what was asked and answered about a unit.
#[utoipa::path(get, path = "/tasks/{id}/questions", tag = "Tasks", operation_id = "listQuestions",
    params(("id" = UnitId, Path, description = "The unit.")),
    responses((status = 200, description = "The questions with their answers.", body = Questions)))]
pub async fn list(State(api): State<Api>, Id(id): Id<UnitId>) -> Result<Json<Questions>, ApiError> {
    let mut tx = api.begin().await?;
    let unit = find(&mut tx, id).await?;
    Ok(Json(Questions { items: questions::of_run(&mut tx, unit.run, Some(&unit.key)).await? }))
}

/// Asks something about a unit: before it is answered, nobody is sent to the unit. The same question again, while it is open, is the same
/// question.
#[utoipa::path(post, path = "/tasks/{id}/questions", tag = "Tasks", operation_id = "askQuestion", request_body = QuestionRequest,
    params(("id" = UnitId, Path, description = "The unit."), Key),
    responses((status = 201, description = "It is noted.", body = Question, headers(("Location" = String, description = "The unit's questions.")))))]
pub async fn ask(
    State(api): State<Api>,
    Id(id): Id<UnitId>,
    key: IdempotencyKey,
    body: JsonBody<QuestionRequest>,
) -> Result<Response, ApiError> {
    let once = Once::new(key, &format!("POST /tasks/{id}/questions"), &[&body.bytes]);
    let mut tx = match once.begin(&api).await? {
        Begun::New(tx) => tx,
        Begun::Answered(response) => return Ok(response),
    };
    let unit = find(&mut tx, id).await?;
    let question = asking::ask(&mut tx, &api.app.actor, &unit, &body.value.question).await?;
    let reply = Reply::json(StatusCode::CREATED, &question)?.at(format!("/api/v1/tasks/{id}/questions"));
    once.end(&api, tx, reply).await
}

/// Answers a question about a unit, or clarifies something that nobody has asked: whoever performs the unit next is told. When nothing is
/// open any more, a unit that waits or has failed is offered again, and its run goes on.
#[utoipa::path(post, path = "/tasks/{id}/answers", tag = "Tasks", operation_id = "answerQuestion", request_body = AnswerRequest,
    params(("id" = UnitId, Path, description = "The unit."), Key),
    responses((status = 202, description = "It is noted.", body = AnswerView, headers(("Location" = String, description = "The unit's questions.")))))]
pub async fn answer(
    State(api): State<Api>,
    Id(id): Id<UnitId>,
    key: IdempotencyKey,
    body: JsonBody<AnswerRequest>,
) -> Result<Response, ApiError> {
    let once = Once::new(key, &format!("POST /tasks/{id}/answers"), &[&body.bytes]);
    let mut tx = match once.begin(&api).await? {
        Begun::New(tx) => tx,
        Begun::Answered(response) => return Ok(response),
    };
    let unit = find(&mut tx, id).await?;
    let AnswerRequest { answer, question } = body.value;
    let answered = asking::answer(&mut tx, &api.app.actor, &unit, question.map_or(To::TheOpenOne, To::Id), &answer).await?;
    let view = AnswerView { question: answered.question, offered: answered.unit == Offered::Again };
    let reply = Reply::json(StatusCode::ACCEPTED, &view)?.at(format!("/api/v1/tasks/{id}/questions"));
    once.end(&api, tx, reply).await
}

impl From<QuestionError> for ApiError {
    fn from(error: QuestionError) -> Self {
        let detail = error.to_string();
        let conflict = |detail, hint: &str| Self::Conflict { detail, hint: hint.to_owned() };
        match error {
            QuestionError::Store(error) => error.into(),
            QuestionError::Engine(error) => error.into(),
            QuestionError::Again(error) => error.into(),
            QuestionError::Empty { .. } => Self::unprocessable(detail, "what looks like a secret is left out"),
            QuestionError::TooLong { .. } => Self::unprocessable(detail, "say it in fewer words"),
            QuestionError::NoSuchQuestion { .. } => Self::unprocessable(detail, "GET /api/v1/tasks/{id}/questions lists them"),
            QuestionError::Which { .. } => conflict(detail, "name the question; GET /api/v1/tasks/{id}/questions lists them"),
            QuestionError::Answered { .. } => conflict(detail, "leave `question` out: what is said then is a clarification"),
            QuestionError::TooMany { .. } | QuestionError::RunOver { .. } => conflict(detail, "POST /api/v1/runs starts a new run"),
        }
    }
}
