//! Conditions of rules: comparisons, `is one of`, `is present`, joined by `and` and `or`; checked against the entity's types.

use serde_json::Value;

use super::draft::Text;
use super::rule_words::{Token, TokenKind};
use super::{field, rule_compare};
use crate::model::rule::{Comparison, Condition, Expression};
use crate::model::{Entity, Field, FieldType, Finding, Position};

/// Deepest nesting of parentheses.
const PARENTHESES_MAX: usize = 16;
/// Words that no expression may consist of.
const KEYWORDS: [&str; 9] = ["and", "or", "when", "is", "not", "per", "moves", "never", "only"];

/// Why a rule was not read.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is not in the documented syntax.
    Unreadable,
    /// It is, but says something that cannot be.
    Wrong(Box<Finding>),
}

impl Trouble {
    /// A mistake at a place.
    pub(super) fn wrong(code: &str, message: impl Into<String>, position: Position, hint: impl Into<String>) -> Self {
        Self::Wrong(Box::new(Finding::error(code, message, Some(position), hint)))
    }
}

/// An expression as written.
#[derive(Debug, Clone)]
pub(super) enum Raw {
    /// A word: a field, a value of an enum, a date, `today`, `now`, `true`, `false`.
    Word(String, Position),
    /// A number.
    Number(String, Position),
    /// A text in quotes.
    Quoted(String, Position),
    /// Two expressions and the operator between them.
    Arithmetic(Box<Raw>, char, Box<Raw>),
}

impl Raw {
    /// Where it begins.
    pub(super) fn position(&self) -> Position {
        match self {
            Self::Word(_, position) | Self::Number(_, position) | Self::Quoted(_, position) => *position,
            Self::Arithmetic(left, ..) => left.position(),
        }
    }
}

/// Reads conditions from the tokens of a rule.
pub(super) struct Conditions<'r> {
    text: &'r Text,
    entity: &'r Entity,
    tokens: &'r [Token],
    at: usize,
    depth: usize,
}

impl<'r> Conditions<'r> {
    /// Begins at the first token.
    pub(super) fn new(text: &'r Text, entity: &'r Entity, tokens: &'r [Token]) -> Self {
        Self { text, entity, tokens, at: 0, depth: 0 }
    }

    /// A whole condition: `and` binds closer than `or`.
    pub(super) fn condition(&mut self) -> Result<Condition, Trouble> {
        self.depth += 1;
        if self.depth > PARENTHESES_MAX {
            return Err(Trouble::Unreadable);
        }
        let mut any = vec![self.all()?];
        while self.skip_words(&["or"]) {
            any.push(self.all()?);
        }
        self.depth -= 1;
        Ok(if any.len() == 1 { any.remove(0) } else { Condition::Any(any) })
    }

    fn all(&mut self) -> Result<Condition, Trouble> {
        let mut all = vec![self.atom()?];
        while self.skip_words(&["and"]) {
            all.push(self.atom()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::All(all) })
    }

    fn atom(&mut self) -> Result<Condition, Trouble> {
        // A parenthesis opens a condition or an expression: the condition is tried first.
        let start = self.at;
        if self.skip_symbol("(") {
            let depth = self.depth;
            if let Ok(condition) = self.condition()
                && self.skip_symbol(")")
                && !self.operator_follows()
            {
                return Ok(condition);
            }
            (self.at, self.depth) = (start, depth);
        }
        let left = self.expression()?;
        if self.skip_words(&["is"]) {
            return self.is(&left);
        }
        match self.comparison() {
            Some(comparison) => {
                let right = self.expression()?;
                rule_compare::compare(self.entity, &left, comparison, &right)
            }
            None => self.flag(&left),
        }
    }

