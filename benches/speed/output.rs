//! Results as text, or as one JSON object per line.

use serde_json::{Value, json};

/// Output format of results.
#[derive(Clone, Copy)]
pub struct Output {
    /// Prints JSON instead of text.
    pub json: bool,
}

impl Output {
    /// Prints a result in one of its two forms.
    pub fn print(self, event: &Value, text: &str) {
        if self.json { println!("{event}") } else { println!("{text}") }
    }

    /// Prints that a contestant does not take part, and why.
    pub fn skipped(self, contestant: &str, reason: &str) {
        let event = json!({"type": "skipped", "contestant": contestant, "reason": reason});
        self.print(&event, &format!("SKIPPED: {contestant}: {reason}"));
    }
}

/// Minimum, median and maximum as JSON.
pub fn spread_json([min, median, max]: [f64; 3]) -> Value {
    json!({"min": min, "median": median, "max": max})
}
