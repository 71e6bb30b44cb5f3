//! Which generated tests prove which part of the specification.

use std::collections::BTreeSet;

use super::project::Project;
use super::{GenerateError, Proof, TargetPack, context_rules, context_tests};
use crate::model::{SpecDocument, Subject};

impl TargetPack {
    /// Every generated test with what it proves, sorted; a subject without a proof is not tested by the generated project.
    pub fn proofs(&self, doc: &SpecDocument) -> Result<Vec<Proof>, GenerateError> {
        let project = Project::new(doc);
        let mut found = BTreeSet::new();
        for group in &doc.groups {
            let module = format!("tests.test_{}", Project::group_module(group));
            for operation in project.operations_in(group) {
                for test in context_tests::tests(&project, operation) {
                    let proof = |subject: Subject| Proof { subject, test: format!("{module}::{}", test.name) };
                    if operation.derivable() {
                        found.insert(proof(Subject::Operation(operation.key.clone())));
                    }
                    found.extend(test.proves.iter().cloned().map(proof));
                }
            }
        }
        for names in &project.entities {
            let module = format!("tests.test_{}_rules", names.module);
            for (rule, test) in context_rules::tests(&project, names) {
                let name = test["name"].as_str().unwrap_or_default();
                found.insert(Proof { subject: Subject::Rule(rule), test: format!("{module}::{name}") });
            }
        }
        Ok(found.into_iter().collect())
    }
}