    /// What follows `F is`.
    fn is(&mut self, left: &Raw) -> Result<Condition, Trouble> {
        if self.skip_words(&["present"]) {
            return Ok(Condition::Present(self.field_of(left)?));
        }
        if self.skip_words(&["absent"]) {
            return Ok(Condition::Absent(self.field_of(left)?));
        }
        if self.skip_words(&["one", "of"]) {
            return self.one_of(left);
        }
        let comparison = if self.skip_words(&["not"]) { Comparison::NotEqual } else { Comparison::Equal };
        let right = self.expression()?;
        rule_compare::compare(self.entity, left, comparison, &right)
    }

    fn one_of(&mut self, left: &Raw) -> Result<Condition, Trouble> {
        let field = self.field_of(left)?;
        let brackets = self.skip_symbol("(");
        let mut values = Vec::new();
        loop {
            let position = self.here();
            let text = self.take_text(&[TokenKind::Word, TokenKind::Number, TokenKind::Quoted]).ok_or(Trouble::Unreadable)?;
            let value = super::values::of_type(&text, &self.named(&field).field_type)
                .map_err(|reason| Trouble::wrong("unknown-value", reason, position, "correct the value"))?;
            values.push(value);
            if !self.skip_symbol(",") {
                break;
            }
        }
        if brackets && !self.skip_symbol(")") {
            return Err(Trouble::Unreadable);
        }
        Ok(Condition::OneOf { field, values })
    }

    /// A boolean field that stands alone.
    fn flag(&self, left: &Raw) -> Result<Condition, Trouble> {
        let Raw::Word(name, _) = left else { return Err(Trouble::Unreadable) };
        match field::named(&self.entity.fields, name) {
            Some(field) if field.field_type == FieldType::Boolean => Ok(Condition::Compare {
                left: Expression::Field(field.name.clone()),
                comparison: Comparison::Equal,
                right: Expression::Literal(Value::Bool(true)),
            }),
            _ => Err(Trouble::Unreadable),
        }
    }

