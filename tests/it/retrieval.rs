//! Does a search find what a person would call similar? Measured for each embedder on two labelled sets: questions over the
//! patterns of the bookstore (recall of the first five, reciprocal rank), and the units of another service against them (the
//! score that separates work of the same sort from other work, which is the threshold that an embedder brings along).

use std::sync::Arc;

use specwave::config::{Config, EmbedderChoice};
use specwave::embed::{self, Embedder, Lexical, Settings};
use specwave::generate::TargetPack;
use specwave::learning::{Harvest, UnitResult};
use specwave::model::id::LOCAL_ORGANIZATION;
use specwave::model::{CheckResult, Pattern, PatternKind, RunId, Verdict};
use specwave::pipeline::{analyze, plan};

const BOOKSTORE: &str = include_str!("../../examples/bookstore.md");
const CLINIC: &str = "# Clinic

Who comes when, and to whom.

## Entities

### Patient

Somebody who is treated.

| field | type | rules |
| --- | --- | --- |
| insurance_number | string | required, unique |
| name | string | required, length 1..100 |
| phone | string | |

### Appointment

A time that is set aside for a patient.

| field | type | rules |
| --- | --- | --- |
| patient | ref(Patient) | required, on delete restrict |
| starts_at | datetime | required |
| minutes | integer | required, min 5, max 240 |
| state | enum(booked, held, missed) | required, default booked |

## Endpoints

| method | path | purpose | entity |
| --- | --- | --- | --- |
| GET | /patients | list; search name; sort name | Patient |
| POST | /patients | create | Patient |
| GET | /patients/{id} | read | Patient |
| PATCH | /patients/{id} | change | Patient |
| DELETE | /patients/{id} | delete | Patient |
| GET | /patients/{patient_id}/appointments | list; filter state; sort starts_at | Appointment |
| POST | /patients/{patient_id}/appointments | create | Appointment |
| GET | /appointments/{id} | read | Appointment |
| PUT | /appointments/{id} | replace | Appointment |
| POST | /appointments/{id}/hold | set state = held | Appointment |

## Rules

- Appointment: state moves booked -> held
- Appointment: (patient, starts_at) is unique
";

/// The code patterns of a service as a finished run would leave them; the code itself is not embedded.
fn patterns(spec: &str) -> Vec<Pattern> {
    let read = specwave::ingest::read(spec.as_bytes(), Some("spec.md"), None);
    let doc = read.document.unwrap();
    let pack = TargetPack::load("fastapi").unwrap();
    let plan = plan::build(&doc, &analyze::analyze(&doc), &pack.blueprints(&doc).unwrap(), None).unwrap();
    let check = CheckResult {
        name: "lint".to_owned(),
        subject: None,
        verdict: Verdict::Passed,
        command: String::new(),
        detail: String::new(),
        duration_ms: 1,
    };
    let unit =
        |key: &str| UnitResult { key: key.to_owned(), files: vec![("a.py".to_owned(), "pass\n".to_owned())], checks: vec![check.clone()] };
    let units: Vec<UnitResult> = plan.units().map(|task| unit(&task.key)).collect();
    let harvest = Harvest {
        tenant: LOCAL_ORGANIZATION,
        run: RunId::new(),
        doc: &doc,
        plan: &plan,
        language: pack.language(),
        framework: pack.framework(),
        units: &units,
        succeeded: true,
    };
    harvest.patterns().into_iter().filter(|pattern| pattern.kind == PatternKind::Code).collect()
}

