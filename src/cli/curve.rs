//! Loss curve of a run, downsampled so that memory is bounded for any number of steps, and drawn as text.

use serde_json::Value;

/// Maximum number of training losses that are kept.
const POINTS: usize = 1024;
/// Columns and rows of the drawing.
const COLUMNS: usize = 64;
const ROWS: usize = 14;

/// Losses by step.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Training losses of the steps that are multiples of `stride`.
    train: Vec<(u64, f64)>,
    stride: u64,
    /// Validation losses.
    val: Vec<(u64, f64)>,
}

impl Default for Curve {
    fn default() -> Self {
        Self { train: Vec::new(), stride: 1, val: Vec::new() }
    }
}

impl Curve {
    /// Adds an event of `metrics.jsonl`, if it has a loss. Steps that are repeated after a rollback replace the earlier ones.
    pub fn add(&mut self, event: &Value) {
        let Some(step) = event["step"].as_u64() else { return };
        if event["type"] == "spike"
            && let Some(to) = event["to"].as_u64()
        {
            self.train.retain(|(step, _)| *step <= to);
            self.val.retain(|(step, _)| *step <= to);
            return;
        }
        let Some(loss) = event["loss"].as_f64() else { return };
        match event["type"].as_str() {
            Some("step") if step.is_multiple_of(self.stride) => self.train.push((step, loss)),
            Some("eval") => self.val.push((step, loss)),
            _ => return,
        }
        if self.train.len() > POINTS {
            self.stride *= 2;
            self.train.retain(|(step, _)| step.is_multiple_of(self.stride));
        }
        if self.val.len() > POINTS {
            let mut odd = false;
            self.val.retain(|_| {
                odd = !odd;
                odd
            });
        }
    }

    /// Returns the last training loss that is kept.
    pub fn last(&self) -> Option<(u64, f64)> {
        self.train.last().copied()
    }

    /// Returns the last validation loss.
    pub fn last_evaluation(&self) -> Option<(u64, f64)> {
        self.val.last().copied()
    }

    /// Draws the losses: `·` is the mean training loss of a column's steps, `o` a validation loss. Empty with fewer than two
    /// losses.
    pub fn draw(&self) -> String {
        let all = || self.train.iter().chain(&self.val);
        let steps = all().map(|(step, _)| *step);
        let (Some(first), Some(last)) = (steps.clone().min(), steps.max()) else {
            return String::new();
        };
        if first == last {
            return String::new();
        }
        let column = |step: u64| {
            ((step - first) as f64 / (last - first) as f64 * (COLUMNS - 1) as f64).round() as usize
        };
        let mut means = [(0.0, 0u32); COLUMNS];
        for (step, loss) in &self.train {
            let (sum, count) = &mut means[column(*step)];
            *sum += loss;
            *count += 1;
        }
        let means = means.iter().enumerate().filter(|(_, (_, count))| *count > 0);
        let train = means.map(|(column, (sum, count))| (column, sum / f64::from(*count), '·'));
        let val = self.val.iter().map(|(step, loss)| (column(*step), *loss, 'o'));
        let marks: Vec<(usize, f64, char)> = train.chain(val).collect();
        let losses = || marks.iter().map(|(_, loss, _)| *loss);
        let (low, high) = (losses().fold(f64::MAX, f64::min), losses().fold(f64::MIN, f64::max));
        let span = (high - low).max(1e-9);
        let mut rows = vec![[' '; COLUMNS]; ROWS];
        for (column, loss, mark) in marks {
            let row = ((high - loss) / span * (ROWS - 1) as f64).round() as usize;
            rows[row][column] = mark;
        }
        let mut text = String::new();
        for (row, marks) in rows.iter().enumerate() {
            let loss = high - span * row as f64 / (ROWS - 1) as f64;
            let line: String = marks.iter().collect();
            text += &format!("{loss:>9.4} |{}\n", line.trim_end());
        }
        text += &format!("{:>10}+{}\n", "", "-".repeat(COLUMNS));
        let (first, last) = (format!("step {first}"), format!("step {last}"));
        text + &format!("{:>11}{first}{last:>width$}\n", "", width = COLUMNS - first.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(step: u64, loss: f64) -> Value {
        json!({"type": "step", "step": step, "loss": loss})
    }

    #[test]
    fn any_number_of_steps_takes_the_same_memory() {
        let mut curve = Curve::default();
        for number in 1..=100_000 {
            curve.add(&step(number, 1.0 / number as f64));
        }
        assert!((POINTS / 4..=POINTS).contains(&curve.train.len()), "{}", curve.train.len());
        let gaps = curve.train.windows(2).map(|pair| pair[1].0 - pair[0].0);
        assert!(gaps.clone().all(|gap| gap == curve.stride));
    }

    #[test]
    fn a_falling_loss_falls_in_the_drawing() {
        let mut curve = Curve::default();
        assert_eq!(curve.draw(), "");
        for number in 1..=640 {
            curve.add(&step(number, 10.0 - number as f64 / 100.0));
        }
        curve.add(&json!({"type": "eval", "step": 640, "loss": 9.0}));
        let drawing = curve.draw();
        let lines: Vec<&str> = drawing.lines().collect();
        assert_eq!(lines.len(), ROWS + 2);
        assert!(lines[0].contains("|·"), "{drawing}");
        assert!(lines[ROWS - 1].ends_with('·'), "{drawing}");
        assert_eq!(drawing.matches('o').count(), 1, "{drawing}");
        assert!(lines[ROWS + 1].contains("step 1") && lines[ROWS + 1].ends_with("step 640"));
        curve.add(&json!({"type": "spike", "step": 640, "to": 100, "loss": 99.0}));
        assert_eq!((curve.last().unwrap().0, curve.last_evaluation()), (100, None));
    }
}
