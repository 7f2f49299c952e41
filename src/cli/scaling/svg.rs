//! Charts as SVG: points and lines between two axes.

use std::fmt::Write;

/// Size of a chart, and the margins around its area, in pixels.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 54.0;
/// Height of an entry of the legend.
const ENTRY: f64 = 18.0;
/// Number of ticks of a linear axis, about.
const TICKS: f64 = 6.0;

/// Colors that can be told apart without color vision (Okabe & Ito 2008), without its yellow.
pub const COLORS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#333333"];

/// An axis, with its range.
pub struct Axis {
    label: &'static str,
    low: f64,
    high: f64,
    is_log: bool,
}

impl Axis {
    /// Creates a logarithmic axis around positive values.
    pub fn log(label: &'static str, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = range(values.map(f64::log10));
        Self { label, low, high, is_log: true }
    }

    /// Creates a linear axis around values.
    pub fn linear(label: &'static str, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = range(values);
        Self { label, low, high, is_log: false }
    }

    /// Returns the place of a value, from 0 to 1 if it is in range.
    fn place(&self, value: f64) -> f64 {
        let value = if self.is_log { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// Returns values to mark, with their labels.
    fn ticks(&self) -> Vec<(f64, String)> {
        if !self.is_log {
            let step = nice((self.high - self.low) / TICKS);
            let first = (self.low / step).ceil() as i64;
            let last = (self.high / step).floor() as i64;
            let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
            let tick = |i: i64| (i as f64 * step, format!("{:.decimals$}", i as f64 * step));
            return (first..=last).map(tick).collect();
        }
        let factors: &[i32] = if self.high - self.low < 2.0 { &[1, 2, 5] } else { &[1] };
        let every = ((self.high - self.low) / 8.0).ceil().max(1.0) as i32;
        let mut ticks = Vec::new();
        for power in self.low.floor() as i32..=self.high.ceil() as i32 {
            for factor in factors.iter().filter(|_| power % every == 0) {
                let value = f64::from(*factor) * 10f64.powi(power);
                if (self.low..=self.high).contains(&value.log10()) {
                    ticks.push((value, format!("{factor}e{power}")));
                }
            }
        }
        ticks
    }
}

/// Returns the range of values, a little wider than they are.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return (0.0, 1.0);
    }
    let margin = (0.05 * (high - low)).max(1e-3 * high.abs()).max(1e-6);
    (low - margin, high + margin)
}

/// Rounds a step to 1, 2 or 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= step);
    factor.unwrap_or(10.0) * power
}

/// A chart under construction.
pub struct Chart {
    title: String,
    x: Axis,
    y: Axis,
    body: String,
    legend: Vec<(String, String)>,
}