/// A question, and what the titles (or unit keys) of all that answer it begin with.
const LABELLED: [(&str, &[&str]); 26] = [
    ("paginated list endpoint with filter", &["GET /books:", "GET /authors:", "GET /books/{book_id}/reviews:"]),
    ("search by text and sort the results", &["GET /books:", "GET /authors:"]),
    ("list with a price range", &["GET /books:"]),
    ("list the children of a parent, nested resource", &["GET /books/{book_id}/reviews:"]),
    ("create a row and refuse duplicates with a conflict", &["POST /books:", "POST /authors:", "POST /books/{book_id}/reviews:"]),
    ("get one by id or 404", &["GET /books/{id}:", "GET /authors/{id}:", "GET /reviews/{id}:"]),
    ("partial update", &["PATCH /books/{id}:", "PATCH /authors/{id}:"]),
    ("full replacement with PUT", &["PUT /books/{id}:"]),
    ("delete endpoint", &["DELETE /books/{id}:", "DELETE /authors/{id}:", "DELETE /reviews/{id}:"]),
    ("refuse to delete while other rows refer to it", &["DELETE /authors/{id}:"]),
    ("delete only in a certain state", &["DELETE /books/{id}:"]),
    ("state transition action endpoint", &["POST /books/{id}/publish:", "POST /books/{id}/retire:"]),
    ("publish something and set the date", &["POST /books/{id}/publish:"]),
    ("table with a foreign key and an enum column", &["model/book"]),
    ("database model with a unique e-mail address", &["model/author"]),
    ("rating from 1 to 5", &["model/review", "schema/review", "service/review"]),
    ("validate the request body", &["schema/author", "schema/book", "schema/review"]),
    ("business rules in a service layer", &["service/author", "service/book", "service/review"]),
    ("database migration with alembic", &["migration", "project/alembic"]),
    ("Dockerfile for an unprivileged user", &["project/container"]),
    ("structured JSON log line for each request", &["project/logging"]),
    ("configuration from environment variables", &["project/settings"]),
    ("problem details for errors", &["project/errors"]),
    ("health checks, readiness and application factory", &["project/app", "tests/platform"]),
    ("tests for every endpoint of an API", &["tests/authors", "tests/books", "tests/reviews"]),
    ("pin dependencies with hashes, linter and type checker", &["project/packaging"]),
];
const FIRST: usize = 5;

/// What one embedder achieves.
#[derive(Debug)]
struct Quality {
    /// Of what answers a question, the share among the first five, averaged over the questions.
    recall: f32,
    /// One over the place of the first answer, averaged over the questions.
    reciprocal_rank: f32,
    /// The score that separates units of the same sort from others best.
    best_threshold: f32,
    /// Share of the same sort at or above it, and share of others.
    at_best: (f32, f32),
    /// The same at the threshold that the embedder brings along.
    at_own: (f32, f32),
}

async fn measure(embedder: Arc<dyn Embedder>) -> Quality {
    let (recall, reciprocal_rank) = answers(embedder.as_ref()).await;
    let (same, other) = pairs(embedder.as_ref()).await;
    let at = |threshold: f32| {
        let above = |scores: &[f32]| ratio(scores.iter().filter(|score| **score >= threshold).count(), scores.len());
        (above(&same), above(&other))
    };
    let separation = |threshold: f32| at(threshold).0 - at(threshold).1;
    let thresholds = (0_u8..=100).map(|percent| f32::from(percent) / 100.0);
    let best_threshold = thresholds.max_by(|left, right| separation(*left).total_cmp(&separation(*right))).unwrap();
    Quality { recall, reciprocal_rank, best_threshold, at_best: at(best_threshold), at_own: at(embedder.similar_from()) }
}

/// Recall of the first five and reciprocal rank over the labelled questions.
async fn answers(embedder: &dyn Embedder) -> (f32, f32) {
    let patterns = patterns(BOOKSTORE);
    let vectors = embedded(embedder, patterns.iter().map(|pattern| pattern.text.as_str())).await;
    let questions = embedded(embedder, LABELLED.iter().map(|(question, _)| *question)).await;
    let (mut recall, mut reciprocal_rank) = (0.0, 0.0);
    for ((question, answers), vector) in LABELLED.iter().zip(&questions) {
        let answers_it = |pattern: &Pattern| answers.iter().any(|start| pattern.title.starts_with(start) || pattern.unit_key == *start);
        let mut scored: Vec<(f32, bool)> =
            patterns.iter().zip(&vectors).map(|(pattern, own)| (embed::cosine(vector, own), answers_it(pattern))).collect();
        scored.sort_by(|left, right| right.0.total_cmp(&left.0));
        let wanted = scored.iter().filter(|(_, answers)| *answers).count();
        assert_eq!(wanted, answers.len(), "the labels of `{question}` name patterns that exist");
        let found = scored.iter().take(FIRST).filter(|(_, answers)| *answers).count();
        let place = scored.iter().position(|(_, answers)| *answers).unwrap() + 1;
        println!("  {found} of {wanted}, the first at {place}: {question}");
        recall += ratio(found, wanted);
        reciprocal_rank += ratio(1, place);
    }
    (recall / ratio(LABELLED.len(), 1), reciprocal_rank / ratio(LABELLED.len(), 1))
}

