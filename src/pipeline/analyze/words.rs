//! Words of statements: enough of English to see that two sentences speak of the same thing, and no more.

/// A text on one line.
pub(in crate::pipeline) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text in lower case without punctuation, for telling repetitions.
pub(super) fn normalized(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_alphanumeric() || "/{}._<>=".contains(c) { c.to_ascii_lowercase() } else { ' ' }).collect();
    one_line(plain.trim_end_matches('.'))
}

/// The words of a text in lower case; `snake_case` and `CamelCase` names come apart; numbers stay whole.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut last = ' ';
    for c in text.chars() {
        let camel = c.is_uppercase() && last.is_lowercase();
        let inner_point = c == '.' && last.is_ascii_digit();
        if camel || !(c.is_alphanumeric() || inner_point) {
            found.push(String::new());
        }
        if c.is_alphanumeric() || inner_point {
            found.last_mut().expect("it starts with one word").extend(c.to_lowercase());
        }
        last = c;
    }
    let trimmed = found.into_iter().map(|word| word.trim_end_matches('.').to_owned());
    trimmed.filter(|word| !word.is_empty()).collect()
}

/// Words that say nothing about what a sentence is about.
const FILLERS: &[&str] = &[
    "a", "an", "and", "any", "are", "as", "at", "be", "been", "by", "can", "cannot", "could", "do", "does", "each", "every", "for", "from",
    "has", "have", "if", "in", "into", "is", "it", "its", "may", "must", "no", "not", "of", "on", "one", "only", "or", "shall", "should",
    "so", "than", "that", "the", "their", "them", "then", "there", "they", "this", "to", "was", "were", "when", "where", "which", "while",
    "who", "whose", "will", "with", "without", "always", "all", "also", "exactly", "s", "t", "never", "system", "service", "api", "still",
];

/// The words that carry meaning.
pub(super) fn salient(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).filter(|word| !FILLERS.contains(word)).collect()
}

/// True when two words share their stem: equal, or alike in their first letters apart from an ending.
pub(super) fn same_stem(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    if one.chars().chain(other.chars()).any(|c| c.is_ascii_digit()) {
        return false;
    }
    let common = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let (short, long) = (one.chars().count().min(other.chars().count()), one.chars().count().max(other.chars().count()));
    let inflected = common == short && common >= 3 && long - short <= 3;
    let derived = common < short && common >= 5 && 2 * common >= short && 5 * common >= 2 * long;
    inflected || derived
}

/// True when one of these words has the stem of one of those.
pub(super) fn any_stem(words: &[String], stems: &[&str]) -> bool {
    words.iter().any(|word| stems.iter().any(|stem| same_stem(word, stem)))
}

/// The numbers of a text, as written.
pub(super) fn numbers(words: &[String]) -> impl Iterator<Item = &str> {
    words.iter().map(String::as_str).filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

/// True when the text says that something is not so.
pub(super) fn negative(words: &[String]) -> bool {
    words.iter().enumerate().any(|(at, word)| match word.as_str() {
        "cannot" | "never" | "refused" | "rejected" | "forbidden" | "prevented" | "impossible" | "no" | "neither" | "nobody" => true,
        "not" => words.get(at + 1).map(String::as_str) != Some("only"),
        // "can't" and "isn't" come apart at the apostrophe.
        "t" => at > 0,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_apart_and_numbers_do_not() {
        let check = |text: &str, expect: &[&str]| assert_eq!(words(text), expect);
        check("OrderLine.unit_price is 2.50.", &["order", "line", "unit", "price", "is", "2.50"]);
        check("", &[]);
        check("a page holds at most 100 rows", &["a", "page", "holds", "at", "most", "100", "rows"]);
    }

    #[test]
    fn endings_do_not_matter_and_other_words_do() {
        let check = |one: &str, other: &str, expect: bool| assert_eq!(same_stem(one, other), expect, "{one} {other}");
        check("book", "books", true);
        check("published", "publication", true);
        check("delete", "deleted", true);
        check("category", "categories", true);
        check("retire", "retired", true);
        check("book", "bookshelf", false);
        check("rating", "ratio", false);
        check("author", "authorization", false);
        check("10", "100", false);
        check("price", "print", false);
    }
}
