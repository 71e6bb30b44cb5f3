//! Reads a JUnit XML report: which tests ran and how each ended.

use std::collections::BTreeMap;

use crate::model::Verdict;

/// The largest report that is read.
const REPORT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Tests by `classname.name`, parameters cut off (`test_x[3]` counts for `test_x`), the worst verdict of each.
pub fn read(xml: &str) -> Result<BTreeMap<String, Verdict>, String> {
    if xml.len() > REPORT_BYTES_MAX {
        return Err(format!("the test report is larger than {REPORT_BYTES_MAX} bytes"));
    }
    let document = roxmltree::Document::parse(xml).map_err(|error| format!("the test report is not XML: {error}"))?;
    let mut tests = BTreeMap::new();
    for case in document.descendants().filter(|node| node.has_tag_name("testcase")) {
        let name = case.attribute("name").unwrap_or_default();
        let name = name.split('[').next().unwrap_or(name);
        let key = format!("{}::{name}", case.attribute("classname").unwrap_or_default());
        let verdict = match case.children().find(roxmltree::Node::is_element).map(|child| child.tag_name().name().to_owned()).as_deref() {
            Some("failure" | "error") => Verdict::Failed,
            Some("skipped") => Verdict::Skipped,
            _ => Verdict::Passed,
        };
        tests.entry(key).and_modify(|known| *known = worse(*known, verdict)).or_insert(verdict);
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
        let tests: Vec<_> = read(xml).unwrap().into_iter().collect();
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
