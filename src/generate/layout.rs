//! Lays out generated Python as `ruff format` would, for the constructs that the templates use.
//!
//! Templates write each statement on one line; lines that are too long are split here: at the last bracket, then one
//! element a line. Texts are never split. What it does not know (chains of calls, mixed operators) templates avoid.

use unicode_width::UnicodeWidthStr;

/// The formatter's default line length.
const WIDTH_MAX: usize = 88;

/// Splits lines that are too long and puts blank lines where the formatter wants them.
pub(super) fn tidy(source: &str) -> String {
    let mut lines = Vec::new();
    let mut in_text = false;
    for line in source.lines() {
        let line = line.trim_end();
        let quotes = line.matches("\"\"\"").count();
        let untouched = in_text || quotes > 0 || line.trim_start().starts_with('#');
        in_text ^= quotes % 2 == 1;
        if untouched || line.width() <= WIDTH_MAX {
            lines.push((line.to_owned(), untouched && quotes == 0 && !line.trim_start().starts_with('#')));
        } else {
            let indent = line.len() - line.trim_start().len();
            let mut split = Vec::new();
            statement(line.trim_start(), indent, &mut split);
            lines.extend(split.into_iter().map(|line| (line, false)));
        }
    }
    space(&lines)
}

/// Puts exactly the blank lines that the formatter wants around definitions, and never more than it allows.
fn space(lines: &[(String, bool)]) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut blank = 0;
    for (index, (line, text)) in lines.iter().enumerate() {
        if *text {
            out.extend(std::iter::repeat_n("", blank));
            blank = 0;
            out.push(line);
            continue;
        }
        if line.is_empty() {
            blank += 1;
            continue;
        }
        let indented = line.starts_with(' ');
        let previous = out.last().copied().unwrap_or_default();
        let definition = defines(line);
        let attached = previous.trim_start().starts_with('#') || decorated(&out, line.len() - line.trim_start().len());
        let opened = previous.ends_with([':', '(', '[', '{']) && !previous.trim_start().starts_with('#');
        let dedented = !indented && previous.starts_with(' ') && !line.starts_with([')', ']', '}']) && !line.starts_with("\"\"\"");
        #[expect(clippy::if_same_then_else, reason = "each case has its own cause")]
        let wanted = if out.is_empty() || opened {
            0
        } else if attached && definition {
            0
        } else if !indented && (definition || (dedented && inside_definition(&out))) {
            2
        } else if definition {
            1
        } else if line.starts_with('#') && after_imports(&out) && heads_definition(&lines[index..]) {
            2
        } else {
            blank.min(if indented || after_imports(&out) { 1 } else { 2 })
        };
        out.extend(std::iter::repeat_n("", wanted));
        blank = 0;
        out.push(line);
    }
    let mut joined = out.join("\n");
    joined.push('\n');
    joined
}

fn defines(line: &str) -> bool {
    ["def ", "class ", "@", "async def "].iter().any(|start| line.trim_start().starts_with(start))
}

/// True when the first statement below the comments is a definition.
fn heads_definition(lines: &[(String, bool)]) -> bool {
    lines.iter().map(|(line, _)| line).find(|line| !line.is_empty() && !line.starts_with('#')).is_some_and(|line| defines(line))
}

/// True when the last statement is an import.
fn after_imports(out: &[&str]) -> bool {
    let last = out.iter().rev().find(|line| !line.is_empty() && !line.starts_with([' ', ')']));
    last.is_some_and(|line| line.starts_with("import ") || line.starts_with("from "))
}

/// True when the last statement of this indent is a decorator.
fn decorated(out: &[&str], indent: usize) -> bool {
    let level = |line: &&&str| !line.is_empty() && line.len() - line.trim_start().len() == indent;
    let last = out.iter().rev().filter(level).find(|line| !line.trim_start().starts_with([')', ']', '}']));
    last.is_some_and(|line| line.trim_start().starts_with('@'))
}

/// True when the last unindented line opened a function or class.
fn inside_definition(out: &[&str]) -> bool {
    let last = out.iter().rev().find(|line| !line.is_empty() && !line.starts_with([' ', ')']));
    last.is_some_and(|line| ["def ", "class ", "async def "].iter().any(|start| line.starts_with(start)))
}

fn fits(indent: usize, text: &str) -> bool {
    indent + text.width() <= WIDTH_MAX
}

