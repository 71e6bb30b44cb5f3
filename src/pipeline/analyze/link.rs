//! Which statement restates something that is checked anyway: a rule, a constraint, an operation, a project check.
//!
//! Deliberately narrow. Every part of the specification says which words a sentence about it must and may contain, which
//! numbers, and whether the sentence affirms or denies. At most one meaningful word in four may stay unexplained.
//! A link that is missed costs a hint; a link that is wrong would be a false proof.

use crate::model::spec::{Statement, StatementOrigin};
use crate::model::{SpecDocument, Subject};

use super::words::{any_stem, negative, numbers, salient, same_stem, words};
use super::{about_fields, about_operations, about_rules, project};

/// What a statement has to do with what is checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Link {
    /// It says the same.
    To {
        /// What is checked.
        subject: Subject,
        /// Why it is taken so.
        because: String,
    },
    /// It says the opposite.
    Contradicts {
        /// Of what, in words.
        what: String,
    },
    /// It stands alone.
    None,
}

/// Everything that statements are compared with.
pub(super) struct Linker<'a> {
    document: &'a SpecDocument,
    candidates: Vec<Candidate>,
}

/// A checked part of the specification and the words of a sentence about it.
pub(super) struct Candidate {
    pub(super) subject: Subject,
    pub(super) because: String,
    /// One word of each group is there.
    pub(super) must: Vec<Vec<String>>,
    /// These may be there too.
    pub(super) may: Vec<String>,
    /// Numbers that may be there.
    pub(super) numbers: Vec<String>,
    /// How many meaningful words are explained at least.
    pub(super) explained_min: usize,
    /// How many of a hundred meaningful words may stay unexplained.
    pub(super) unexplained_percent: usize,
    pub(super) sense: Sense,
}

/// What a sentence must say about its words.
pub(super) enum Sense {
    /// It affirms (or denies that it can be without).
    Affirmed,
    /// It denies, or uses one of these words.
    DeniedOr(&'static [&'static str]),
    /// It allows something to rows in the first states, or denies it to rows in the others.
    Guard { allowed: Vec<String>, refused: Vec<String> },
    /// It affirms a move along an edge or denies one that is none.
    Moves { states: Vec<String>, edges: Vec<(String, String)> },
    /// It compares; true means that the word of the first is the greater one.
    Greater { first: Vec<String>, second: Vec<String>, greater: bool },
    /// It names the operation that makes a sum, product or difference.
    Arithmetic { operators: Vec<char> },
    /// Its numbers are these bounds.
    Range { min: Option<String>, max: Option<String> },
}

/// At most one meaningful word in four stays unexplained.
pub(super) const UNEXPLAINED_PERCENT: usize = 25;

/// How a sentence fits a candidate.
enum Fit {
    /// It says the same; how many words are explained and how many are not.
    Same {
        explained: usize,
        unexplained: usize,
    },
    Opposite,
    Other,
}

impl<'a> Linker<'a> {
    pub(super) fn new(document: &'a SpecDocument) -> Self {
        let mut candidates = about_rules::candidates(document);
        candidates.extend(about_fields::candidates(document));
        candidates.extend(about_operations::candidates(document));
        Self { document, candidates }
    }

    pub(super) fn link(&self, statement: &Statement) -> Link {
        let words = words(wish(&statement.text));
        if statement.origin == StatementOrigin::NonFunctional {
            return project::link(self.document, &words);
        }
        let mut best: Option<(f64, &Candidate)> = None;
        let mut opposite = None;
        for candidate in &self.candidates {
            match candidate.fit(&words) {
                Fit::Same { explained, unexplained } => {
                    let score = share(explained, explained + unexplained);
                    if best.is_none_or(|(most, _)| score > most) {
                        best = Some((score, candidate));
                    }
                }
                Fit::Opposite => opposite = opposite.or(Some(candidate)),
                Fit::Other => {}
            }
        }
        match (best, opposite) {
            (Some((_, candidate)), _) => Link::To { subject: candidate.subject.clone(), because: candidate.because.clone() },
            (None, Some(candidate)) => Link::Contradicts { what: candidate.subject.to_string() },
            (None, None) => project::link(self.document, &words),
        }
    }
}

impl Candidate {
    fn fit(&self, words: &[String]) -> Fit {
        if !self.must.iter().all(|group| words.iter().any(|word| group.iter().any(|stem| same_stem(word, stem)))) {
            return Fit::Other;
        }
        if numbers(words).any(|number| !self.numbers.iter().any(|known| known == number)) {
            return Fit::Other;
        }
        let explains = |word: &str| self.must.iter().flatten().chain(&self.may).any(|stem| same_stem(word, stem));
        let meaningful = salient(words);
        let explained = meaningful.iter().filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) || explains(word)).count();
        let unexplained = meaningful.len() - explained;
        if explained < self.explained_min || 100 * unexplained > self.unexplained_percent * meaningful.len() {
            return Fit::Other;
        }
        match self.sense.agrees(words) {
            Some(true) => Fit::Same { explained, unexplained },
            Some(false) if unexplained == 0 => Fit::Opposite,
            _ => Fit::Other,
        }
    }
}

