//! `blankslate check`.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use clap::Args;

use super::failure::CliResult;
use super::output;
use crate::check::{CheckReport, Comparison, GoldenCase, check};
use crate::error::{Error, Result};
use crate::platform::open_device;

/// Options of `blankslate check`.
#[derive(Args)]
pub struct CheckArgs {
    /// Folder written by make_golden.py: config.json, model.safetensors, io.safetensors, train.json
    #[arg(long, value_name = "DIR")]
    golden: PathBuf,
    /// auto, cpu, wgpu, vulkan or cuda[:N]
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Compares a device with PyTorch's figures.
pub async fn run(args: &CheckArgs) -> CliResult<()> {
    let golden = read(args)?;
    let (device, info) = open_device(&args.device).await?;
    let report = check(&golden, &device, &info.name).await;
    let report = report.map_err(|error| error.renamed(|file| place(args, file)))?;
    if args.json {
        output::json(&report)?;
    } else {
        let reason = info.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        output::line(&format!("{} on {}: {}{reason}", report.golden, info.name, info.adapter))?;
        for comparison in &report.comparisons {
            let mark = if fails(comparison, report.tolerance) { "FAIL" } else { "ok" };
            output::line(&format!("{mark:4}  {:>9}  {}", figure(comparison), comparison.name))?;
        }
    }
    if !report.passed {
        return Err(failure(&report).into());
    }
    if !args.json {
        let count = report.comparisons.len();
        output::line(&format!(
            "all {count} within {:e}; worst {:.1e}",
            report.tolerance, report.worst
        ))?;
    }
    Ok(())
}

fn read(args: &CheckArgs) -> Result<GoldenCase> {
    let file = |name: &str| {
        let path = args.golden.join(name);
        fs::read(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Error::MissingFile {
                file: name.into(),
                place: args.golden.display().to_string(),
                remedy: "give a folder that make_golden.py wrote".into(),
            },
            _ => Error::io(path, source),
        })
    };
    Ok(GoldenCase {
        name: args.golden.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        config: file("config.json")?,
        model: file("model.safetensors")?,
        io: file("io.safetensors")?,
        train: file("train.json")?,
    })
}

/// Returns the path of a file of the case.
fn place(args: &CheckArgs, file: &str) -> String {
    args.golden.join(file).display().to_string()
}

/// Returns true if a comparison failed: its figure is missing, not a number or above the tolerance.
fn fails(comparison: &Comparison, tolerance: f64) -> bool {
    comparison.error.is_none_or(|error| error.is_nan() || error > tolerance)
}

fn figure(comparison: &Comparison) -> String {
    comparison.error.map_or("missing".into(), |error| format!("{error:.1e}"))
}

fn failure(report: &CheckReport) -> Error {
    let failed: Vec<&Comparison> =
        report.comparisons.iter().filter(|c| fails(c, report.tolerance)).collect();
    let size = |c: &Comparison| c.error.filter(|e| !e.is_nan()).unwrap_or(f64::INFINITY);
    let worst = failed.iter().max_by(|a, b| size(a).total_cmp(&size(b)));
    Error::CheckFailed {
        failed: failed.len(),
        total: report.comparisons.len(),
        reference: report.golden.clone(),
        tolerance: report.tolerance,
        worst: worst.map_or(String::new(), |c| format!("{} {}", c.name, figure(c))),
    }
}
