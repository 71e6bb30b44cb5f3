//! The probe against what the generator makes: the two must agree on what every specification demands.

use std::path::Path;

use specwave::exec::Recorder;
use specwave::model::SpecDocument;
use specwave::pipeline::probe::probe;
use tokio_util::sync::CancellationToken;

use crate::generated::{Generated, example};
use crate::probe::{failures, read, skipped};

async fn check(document: &SpecDocument) {
    let Some(generated) = Generated::of(document).await else { return };
    let report = probe(document, &generated.service(), &Recorder::nowhere(), &CancellationToken::new()).await.unwrap();
    println!("{}: {} calls, ready after {} ms, {}", document.title, report.calls.len(), report.ready_ms, report.confinement);
    assert_eq!(failures(&report), Vec::<String>::new(), "{}", document.title);
    assert_eq!(skipped(&report), Vec::<String>::new(), "{}", document.title);
}

#[tokio::test]
async fn the_generated_bookstore_passes() {
    check(&example("bookstore.md")).await;
}

#[tokio::test]
async fn the_generated_clinic_passes() {
    check(&example("clinic.md")).await;
}

#[tokio::test]
async fn the_generated_shop_passes() {
    check(&example("commerce.md")).await;
}

#[tokio::test]
async fn generated_services_of_real_documents_pass() {
    let Some(inputs) = std::env::var_os("SPECWAVE_REAL_INPUTS") else {
        return println!("skipped: SPECWAVE_REAL_INPUTS is not set");
    };
    for name in ["petstore.yaml", "petstore-expanded.yaml", "realworld.yaml"] {
        let path = Path::new(&inputs).join("openapi").join(name);
        check(&read(&std::fs::read(path).unwrap(), name)).await;
    }
}