/// Words after which the rows that are meant are the ones left out.
const EXCEPTIONS: &[&str] = &["unless", "except", "until", "before", "other", "otherwise"];

impl Sense {
    /// Whether a sentence with these words says the same (true), the opposite (false), or something else.
    fn agrees(&self, words: &[String]) -> Option<bool> {
        let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let denied = negative(words);
        match self {
            Self::Affirmed => (!denied || has(&["without", "unless"])).then_some(true),
            Self::DeniedOr(others) => (denied || has(others)).then_some(true),
            Self::Guard { allowed, refused } => {
                let excepted = has(EXCEPTIONS);
                let named = |states: &[String]| states.iter().any(|state| says(words, state));
                match (named(allowed), named(refused)) {
                    (true, false) => Some(!denied || excepted),
                    (false, true) if !excepted => Some(denied),
                    _ => None,
                }
            }
            Self::Moves { states, edges } => {
                let named: Vec<&String> = in_order_of_mention(words, states);
                let [from, to] = named.as_slice() else { return None };
                let exists = edges.iter().any(|(a, b)| a == *from && b == *to);
                (!has(EXCEPTIONS) && !has(&["after"])).then_some(exists != denied)
            }
            Self::Greater { first, second, greater } => {
                let says_greater = any_stem(words, &["greater", "more", "above", "after", "later", "exceeds", "larger", "over"]);
                let says_less = any_stem(words, &["less", "below", "before", "earlier", "under", "smaller", "within"]);
                if says_greater == says_less {
                    return None;
                }
                let swapped = place(words, second)? < place(words, first)?;
                let same = (says_greater != denied) != swapped;
                (same == *greater).then_some(true)
            }
            Self::Arithmetic { operators } => {
                let named = |operator: &char| match operator {
                    '+' => has(&["sum", "plus", "sums", "add", "adds"]),
                    '*' => has(&["times", "product", "multiplied"]),
                    _ => has(&["minus", "difference"]),
                };
                (!denied && operators.iter().all(named)).then_some(true)
            }
            Self::Range { min, max } => range(words, min.as_deref(), max.as_deref(), denied),
        }
    }
}

/// Whether the numbers of a sentence are the bounds that it calls them.
fn range(words: &[String], min: Option<&str>, max: Option<&str>, denied: bool) -> Option<bool> {
    if denied && any_stem(words, &["negative"]) {
        return (min == Some("0")).then_some(true);
    }
    let found: Vec<&str> = numbers(words).collect();
    let lower = any_stem(words, &["least", "minimum"]);
    let upper = any_stem(words, &["most", "maximum", "exceed", "longer"]);
    let both = any_stem(words, &["between"]) || words.iter().any(|word| word == "to");
    let holds = match (found.as_slice(), lower, upper) {
        ([one], true, false) => min == Some(*one),
        ([one], false, true) => max == Some(*one),
        ([low, high], _, _) if both || lower && upper => min == Some(*low) && max == Some(*high),
        _ => return None,
    };
    holds.then_some(true)
}

/// The states that a sentence names, in the order in which it does.
fn in_order_of_mention<'a>(words: &[String], states: &'a [String]) -> Vec<&'a String> {
    let mut named: Vec<(usize, &String)> =
        states.iter().filter_map(|state| words.iter().position(|word| same_stem(word, state)).map(|at| (at, state))).collect();
    named.sort_unstable();
    named.into_iter().map(|(_, state)| state).collect()
}

fn place(words: &[String], stems: &[String]) -> Option<usize> {
    words.iter().position(|word| stems.iter().any(|stem| same_stem(word, stem)))
}

fn says(words: &[String], name: &str) -> bool {
    let parts = super::words::words(name);
    parts.iter().all(|part| words.iter().any(|word| same_stem(word, part)))
}

/// The wish of a user story, without who wishes and what for; any other sentence whole.
fn wish(text: &str) -> &str {
    let start = ["I want to ", "I can ", "wants to ", "I need to "].iter().find_map(|lead| text.find(lead).map(|at| at + lead.len()));
    let text = start.map_or(text, |start| &text[start..]);
    text.find(" so that ").or_else(|| text.find(", so that")).map_or(text, |end| &text[..end])
}

/// The words of a name as a group each: all of them have to be mentioned.
pub(super) fn each_word(name: &str) -> Vec<Vec<String>> {
    let words = words(name);
    let meaningful: Vec<Vec<String>> = salient(&words).into_iter().map(|word| vec![word.to_owned()]).collect();
    if meaningful.is_empty() { vec![words] } else { meaningful }
}

pub(super) fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of words")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}
