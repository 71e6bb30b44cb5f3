//! English plurals of lower-case words, for names of tables. A wrong one is merely ugly: callers keep names unique.

/// Words whose plural follows no rule, and words that have none.
const IRREGULAR: [(&str, &str); 34] = [
    ("child", "children"),
    ("criterion", "criteria"),
    ("data", "data"),
    ("equipment", "equipment"),
    ("feedback", "feedback"),
    ("fish", "fish"),
    ("foot", "feet"),
    ("goose", "geese"),
    ("half", "halves"),
    ("hardware", "hardware"),
    ("hero", "heroes"),
    ("information", "information"),
    ("knife", "knives"),
    ("leaf", "leaves"),
    ("lens", "lenses"),
    ("life", "lives"),
    ("man", "men"),
    ("medium", "media"),
    ("metadata", "metadata"),
    ("money", "money"),
    ("mouse", "mice"),
    ("person", "people"),
    ("phenomenon", "phenomena"),
    ("potato", "potatoes"),
    ("quiz", "quizzes"),
    ("series", "series"),
    ("sheep", "sheep"),
    ("shelf", "shelves"),
    ("software", "software"),
    ("species", "species"),
    ("staff", "staff"),
    ("tomato", "tomatoes"),
    ("tooth", "teeth"),
    ("woman", "women"),
];

/// The plural of a lower-case word; a word that looks plural already stays.
pub(super) fn plural(word: &str) -> String {
    if let Some((_, plural)) = IRREGULAR.iter().find(|(one, many)| *one == word || *many == word) {
        return (*plural).to_owned();
    }
    let ends = |endings: &[&str]| endings.iter().any(|ending| word.ends_with(ending));
    if let Some(stem) = word.strip_suffix("sis") {
        return format!("{stem}ses");
    }
    if ends(&["ss", "us", "as", "is", "os", "x", "z", "ch", "sh"]) {
        return format!("{word}es");
    }
    if word.ends_with('s') {
        return word.to_owned();
    }
    match word.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) && !stem.is_empty() => format!("{stem}ies"),
        _ => format!("{word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_follow_the_usual_rules() {
        for (one, many) in [
            ("book", "books"),
            ("category", "categories"),
            ("day", "days"),
            ("address", "addresses"),
            ("status", "statuses"),
            ("alias", "aliases"),
            ("box", "boxes"),
            ("branch", "branches"),
            ("analysis", "analyses"),
            ("person", "people"),
            ("people", "people"),
            ("settings", "settings"),
            ("price", "prices"),
            ("staff", "staff"),
        ] {
            assert_eq!(plural(one), many);
        }
    }
}