    fn expression(&mut self) -> Result<Raw, Trouble> {
        let mut left = self.product()?;
        while let Some(operator) = self.one_symbol(&["+", "-"]) {
            left = Raw::Arithmetic(Box::new(left), operator, Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Raw, Trouble> {
        let mut left = self.operand()?;
        while let Some(operator) = self.one_symbol(&["*"]) {
            left = Raw::Arithmetic(Box::new(left), operator, Box::new(self.operand()?));
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Raw, Trouble> {
        if self.skip_symbol("(") {
            self.depth += 1;
            if self.depth > PARENTHESES_MAX {
                return Err(Trouble::Unreadable);
            }
            let inner = self.expression()?;
            self.depth -= 1;
            return if self.skip_symbol(")") { Ok(inner) } else { Err(Trouble::Unreadable) };
        }
        let position = self.here();
        let token = self.tokens.get(self.at).ok_or(Trouble::Unreadable)?;
        let text = token.text.clone();
        let raw = match token.kind {
            TokenKind::Word if !KEYWORDS.contains(&text.to_lowercase().as_str()) => Raw::Word(text, position),
            TokenKind::Number => Raw::Number(text, position),
            TokenKind::Quoted => Raw::Quoted(text, position),
            _ => return Err(Trouble::Unreadable),
        };
        self.at += 1;
        Ok(raw)
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let symbols = [
            ("==", Comparison::Equal),
            ("=", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            ("<", Comparison::Less),
            (">=", Comparison::GreaterOrEqual),
            (">", Comparison::Greater),
        ];
        symbols.into_iter().find(|(symbol, _)| self.skip_symbol(symbol)).map(|(_, comparison)| comparison)
    }

    fn operator_follows(&self) -> bool {
        let token = self.tokens.get(self.at);
        token.is_some_and(|token| match token.kind {
            TokenKind::Symbol => !matches!(token.text.as_str(), ")" | ","),
            _ => token.text == "is",
        })
    }

    fn field_of(&self, raw: &Raw) -> Result<String, Trouble> {
        match raw {
            Raw::Word(name, position) => self.find(name, *position),
            _ => Err(Trouble::Unreadable),
        }
    }

    fn find(&self, name: &str, position: Position) -> Result<String, Trouble> {
        match field::named(&self.entity.fields, name) {
            Some(field) => Ok(field.name.clone()),
            None => Err(Trouble::Wrong(Box::new(field::unknown(&self.entity.fields, &self.entity.name, name, position)))),
        }
    }

    /// The field of that wire name, which was found before.
    pub(super) fn named(&self, name: &str) -> &'r Field {
        self.entity.field(name).expect("the name came from `find`")
    }

    /// Takes a field's name.
    pub(super) fn field(&mut self) -> Result<String, Trouble> {
        let position = self.here();
        let name = self.take_text(&[TokenKind::Word, TokenKind::Quoted]).ok_or(Trouble::Unreadable)?;
        self.find(&name, position)
    }

    /// Takes the name of a field that a database can compare and index.
    pub(super) fn column(&mut self) -> Result<String, Trouble> {
        let position = self.here();
        let name = self.field()?;
        if matches!(self.named(&name).field_type, FieldType::List(_) | FieldType::Object(_) | FieldType::Json) {
            let message = format!("`{name}` is stored as JSON and cannot be compared between rows");
            return Err(Trouble::wrong("rule-type", message, position, "use a plain field, or make it an entity"));
        }
        Ok(name)
    }

    /// The place of the next token.
    pub(super) fn here(&self) -> Position {
        let offset = self.tokens.get(self.at).map_or(self.text.text.len(), |token| token.offset);
        self.text.at(offset)
    }

    /// The next token's text, empty at the end.
    pub(super) fn word_text(&self) -> String {
        self.tokens.get(self.at).map(|token| token.text.clone()).unwrap_or_default()
    }

    /// Passes one token.
    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    /// Takes the next token if it is of one of these kinds.
    pub(super) fn take_text(&mut self, kinds: &[TokenKind]) -> Option<String> {
        let token = self.tokens.get(self.at).filter(|token| kinds.contains(&token.kind))?;
        self.at += 1;
        Some(token.text.clone())
    }

    /// Passes these words if they follow.
    pub(super) fn skip_words(&mut self, words: &[&str]) -> bool {
        let follow = words.iter().enumerate().all(|(index, word)| self.word_at(self.at + index, word));
        if follow {
            self.at += words.len();
        }
        follow
    }

    /// Passes this symbol if it follows.
    pub(super) fn skip_symbol(&mut self, symbol: &str) -> bool {
        let follows = self.tokens.get(self.at).is_some_and(|token| token.kind == TokenKind::Symbol && token.text == symbol);
        if follows {
            self.at += 1;
        }
        follows
    }

    fn one_symbol(&mut self, symbols: &[&str]) -> Option<char> {
        let symbol = symbols.iter().find(|symbol| self.skip_symbol(symbol))?;
        symbol.chars().next()
    }

    fn word_at(&self, index: usize, word: &str) -> bool {
        self.tokens.get(index).is_some_and(|token| token.kind == TokenKind::Word && token.text.eq_ignore_ascii_case(word))
    }

    /// True when the second token is this word.
    pub(super) fn second_is(&self, word: &str) -> bool {
        self.word_at(self.at + 1, word)
    }

    /// True when the third token is this word.
    pub(super) fn third_is(&self, word: &str) -> bool {
        self.word_at(self.at + 2, word)
    }

    /// True when the rule ends with these words.
    pub(super) fn ends_with(&self, words: &[&str]) -> bool {
        let start = self.tokens.len().checked_sub(words.len());
        start.is_some_and(|start| words.iter().enumerate().all(|(index, word)| self.word_at(start + index, word)))
    }

    /// True when every token was read.
    pub(super) fn finished(&self) -> bool {
        self.at == self.tokens.len()
    }
}
