//! Shared by the benchmarks: statistics and the processor's name.

/// Result with any error.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Minimum, median and maximum.
pub fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

/// Name of the processor, from /proc/cpuinfo; "unknown" without it.
pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or("unknown".into(), |line| line.trim_start_matches([' ', '\t', ':']).into())
}