/// Scores between every unit of the clinic and every pattern of the bookstore: of the same sort of work, and of others.
async fn pairs(embedder: &dyn Embedder) -> (Vec<f32>, Vec<f32>) {
    let (known, wanted) = (patterns(BOOKSTORE), patterns(CLINIC));
    let known_vectors = embedded(embedder, known.iter().map(|pattern| pattern.text.as_str())).await;
    let wanted_vectors = embedded(embedder, wanted.iter().map(|pattern| pattern.text.as_str())).await;
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for (unit, vector) in wanted.iter().zip(&wanted_vectors) {
        for (pattern, own) in known.iter().zip(&known_vectors) {
            let score = embed::cosine(vector, own);
            if sort(unit) == sort(pattern) { same.push(score) } else { other.push(score) }
        }
    }
    (same, other)
}

/// What sort of work a pattern is: an operation's behaviour, or the kind of its unit.
fn sort(pattern: &Pattern) -> String {
    if pattern.unit_key.starts_with("router/") {
        return pattern.text.split([':', ',']).next().unwrap().split(" with ").next().unwrap().to_owned();
    }
    let (kind, rest) = pattern.unit_key.split_once('/').unwrap_or((&pattern.unit_key, ""));
    if kind == "project" || rest.starts_with("rules/") { pattern.unit_key.split('/').take(2).collect() } else { kind.to_owned() }
}

async fn embedded<'a>(embedder: &dyn Embedder, texts: impl Iterator<Item = &'a str>) -> Vec<Vec<f32>> {
    embedder.embed(texts.map(str::to_owned).collect()).await.unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a small test set")]
fn ratio(part: usize, whole: usize) -> f32 {
    part as f32 / whole as f32
}

/// The threshold that an embedder brings along must be one that was measured: a change of the texts that makes it wrong fails here.
fn check(name: &str, quality: &Quality, recall_min: f32, reciprocal_rank_min: f32) {
    println!("{name}: {quality:?}");
    assert!(quality.recall >= recall_min, "{name}: {quality:?}");
    assert!(quality.reciprocal_rank >= reciprocal_rank_min, "{name}: {quality:?}");
    let separation = |(same, other): (f32, f32)| same - other;
    assert!(
        separation(quality.at_own) >= separation(quality.at_best) - 0.03,
        "{name}: similar_from() should be near {}: {quality:?}",
        quality.best_threshold
    );
}

#[tokio::test]
async fn the_lexical_embedder_finds_what_shares_words() {
    check("lexical", &measure(Arc::new(Lexical)).await, 0.9, 0.85);
}

#[tokio::test]
async fn the_neural_embedder_finds_what_is_meant() {
    let settings = Settings { choice: EmbedderChoice::Fastembed, ..Settings::of(&Config::load(&[]).unwrap()) };
    match embed::open(&settings).await {
        Ok((embedder, _)) => check("neural", &measure(embedder).await, 0.9, 0.9),
        Err(missing) => {
            let required = std::env::var_os("SPECWAVE_REQUIRE_SERVICES").is_some_and(|value| value == "1");
            assert!(!required, "{missing}; {}", missing.hint());
            eprintln!("skipped: {missing} ({})", missing.hint());
        }
    }
}