fn push(out: &mut Vec<String>, indent: usize, text: &str) {
    out.push(format!("{:indent$}{text}", ""));
}

/// Lays out one statement, or one element of an exploded collection (which ends in a comma).
fn statement(text: &str, indent: usize, out: &mut Vec<String>) {
    if fits(indent, text) || !balanced(text) || text.contains("  # ") {
        push(out, indent, text);
        return;
    }
    if text.starts_with("def ") || text.starts_with("async def ") {
        definition(text, indent, out);
        return;
    }
    if let Some((module, names)) = text.split_once(" import ").filter(|(module, _)| module.starts_with("from ")) {
        push(out, indent, &format!("{module} import ("));
        names.split(", ").for_each(|name| push(out, indent + 4, &format!("{name},")));
        push(out, indent, ")");
        return;
    }
    let (text, tail) = match text.chars().last() {
        Some(':') => (&text[..text.len() - 1], ":"),
        Some(',') => (&text[..text.len() - 1], ","),
        _ => (text, ""),
    };
    if let Some((left, right)) = annotated(text) {
        let bracket = last_group(right).filter(|(open, _)| fits(indent, &format!("{left} = {}", &right[..=*open])));
        if bracket.is_none() && fits(indent, &format!("{left} = (")) {
            push(out, indent, &format!("{left} = ("));
            expression("", right, "", indent + 4, out);
            push(out, indent, &format!("){tail}"));
            return;
        }
        if let Some((name, kind)) = left.split_once(": ").filter(|(_, kind)| bracket.is_none() && operands(kind).len() > 1) {
            push(out, indent, &format!("{name}: ("));
            for operand in if fits(indent + 4, kind) { vec![kind] } else { operands(kind) } {
                expression("", operand, "", indent + 4, out);
            }
            push(out, indent, &format!(") = {right}{tail}"));
            return;
        }
        if bracket.is_none() && last_group(left).is_some() {
            expression("", left, &format!(" = {right}{tail}"), indent, out);
            return;
        }
    }
    let head = head_of(text);
    if let (true, Some(comma)) = (text.starts_with("assert "), top_level(text, ", ").first()) {
        push(out, indent, &format!("{}, (", &text[..*comma]));
        push(out, indent + 4, &text[comma + 2..]);
        push(out, indent, ")");
        return;
    }
    expression(&text[..head], &text[head..], tail, indent, out);
}

/// `name: annotation = value`, split at the sign.
fn annotated(text: &str) -> Option<(&str, &str)> {
    let colon = top_level(text, ": ").first().copied()?;
    let sign = top_level(text, " = ").first().copied()?;
    (colon < sign && text[..colon].chars().all(|letter| letter.is_alphanumeric() || letter == '_'))
        .then(|| (&text[..sign], &text[sign + 3..]))
}

/// Where the expression of a statement begins.
fn head_of(text: &str) -> usize {
    if let Some(word) =
        ["return ", "raise ", "assert ", "if ", "elif ", "while ", "with ", "yield ", "@"].iter().find(|word| text.starts_with(**word))
    {
        return word.len();
    }
    if text.starts_with("for ") {
        return top_level(text, " in ").first().map_or(0, |place| place + 4);
    }
    if let Some(sign) = top_level(text, " = ").first() {
        return sign + 3;
    }
    if let Some(sign) =
        top_level(text, "=").first().filter(|sign| text[..**sign].chars().all(|letter| letter.is_alphanumeric() || letter == '_'))
    {
        return sign + 1;
    }
    top_level(text, ": ").first().map_or(0, |colon| colon + 2)
}