impl Chart {
    /// Creates a chart without content.
    pub fn new(title: &str, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), x, y, body: String::new(), legend: Vec::new() }
    }

    /// Returns `count` values from `low` to `high`, evenly spaced on the horizontal axis, both of them included.
    pub fn steps(&self, low: f64, high: f64, count: usize) -> Vec<f64> {
        let share = |i: usize| i as f64 / (count - 1) as f64;
        let step = |i: usize| match self.x.is_log {
            true => low * (high / low).powf(share(i)),
            false => low + share(i) * (high - low),
        };
        (0..count).map(step).collect()
    }

    /// Returns the range of the horizontal axis.
    pub fn domain(&self) -> (f64, f64) {
        match self.x.is_log {
            true => (10f64.powf(self.x.low), 10f64.powf(self.x.high)),
            false => (self.x.low, self.x.high),
        }
    }

    /// Draws a line through points.
    pub fn line(&mut self, points: &[(f64, f64)], color: &str, is_dashed: bool) {
        let mut path = String::new();
        for point in points {
            let (x, y) = self.position(*point);
            if x.is_finite() && y.is_finite() {
                let command = if path.is_empty() { 'M' } else { 'L' };
                // Writing to a string does not fail.
                let _ = write!(path, "{command}{x:.1} {y:.1}");
            }
        }
        let dashes = if is_dashed { " stroke-dasharray=\"6 4\"" } else { "" };
        self.body += &format!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.6\"{dashes}/>\n"
        );
    }

    /// Draws points as disks, or as rings.
    pub fn dots(&mut self, points: &[(f64, f64)], color: &str, is_filled: bool) {
        for point in points {
            let (x, y) = self.position(*point);
            if x.is_finite() && y.is_finite() {
                let (radius, fill) = if is_filled { (3.2, color) } else { (6.0, "none") };
                self.body += &format!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"{color}\" stroke-width=\"1.4\"/>\n"
                );
            }
        }
    }

    /// Adds an entry to the legend.
    pub fn explain(&mut self, color: &str, label: impl Into<String>) {
        self.legend.push((color.into(), label.into()));
    }

    fn position(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let x = LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT);
        let y = HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM);
        (x, y)
    }

    /// Returns the SVG.
    pub fn finish(self) -> String {
        let [right, bottom] = [WIDTH - RIGHT, HEIGHT - BOTTOM];
        // A long legend increases the height.
        let total = HEIGHT.max(TOP + ENTRY * (self.legend.len() as f64 + 1.0));
        let (width, height) = (right - LEFT, bottom - TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {total}\" width=\"{WIDTH}\" height=\"{total}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <title>{title}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{title}</text>\n\
             <clipPath id=\"area\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{height}\"/></clipPath>\n",
            title = escaped(&self.title),
        );
        let grid = "stroke=\"#ddd\"";
        for (value, label) in self.x.ticks() {
            let x = LEFT + self.x.place(value) * width;
            svg += &format!(
                "<path d=\"M{x:.1} {TOP}V{bottom}\" {grid}/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n",
                bottom + 18.0
            );
        }
        for (value, label) in self.y.ticks() {
            let y = bottom - self.y.place(value) * height;
            svg += &format!(
                "<path d=\"M{LEFT} {y:.1}H{right}\" {grid}/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
                LEFT - 8.0,
                y + 4.0
            );
        }
        svg += &format!(
            "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"#666\"/>\n\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n\
             <g clip-path=\"url(#area)\">\n{}</g>\n",
            LEFT + width / 2.0,
            HEIGHT - 14.0,
            escaped(self.x.label),
            TOP + height / 2.0,
            escaped(self.y.label),
            self.body,
        );
        for (index, (color, label)) in self.legend.iter().enumerate() {
            let y = TOP + 10.0 + ENTRY * index as f64;
            svg += &format!(
                "<rect x=\"{}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{color}\"/><text x=\"{}\" y=\"{:.1}\">{}</text>\n",
                right + 12.0,
                y - 9.0,
                right + 28.0,
                y,
                escaped(label),
            );
        }
        svg + "</svg>\n"
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside_the_range() {
        let labels = |axis: Axis| axis.ticks().into_iter().map(|tick| tick.1).collect::<Vec<_>>();
        let linear = Axis::linear("loss", [2.0, 3.5].into_iter());
        assert_eq!(labels(linear), ["2.0", "2.5", "3.0", "3.5"]);
        let log = Axis::log("C", [1e18, 1e21].into_iter());
        assert_eq!(labels(log), ["1e18", "1e19", "1e20", "1e21"]);
        let short = Axis::log("N", [1e6, 4e6].into_iter());
        assert_eq!(labels(short), ["1e6", "2e6"]);
        // A single value, and none.
        assert!(!labels(Axis::linear("loss", [3.0].into_iter())).is_empty());
        assert!(!labels(Axis::linear("loss", std::iter::empty())).is_empty());
    }

    #[test]
    fn points_are_drawn_where_they_belong_and_text_is_escaped() {
        let x = Axis::log("N", [1.0, 100.0].into_iter());
        let mut chart = Chart::new("a < b & c", x, Axis::linear("L", [0.0, 2.0].into_iter()));
        let (x, y) = chart.position((10.0, 1.0));
        assert!((x - (LEFT + WIDTH - RIGHT) / 2.0).abs() < 1e-9);
        assert!((y - (TOP + HEIGHT - BOTTOM) / 2.0).abs() < 1e-9);
        chart.dots(&[(10.0, 1.0), (10.0, f64::NAN)], COLORS[0], true);
        chart.line(&[(1.0, 0.0), (100.0, 2.0)], COLORS[1], true);
        chart.explain(COLORS[1], "L(N)");
        assert_eq!(chart.steps(1.0, 100.0, 3), [1.0, 10.0, 100.0]);
        let svg = chart.finish();
        assert_eq!(svg.matches("<circle").count(), 1, "{svg}");
        assert!(svg.contains("a &lt; b &amp; c") && svg.contains("stroke-dasharray"), "{svg}");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    }
}
