//! Cuts one function out of a file, so that a pattern shows the code of one operation and not of a whole router.

/// The Python function of that name with its decorators and the comment above them; none when the file has no such function.
pub fn python_function<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let lines: Vec<&str> = source.split_inclusive('\n').collect();
    let at = lines.iter().position(|line| defines(line, name))?;
    let depth = indent(lines[at]);
    let mut start = at;
    while start > 0 && !lines[start - 1].trim().is_empty() && indent(lines[start - 1]) >= depth && !opens_block(lines[start - 1]) {
        start -= 1;
    }
    let ends = |line: &str| !line.trim().is_empty() && indent(line) <= depth && !line.trim_start().starts_with([')', ']']);
    let mut end = lines[at + 1..].iter().position(|line| ends(line)).map_or(lines.len(), |after| at + 1 + after);
    while end > at + 1 && lines[end - 1].trim().is_empty() {
        end -= 1;
    }
    let offset = |line: usize| lines[..line].iter().map(|line| line.len()).sum::<usize>();
    Some(&source[offset(start)..offset(end)])
}

fn defines(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("def ").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with(['(', '[']))
}

fn opens_block(line: &str) -> bool {
    let line = line.trim();
    line.ends_with(':') && !line.starts_with('@')
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "router = APIRouter()\n\n\n@router.get(\n    \"/books\",\n    status_code=200,\n)\nasync def list_books(\n    session: Db,\n) -> Page:\n    \"\"\"List.\"\"\"\n    rows = []\n\n    return rows\n\n\n@router.post(\"/books\")\ndef create_book(body: BookIn) -> Book:\n    return body\n\n\nclass Books:\n    def first(self) -> int:\n        return 1\n\n    # The rest.\n    def list_books_all(self) -> int:\n        return 2\n";

    fn check(name: &str, starts: &str, ends: &str) {
        let found = python_function(SOURCE, name).unwrap();
        assert!(found.starts_with(starts) && found.ends_with(ends), "{name}: {found:?}");
    }

    #[test]
    fn decorators_signature_and_body_come_along() {
        check("list_books", "@router.get(\n", "return rows\n");
        check("create_book", "@router.post(\"/books\")\n", "return body\n");
        check("first", "    def first", "return 1\n");
        check("list_books_all", "    # The rest.\n", "return 2\n");
    }

    #[test]
    fn a_name_that_is_not_there_gives_nothing() {
        assert_eq!(python_function(SOURCE, "list_book"), None);
        assert_eq!(python_function("", "x"), None);
    }
}