/// `head` + `text` + `tail`, where only `text` may be split.
fn expression(head: &str, text: &str, tail: &str, indent: usize, out: &mut Vec<String>) {
    let whole = format!("{head}{text}{tail}");
    if fits(indent, &whole) {
        push(out, indent, &whole);
        return;
    }
    let operators = operands(text);
    let hugged = operators.len() == 2
        && last_group(text).is_some_and(|(open, close)| close > open + 1 && fits(indent, &format!("{head}{}", &text[..=open])));
    if operators.len() > 1 && !hugged && !head.ends_with('@') {
        let (open, close) = if head.is_empty() && tail == "," { (None, "") } else { (Some("("), ")") };
        let inner = if open.is_some() { indent + 4 } else { indent };
        if open.is_some() {
            push(out, indent, &format!("{head}("));
        }
        if fits(inner, text) {
            push(out, inner, text);
        } else {
            for (number, operand) in operators.iter().enumerate() {
                let last = number + 1 == operators.len() && open.is_none();
                chain(operand, if last { tail } else { "" }, inner, out);
            }
        }
        if open.is_some() {
            push(out, indent, &format!("{close}{tail}"));
        }
        return;
    }
    match last_group(text) {
        Some((open, close)) if close > open + 1 => {
            push(out, indent, &format!("{head}{}", &text[..=open]));
            let call = text[..open].chars().last().is_some_and(|letter| letter.is_alphanumeric() || matches!(letter, '_' | ']' | ')'));
            let body = &text[open + 1..close];
            // A comma would make a tuple of what is only grouped.
            let grouped = text.as_bytes()[open] == b'(' && !body.ends_with(',') && top_level(body, ", ").is_empty();
            elements(body, call || grouped, text.as_bytes()[open] == b'[' && call, indent + 4, out);
            push(out, indent, &format!("{}{tail}", &text[close..]));
        }
        _ if !head.is_empty() && !text.starts_with(['"', '\'', '(']) && !text.starts_with("f\"") && fits(indent + 4, text) => {
            push(out, indent, &format!("{head}("));
            push(out, indent + 4, text);
            push(out, indent, &format!("){tail}"));
        }
        _ => push(out, indent, &whole),
    }
}

/// One operand of a split chain, with its operator in front: when it is too long, it is split at its own operators, without
/// further parentheses, since the operator binds less than they do.
fn chain(operand: &str, tail: &str, indent: usize, out: &mut Vec<String>) {
    let word = ["and ", "or ", "if ", "else "].iter().find(|word| operand.starts_with(**word)).map_or(0, |word| word.len());
    let parts = operands(&operand[word..]);
    if fits(indent, &format!("{operand}{tail}")) || word == 0 || parts.len() < 2 {
        return expression("", operand, tail, indent, out);
    }
    for (number, part) in parts.iter().enumerate() {
        let tail = if number + 1 == parts.len() { tail } else { "" };
        let head = if number == 0 { &operand[..word] } else { "" };
        push(out, indent, &format!("{head}{part}{tail}"));
    }
}

/// What stands between brackets: on one line if it may and fits, else one element a line.
fn elements(body: &str, call: bool, subscript: bool, indent: usize, out: &mut Vec<String>) {
    let magic = body.ends_with(',');
    let body = body.trim_end_matches(',').trim();
    let commas = top_level(body, ", ");
    let comprehension = !top_level(body, " for ").is_empty();
    if !magic && fits(indent, body) && (call || comprehension) {
        push(out, indent, body);
        return;
    }
    if comprehension && commas.is_empty() {
        let mut start = 0;
        let mut cuts = top_level(body, " for ");
        cuts.extend(top_level(body, " if "));
        cuts.sort_unstable();
        for cut in cuts.into_iter().chain([body.len()]) {
            expression("", body[start..cut].trim_start(), "", indent, out);
            start = cut;
        }
        return;
    }
    let sole = commas.is_empty() && call && !magic;
    let mut start = 0;
    for cut in commas.into_iter().chain([body.len()]) {
        let item = body[start..cut].trim_start_matches(',').trim();
        let tail = if sole || (subscript && start == 0 && cut == body.len()) { "" } else { "," };
        let head = element_head(item);
        expression(&item[..head], &item[head..], tail, indent, out);
        start = cut;
    }
}

/// Where the value of `name=value` or `key: value` begins.
fn element_head(item: &str) -> usize {
    if let Some(sign) = top_level(item, "=").first()
        && item[..*sign].chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        && !item[*sign..].starts_with("==")
    {
        return sign + 1;
    }
    top_level(item, ": ").first().filter(|_| !item.starts_with("lambda")).map_or(0, |colon| colon + 2)
}

