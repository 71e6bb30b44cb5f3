//! Cuts a rule into words, numbers, quoted texts and symbols.

/// Most tokens of one rule.
const TOKENS_MAX: usize = 400;
/// The symbols, longest first.
const SYMBOLS: [&str; 14] = ["->", "→", ">=", "<=", "!=", "==", "=", "<", ">", "(", ")", ",", "+", "*"];

/// A piece of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    /// What it is.
    pub(super) kind: TokenKind,
    /// Its text; without quotes where it was quoted.
    pub(super) text: String,
    /// The byte at which it begins.
    pub(super) offset: usize,
}

/// The kinds of piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name or keyword; hyphens and dots inside it belong to it.
    Word,
    /// A number.
    Number,
    /// A text in quotes.
    Quoted,
    /// An operator, bracket or comma.
    Symbol,
}

/// The pieces of a rule; none when it contains anything else or is too long.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut offset = 0;
    while offset < text.len() {
        let rest = &text[offset..];
        let first = rest.chars().next()?;
        if first.is_whitespace() {
            offset += first.len_utf8();
            continue;
        }
        let (kind, length, skip) = token(rest, first, tokens.last())?;
        let word = &rest[skip..skip + length];
        let word = if word == "→" { "->" } else { word };
        tokens.push(Token { kind, text: word.to_owned(), offset });
        offset += length + skip * 2;
        if tokens.len() > TOKENS_MAX {
            return None;
        }
    }
    Some(tokens)
}

/// The kind of the next piece, its length, and how many bytes its quote takes on each side.
fn token(rest: &str, first: char, before: Option<&Token>) -> Option<(TokenKind, usize, usize)> {
    if matches!(first, '"' | '\'' | '`') {
        return rest[1..].find(first).map(|length| (TokenKind::Quoted, length, 1));
    }
    // A minus belongs to a number unless a value stands before it.
    let value_before = before.is_some_and(|token| token.kind != TokenKind::Symbol || token.text == ")");
    let negative = first == '-' && !value_before && rest[1..].starts_with(|next: char| next.is_ascii_digit());
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        return Some((TokenKind::Symbol, symbol.len(), 0));
    }
    if first == '-' && !negative {
        return Some((TokenKind::Symbol, 1, 0));
    }
    let sign = usize::from(negative);
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':');
    let mut length = sign;
    while let Some(next) = rest[length..].chars().next() {
        let joined = next == '-' && length > sign && rest[length + 1..].starts_with(|after: char| after.is_alphanumeric());
        if !inside(next) && !joined {
            break;
        }
        length += next.len_utf8();
    }
    let word = &rest[..length];
    let trimmed = word.trim_end_matches(['.', ':']).len();
    if trimmed <= sign {
        return None;
    }
    let number = super::values::number(&word[..trimmed]).is_some();
    Some((if number { TokenKind::Number } else { TokenKind::Word }, trimmed, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&[&str]>) {
        let found = tokens(text).map(|tokens| tokens.into_iter().map(|token| token.text).collect::<Vec<_>>());
        assert_eq!(found.as_deref().map(|found| found.iter().map(String::as_str).collect::<Vec<_>>()).as_deref(), expected);
    }

    #[test]
    fn rules_are_cut_into_pieces() {
        check("status moves draft -> in-progress→done", Some(&["status", "moves", "draft", "->", "in-progress", "->", "done"]));
        check("a>=-5 and b - 3 < 'x y'", Some(&["a", ">=", "-5", "and", "b", "-", "3", "<", "x y"]));
        check("(a,b) is unique", Some(&["(", "a", ",", "b", ")", "is", "unique"]));
        check("on = 2026-01-31", Some(&["on", "=", "2026-01-31"]));
        check("at = 09:30", Some(&["at", "=", "09:30"]));
        check("a ? b", None);
        check("a = 'x", None);
        check("", Some(&[]));
    }
}
