//! Reads a JUnit XML report: which tests ran, in how many cases, and how each ended.
//!
//! Called by the validation. It judges nothing.

use std::collections::BTreeMap;

use crate::model::Verdict;

/// The largest report that is read.
const REPORT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tests {
    /// By `classname.name`, parameters cut off (`test_x[3]` counts for `test_x`), the worst verdict of each.
    pub by_name: BTreeMap<String, Verdict>,
    /// Cases, each parameter being one, as the tool itself counts them.
    pub cases: BTreeMap<Verdict, usize>,
}

/// Reads it.
pub fn read(xml: &str) -> Result<Tests, String> {
    if xml.len() > REPORT_BYTES_MAX {
        return Err(format!("the test report is larger than {REPORT_BYTES_MAX} bytes"));
    }
    let document = roxmltree::Document::parse(xml).map_err(|error| format!("the test report is not XML: {error}"))?;
    let mut tests = Tests::default();
    for case in document.descendants().filter(|node| node.has_tag_name("testcase")) {
        let name = case.attribute("name").unwrap_or_default();
        let name = name.split('[').next().unwrap_or(name);
        let key = format!("{}::{name}", case.attribute("classname").unwrap_or_default());
        let verdict = match case.children().find(roxmltree::Node::is_element).map(|child| child.tag_name().name().to_owned()).as_deref() {
            Some("failure" | "error") => Verdict::Failed,
            Some("skipped") => Verdict::Skipped,
            _ => Verdict::Passed,
        };
        *tests.cases.entry(verdict).or_default() += 1;
        tests.by_name.entry(key).and_modify(|known| *known = worse(*known, verdict)).or_insert(verdict);
    }
    Ok(tests)
}

fn worse(left: Verdict, right: Verdict) -> Verdict {
    match (left, right) {
        (Verdict::Failed, _) | (_, Verdict::Failed) => Verdict::Failed,
        (Verdict::Skipped, _) | (_, Verdict::Skipped) => Verdict::Skipped,
        _ => Verdict::Passed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_parameter_decides() {
        let xml = r#"<testsuites><testsuite>
            <testcase classname="tests.test_books" name="test_create[a]"/>
            <testcase classname="tests.test_books" name="test_create[b]"><failure message="x">y</failure></testcase>
            <testcase classname="tests.test_books" name="test_read"/>
            <testcase classname="tests.test_books" name="test_pg"><skipped/></testcase>
        </testsuite></testsuites>"#;
        let Tests { by_name, cases } = read(xml).unwrap();
        assert_eq!(cases, BTreeMap::from([(Verdict::Passed, 2), (Verdict::Failed, 1), (Verdict::Skipped, 1)]));
        let tests: Vec<_> = by_name.into_iter().collect();
        let expected = [
            ("tests.test_books::test_create", Verdict::Failed),
            ("tests.test_books::test_pg", Verdict::Skipped),
            ("tests.test_books::test_read", Verdict::Passed),
        ];
        assert_eq!(tests, expected.map(|(name, verdict)| (name.to_owned(), verdict)));
    }

    #[test]
    fn what_is_no_report_is_refused() {
        assert!(read("<a>").is_err());
        assert!(read(&" ".repeat(REPORT_BYTES_MAX + 1)).is_err());
    }
}
