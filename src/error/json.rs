//! Errors of serde_json in words for people.

/// Describes why a text is not the expected JSON, and where, without the names of this program's types.
pub fn json_problem(problem: &serde_json::Error) -> String {
    let words = json_words(problem);
    match problem.line() {
        0 => words,
        line => format!("{words} at line {line} column {}", problem.column()),
    }
}

/// [`json_problem`] without the place.
pub fn json_words(problem: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let text = problem.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    match problem.classify() {
        Category::Eof => "it ends too early".into(),
        Category::Data => unexpected_value(text).unwrap_or_else(|| text.into()),
        Category::Syntax | Category::Io => text.into(),
    }
}

/// Translates serde's description of a value of another type.
fn unexpected_value(text: &str) -> Option<String> {
    if let Some(field) = text.strip_prefix("missing field ") {
        return Some(format!("{field} is missing"));
    }
    let rest =
        text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let found = match found {
        "map" => "an object",
        "sequence" => "a list",
        _ => found.split('`').nth(1).or_else(|| found.strip_prefix("string ")).unwrap_or(found),
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a map" => "an object",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    Some(format!("it has {found} where {expected} belongs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_of_json_are_told_without_names_of_types() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "only their types matter")]
        struct Two {
            size: usize,
            rate: f64,
        }
        let told = |json| json_problem(&serde_json::from_str::<Two>(json).unwrap_err());
        for (json, expected) in [
            (r#"{"size": 1"#, "it ends too early at line 1 column 10"),
            (r#"{"size": 1}"#, "`rate` is missing at line 1 column 11"),
            (r#"{"size": -1}"#, "it has -1 where a whole number, 0 or more belongs"),
            (r#"{"size": "a"}"#, "it has \"a\" where a whole number, 0 or more belongs"),
            (r#"{"size": 1, "rate": []}"#, "it has a list where a number belongs"),
            ("7", "it has 7 where an object belongs"),
            ("{]", "key must be a string at line 1 column 2"),
        ] {
            assert!(told(json).starts_with(expected), "{json}: {}", told(json));
        }
    }
}