fn definition(text: &str, indent: usize, out: &mut Vec<String>) {
    let Some(open) = text.find('(') else {
        push(out, indent, text);
        return;
    };
    let close = matching(text, open).unwrap_or(text.len() - 1);
    push(out, indent, &text[..=open]);
    let body = text[open + 1..close].trim_end_matches(',');
    let commas = top_level(body, ", ");
    if fits(indent + 4, body) && !text[open + 1..close].ends_with(',') {
        push(out, indent + 4, &if commas.is_empty() { format!("{body},") } else { body.to_owned() });
    } else {
        let mut start = 0;
        for cut in commas.into_iter().chain([body.len()]) {
            statement(&format!("{},", body[start..cut].trim_start_matches(',').trim()), indent + 4, out);
            start = cut;
        }
    }
    push(out, indent, &text[close..]);
}

/// The operands of the weakest top-level operators, each but the first with its operator in front.
fn operands(text: &str) -> Vec<&str> {
    for operators in [
        &[" if ", " else "][..],
        &[" or "],
        &[" and "],
        &[" == ", " != ", " <= ", " >= ", " < ", " > ", " is not ", " is ", " not in ", " in "],
        &[" | "],
        &[" + ", " - "],
        &[" * ", " / "],
    ] {
        let mut cuts: Vec<usize> = operators.iter().flat_map(|operator| top_level(text, operator)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        if operators[0] == " is not " || operators.contains(&" is not ") {
            cuts.dedup_by(|later, earlier| *later - *earlier <= 4);
        }
        if !cuts.is_empty() {
            let mut start = 0;
            let mut found = Vec::new();
            for cut in cuts.into_iter().chain([text.len()]) {
                found.push(text[start..cut].trim_start());
                start = cut;
            }
            return found;
        }
    }
    vec![text]
}

/// The last top-level bracket pair, when the text ends with it.
fn last_group(text: &str) -> Option<(usize, usize)> {
    let mut found = None;
    scan(text, |place, letter, depth, opening| {
        if opening && depth == 1 {
            found = Some((place, 0));
        } else if !opening && depth == 0 && matches!(letter, b')' | b']' | b'}') {
            found = found.map(|(open, _)| (open, place));
        }
    });
    found.filter(|(_, close)| *close + 1 == text.len())
}

fn matching(text: &str, open: usize) -> Option<usize> {
    let mut found = None;
    scan(&text[open..], |place, letter, depth, opening| {
        if !opening && depth == 0 && matches!(letter, b')' | b']' | b'}') && found.is_none() {
            found = Some(open + place);
        }
    });
    found
}

/// Where `needle` stands outside brackets and texts.
fn top_level(text: &str, needle: &str) -> Vec<usize> {
    let mut found = Vec::new();
    scan(text, |place, _, depth, opening| {
        if depth == 0 && !opening && text[place..].starts_with(needle) {
            found.push(place);
        }
    });
    found
}

fn balanced(text: &str) -> bool {
    let (mut last, mut least) = (0, 0);
    let mut depth = 0_i32;
    scan(text, |_, letter, _, opening| {
        if opening {
            depth += 1;
        } else if matches!(letter, b')' | b']' | b'}') {
            depth -= 1;
        }
        least = least.min(depth);
        last = depth;
    });
    last == 0 && least == 0
}

/// Visits every byte outside of texts that begins a character: place, byte, depth after it, whether it opens.
fn scan(text: &str, mut visit: impl FnMut(usize, u8, usize, bool)) {
    let bytes = text.as_bytes();
    let (mut depth, mut quote, mut place) = (0_usize, None, 0);
    while place < bytes.len() {
        let letter = bytes[place];
        if let Some(mark) = quote {
            if letter == b'\\' {
                place += 1;
            } else if letter == mark {
                quote = None;
            }
        } else if matches!(letter, b'"' | b'\'') {
            quote = Some(letter);
            visit(place, letter, depth, false);
        } else if text.is_char_boundary(place) {
            let opening = matches!(letter, b'(' | b'[' | b'{');
            if opening {
                depth += 1;
            } else if matches!(letter, b')' | b']' | b'}') {
                depth = depth.saturating_sub(1);
            }
            visit(place, letter, depth, opening);
        }
        place += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::tidy;

    fn check(line: &str, expect: &str) {
        assert_eq!(tidy(line), format!("{}\n", expect.trim_start_matches('\n').trim_end()));
    }

    #[test]
    fn a_comment_below_imports_keeps_the_distance_of_what_it_heads() {
        check("import re\n\n# --- texts\n\ndef f() -> None:\n    pass", "import re\n\n\n# --- texts\ndef f() -> None:\n    pass");
        check("import re\n\n\n# --- texts\nA = 1", "import re\n\n# --- texts\nA = 1");
    }

    #[test]
    fn a_call_moves_its_arguments_down_together() {
        check(
            "client_for_something_long_name.post_something_long_name(\"/a/b/cccccccccccccccc\", json={\"a\": 1, \"b\": 2})",
            "
client_for_something_long_name.post_something_long_name(
    \"/a/b/cccccccccccccccc\", json={\"a\": 1, \"b\": 2}
)",
        );
    }

    #[test]
    fn a_sole_argument_gets_no_comma() {
        check(
            "client_for_something_long_name(some_function(\"/a/b/cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\", jsonjson=1))",
            "
client_for_something_long_name(
    some_function(
        \"/a/b/cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\", jsonjson=1
    )
)",
        );
    }

    #[test]
    fn a_collection_has_one_element_a_line() {
        check(
            "tttttttttttttttttttttttttttttttt = {\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": 1, \"bbbbbbbbbbbbbbbbbbbbbbbbbbb\": 2}",
            "
tttttttttttttttttttttttttttttttt = {
    \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": 1,
    \"bbbbbbbbbbbbbbbbbbbbbbbbbbb\": 2,
}",
        );
    }

    #[test]
    fn a_definition_moves_its_parameters_down() {
        check(
            "def create_book_aaaaaaaaaaaaa(payload: BookCreateeeeeeeeeeeeeeeeeeeeeee) -> tuple[Sequence[Bookkkkkkkkkk], int]:",
            "
def create_book_aaaaaaaaaaaaa(
    payload: BookCreateeeeeeeeeeeeeeeeeeeeeee,
) -> tuple[Sequence[Bookkkkkkkkkk], int]:",
        );
    }

    #[test]
    fn operators_are_split_inside_parentheses() {
        check(
            "    if client_for_something_long_name.status_code_a is not None and client_for_something_long_name is None:",
            "    if (
        client_for_something_long_name.status_code_a is not None
        and client_for_something_long_name is None
    ):",
        );
    }

    #[test]
    fn a_group_is_no_tuple() {
        check(
            "            if appointment_item.total != (appointment_item.quantity * appointment_item.unit_price):",
            "            if appointment_item.total != (
                appointment_item.quantity * appointment_item.unit_price
            ):",
        );
    }

    #[test]
    fn a_long_operand_keeps_its_operator_in_front() {
        check(
            "            if customer.preferred_currency_code_id is not None and self._session.get(Currency, customer.preferred_currency_code_id) is None:",
            "            if (
                customer.preferred_currency_code_id is not None
                and self._session.get(Currency, customer.preferred_currency_code_id)
                is None
            ):",
        );
    }

    #[test]
    fn a_long_annotation_is_split_before_a_short_value() {
        check(
            "    xxxxx: Annotated[Text, Field(min_length=1, max_length=200, description=\"aaaaaaaaaaaaaaaaaaaaaaaa\")] = \"aaaaa\"",
            "    xxxxx: Annotated[
        Text,
        Field(min_length=1, max_length=200, description=\"aaaaaaaaaaaaaaaaaaaaaaaa\"),
    ] = \"aaaaa\"",
        );
    }

    #[test]
    fn a_long_union_is_split_inside_one_pair_of_parentheses() {
        check(
            "    phone: Annotated[str, Field(strict=True, min_length=5, max_length=30, pattern=r\"^\\+?[0-9 ]+$\"), WithoutNul] | None = None",
            "    phone: (
        Annotated[
            str,
            Field(strict=True, min_length=5, max_length=30, pattern=r\"^\\+?[0-9 ]+$\"),
            WithoutNul,
        ]
        | None
    ) = None",
        );
    }

    #[test]
    fn definitions_are_set_apart() {
        check(
            "import x\ndef f():\n    pass\nclass A:\n    a: int\n    def g(self):\n        pass\nx = 1",
            "import x\n\n\ndef f():\n    pass\n\n\nclass A:\n    a: int\n\n    def g(self):\n        pass\n\n\nx = 1",
        );
    }

    #[test]
    fn texts_are_left_alone() {
        check("def f():\n    \"\"\"One.\n\n\n    Two.\n    \"\"\"", "def f():\n    \"\"\"One.\n\n\n    Two.\n    \"\"\"");
    }
}
