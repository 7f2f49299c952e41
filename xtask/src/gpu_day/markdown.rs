//! The report as Markdown.

use super::report::{PartReport, Report, Status};
use super::verdict::Table;

/// Renders the whole report.
pub fn render(report: &Report) -> String {
    let mut text = String::from("# blankslate on an NVIDIA GPU\n\n");
    if report.machine.simulated {
        text += "**The driver was simulated: results are computed, but times mean nothing.**\n\n";
    }
    if report.dry_run {
        text += "**A dry run: small models and few steps show that every part works, and measure nothing.**\n\n";
    }
    if !report.finished {
        text += "**The parts have not all been run yet, or were cut off.**\n\n";
    }
    let machine = &report.machine;
    let known = |value: &Option<String>| value.clone().unwrap_or("unknown".into());
    let rows = vec![
        ["device".into(), known(&machine.device)],
        ["driver".into(), known(&machine.driver)],
        ["compute capability".into(), known(&machine.compute_capability)],
        [
            "memory".into(),
            machine.memory.map_or("unknown".into(), |memory| format!("{memory} MiB")),
        ],
        [
            "power limit, highest clock".into(),
            format!("{}, {}", known(&machine.power_limit), known(&machine.highest_clock)),
        ],
        ["processor".into(), format!("{}, {} threads", machine.processor, machine.threads)],
        ["system".into(), machine.system.clone()],
        ["version, commit".into(), format!("{}, {}", report.kit.version, report.kit.commit)],
        ["started".into(), report.started.clone()],
    ];
    text += &table(&Table::new(["", ""], rows));
    text += "\n";
    let summary = |part: &PartReport| {
        [
            part.title.to_owned(),
            status(part.status).to_owned(),
            format!("{:.0} of {:.0}", part.seconds, part.limit_seconds),
        ]
    };
    let rows = report.parts.iter().map(summary).collect();
    text += &table(&Table::new(["part", "result", "seconds"], rows));
    for part in &report.parts {
        text += &section(part);
    }
    text
}

fn section(part: &PartReport) -> String {
    let mut text = format!("\n## {}\n\n{}.\n", part.title, capital(status(part.status)));
    let problems = part.problems.iter().map(|problem| format!("**{}**", one_line(problem)));
    let skipped = part.verdict.skipped.iter().map(|reason| one_line(reason));
    let notes = part.verdict.notes.iter().map(|note| one_line(note));
    let lines: Vec<String> = problems.chain(skipped).chain(notes).collect();
    if !lines.is_empty() {
        text += "\n";
        lines.iter().for_each(|line| text += &format!("- {line}\n"));
    }
    for one in part.verdict.tables.iter().filter(|table| !table.rows.is_empty()) {
        text += "\n";
        text += &table(one);
    }
    text
}

/// Returns the label of a status.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Waiting => "not run",
        Status::Running => "running, or cut off",
        Status::Passed => "passed",
        Status::Failed => "failed",
        Status::TimedOut => "ended at its time limit",
        Status::Skipped => "skipped",
        Status::NoTimeLeft => "not run: no time was left",
        Status::NotSelected => "not run: not selected with --only",
    }
}

fn table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(table.headers.iter().map(|header| (*header).to_owned()).collect());
    text += &line(vec!["---".into(); table.headers.len()]);
    for row in &table.rows {
        text += &line(row.iter().map(|cell| one_line(cell).replace('|', "\\|")).collect());
    }
    text
}

/// Replaces line breaks, which would end a table or a list.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cannot_break_the_table() {
        let text = table(&Table::new(["a", "b"], vec![["x | y".into(), "two\nlines".into()]]));
        assert_eq!(text, "| a | b |\n| --- | --- |\n| x \\| y | two lines |\n");
    }
}
