//! The results of runs, and reading them from a file.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Floating-point operations per parameter and token of training: two forward, four backward (Kaplan et al. 2020, section 2.1).
pub const FLOPS_PER_PARAMETER: f64 = 6.0;

/// The result of one run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Number of parameters, `N`.
    pub params: f64,
    /// Number of training tokens, `D`.
    pub tokens: f64,
    /// Floating-point operations of training, `C`.
    pub flops: f64,
    /// Loss in nats per token.
    pub loss: f64,
}

impl Point {
    /// Returns the point with `C = 6 N D`.
    pub fn new(params: f64, tokens: f64, loss: f64) -> Self {
        Self { params, tokens, flops: FLOPS_PER_PARAMETER * params * tokens, loss }
    }
}

/// The fields of a point, and names that they have in files, in lower case and with spaces.
const FIELDS: [(&str, &[&str]); 4] = [
    ("params", &["params", "parameters", "n", "model size"]),
    ("tokens", &["tokens", "training tokens", "d"]),
    ("flops", &["flops", "flop", "training flop", "training flops", "c"]),
    ("loss", &["loss", "val loss", "validation loss"]),
];

/// Requirements for a file.
const FORM: &str = "give params, loss, and tokens or flops of each run: a CSV file with these names in its first line, a list of JSON objects, or one object a line";

/// Reads points from CSV or JSON. Other columns are ignored. Where `flops` is missing it is `6 N D`, where `tokens` is missing,
/// `C / 6 N`. `name` names the file in errors.
///
/// # Errors
/// Another form; a value is missing or not a positive number.
pub fn read_points(name: &str, text: &str) -> Result<Vec<Point>> {
    let malformed = |problem: String| Error::malformed(name, problem, FORM);
    let text = text.trim_start_matches('\u{feff}');
    let records = match text.trim_start().as_bytes().first() {
        None => return Err(malformed("it is empty".into())),
        Some(b'[' | b'{') => json_records(text),
        Some(_) => csv_records(text),
    };
    let points = records.and_then(|records| {
        let point = |(place, values): (String, [Option<f64>; 4])| {
            point(values).map_err(|problem| format!("{place}: {problem}"))
        };
        records.into_iter().map(point).collect::<std::result::Result<Vec<Point>, String>>()
    });
    let points = points.map_err(malformed)?;
    if points.is_empty() {
        return Err(malformed("it has no points".into()));
    }
    Ok(points)
}

/// Values in the order of [`FIELDS`], with their place for errors.
type Records = std::result::Result<Vec<(String, [Option<f64>; 4])>, String>;

fn point([params, tokens, flops, loss]: [Option<f64>; 4]) -> std::result::Result<Point, String> {
    for ((field, _), value) in FIELDS.iter().zip([params, tokens, flops, loss]) {
        if let Some(value) = value.filter(|value| !(*value > 0.0 && value.is_finite())) {
            return Err(format!("{field} is {value}, not a positive number"));
        }
    }
    let missing = |field: &str| format!("it has no {field}");
    let params = params.ok_or_else(|| missing("params"))?;
    let loss = loss.ok_or_else(|| missing("loss"))?;
    let tokens = match (tokens, flops) {
        (Some(tokens), _) => tokens,
        (None, Some(flops)) => flops / (FLOPS_PER_PARAMETER * params),
        (None, None) => return Err(missing("tokens or flops")),
    };
    let point = Point::new(params, tokens, loss);
    Ok(Point { flops: flops.unwrap_or(point.flops), ..point })
}

/// Returns the index in [`FIELDS`] of a column's name.
fn field(name: &str) -> Option<usize> {
    let name = name.trim().trim_matches('"').to_lowercase().replace(['_', '-'], " ");
    FIELDS.iter().position(|(_, names)| names.contains(&name.as_str()))
}

fn csv_records(text: &str) -> Records {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, header) = lines.next().ok_or("it is empty")?;
    let columns: Vec<Option<usize>> = header.split(',').map(field).collect();
    if !columns.iter().any(Option::is_some) {
        return Err("its first line names none of params, tokens, flops and loss".into());
    }
    let record = |(index, line): (usize, &str)| {
        let mut values = [None; 4];
        for (cell, column) in line.split(',').zip(&columns) {
            let cell = cell.trim().trim_matches('"');
            let Some(column) = column.filter(|_| !cell.is_empty()) else { continue };
            let problem = || format!("line {}: `{cell}` is not a number", index + 1);
            values[column] = Some(cell.parse().map_err(|_| problem())?);
        }
        Ok((format!("line {}", index + 1), values))
    };
    lines.map(record).collect()
}

fn json_records(text: &str) -> Records {
    let values: Vec<Value> = match serde_json::from_str(text) {
        Ok(Value::Array(list)) => list,
        Ok(Value::Object(mut top)) => match top.remove("points") {
            Some(Value::Array(list)) => list,
            _ => vec![Value::Object(top)],
        },
        _ => serde_json::Deserializer::from_str(text)
            .into_iter()
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| error.to_string())?,
    };
    let record = |(index, value): (usize, Value)| match value {
        Value::Object(fields) => Ok((format!("point {}", index + 1), json_values(&fields))),
        other => Err(format!("point {}: {other} is not an object", index + 1)),
    };
    values.into_iter().enumerate().map(record).collect()
}

fn json_values(fields: &Map<String, Value>) -> [Option<f64>; 4] {
    let mut values = [None; 4];
    for (name, value) in fields {
        if let (Some(field), Some(value)) = (field(name), value.as_f64()) {
            values[field] = Some(value);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_and_json_are_read_alike() {
        let csv = "color,Model Size,Training FLOP,loss\n#f00,100,6000,3.5\n\n#00f,200,24000,3.25\n";
        let expected = vec![Point::new(100.0, 10.0, 3.5), Point::new(200.0, 20.0, 3.25)];
        assert_eq!(read_points("a.csv", csv).unwrap(), expected);
        let list = r#"[{"params": 100, "tokens": 10, "loss": 3.5}, {"N": 200, "D": 20, "val_loss": 3.25, "run": "x"}]"#;
        let lines = list.trim_matches(['[', ']']).replace("}, ", "}\n");
        let object = format!("{{\"points\": {list}}}");
        for json in [list, &lines, &object] {
            assert_eq!(read_points("a.json", json).unwrap(), expected, "{json}");
        }
        let measured = read_points("a.csv", "params,tokens,flops,loss\n1,2,99,3").unwrap();
        assert_eq!(measured[0].flops, 99.0, "what is given is kept");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_its_place() {
        for (text, words) in [
            ("", "it is empty"),
            ("a,b\n1,2", "names none of params"),
            ("params,loss\n1,2", "line 2: it has no tokens or flops"),
            ("params,tokens,loss\n1,2,3\n1,x,3", "line 3: `x` is not a number"),
            ("params,tokens,loss\n1,2,-3", "line 2: loss is -3"),
            ("[1]", "point 1: 1 is not an object"),
            (r#"[{"params": 1, "tokens": 2}]"#, "point 1: it has no loss"),
            ("{", "EOF"),
            ("[]", "it has no points"),
        ] {
            let error = read_points("runs.csv", text).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("runs.csv"), "{error}");
        }
    }
}
