//! What a finished file offers to those that build on it: names and signatures without bodies.

/// The public interface of a file: for Python its classes with their typed attributes, and signatures of functions and
/// methods; for other texts their first lines. Private names are left out. Same bytes, same answer.
pub fn interface(path: &str, content: &str) -> String {
    if path.rsplit('.').next().is_some_and(|extension| extension.eq_ignore_ascii_case("py")) { python(content) } else { head(content) }
}

/// Lines shown of a text whose language is not known.
const HEAD_LINES: usize = 12;

fn head(content: &str) -> String {
    let kept: String = content.split_inclusive('\n').take(HEAD_LINES).collect();
    let hidden = content.lines().count().saturating_sub(HEAD_LINES);
    if hidden > 0 { kept + &format!("… {hidden} more lines\n") } else { kept }
}

fn python(content: &str) -> String {
    let mut kept = String::new();
    let mut signature_open = false;
    // Bodies are deeper than what opened them; the shallowest open function hides everything below it.
    let mut hidden_below: Option<usize> = None;
    for line in content.lines() {
        let text = line.trim();
        let depth = line.len() - line.trim_start().len();
        if signature_open {
            kept.push_str(line);
            kept.push('\n');
            signature_open = !text.ends_with(':') || text.ends_with("(:");
            continue;
        }
        if text.is_empty() || hidden_below.is_some_and(|opener| depth > opener) {
            continue;
        }
        hidden_below = None;
        let function = text.strip_prefix("async def ").or_else(|| text.strip_prefix("def "));
        if let Some(name) = function.or_else(|| text.strip_prefix("class ")) {
            let private = name.starts_with('_') && !name.starts_with("__init__");
            if function.is_some() || private {
                hidden_below = Some(depth);
            }
            if !private {
                kept.push_str(line);
                kept.push('\n');
                signature_open = !text.ends_with(':');
            }
        } else if attribute(text) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// `name: type` or `NAME = value` on one line.
fn attribute(text: &str) -> bool {
    let name: String = text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
    if name.is_empty() || name.starts_with('_') || text.ends_with(['(', '[', '{', ',']) {
        return false;
    }
    let rest = text[name.len()..].trim_start();
    rest.starts_with(": ") || (rest.starts_with("= ") && name.chars().any(char::is_uppercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_keeps_what_others_may_use() {
        let source = "\"\"\"Books.\"\"\"\nimport x\n\nLIMIT_MAX = 100\n\n\nclass Book(Base):\n    \"\"\"A book.\"\"\"\n\n    title: Mapped[str] = mapped_column(String(200))\n    _secret: int = 1\n\n    def price(\n        self,\n        factor: int,\n    ) -> int:\n        total: int = factor\n        return total\n\n\ndef _hidden(a: int) -> int:\n    b: int = 1\n    return b\n\n\nasync def find(session: Session) -> Book:\n    return session.one()\n";
        let expect = "LIMIT_MAX = 100\nclass Book(Base):\n    title: Mapped[str] = mapped_column(String(200))\n    def price(\n        self,\n        factor: int,\n    ) -> int:\nasync def find(session: Session) -> Book:\n";
        assert_eq!(interface("src/book.py", source), expect);
    }

    #[test]
    fn other_texts_show_their_head() {
        let text = "line\n".repeat(20);
        assert!(interface("README.md", &text).ends_with("line\n… 8 more lines\n"));
        assert_eq!(interface("a.sql", "select 1\n"), "select 1\n");
    }
}
