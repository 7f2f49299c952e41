//! `blankslate scaling fit`: reads the losses of runs and fits scaling laws to them.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::charts::charts;
use super::fit_report::report;
use super::grid::POINT;
use crate::cli::failure::{CliResult, usage};
use crate::cli::output;
use crate::cli::quantity::quantity;
use crate::error::{Error, Result};
use crate::platform::Store;
use crate::scaling::{AnalysisOptions, Point, analyze, read_points};

/// Name of the file with the numbers.
pub const FIT: &str = "fit.json";

/// Options of `blankslate scaling fit`.
#[derive(Args)]
pub struct FitArgs {
    /// Directory of `scaling run`, or a CSV or JSON file with params, loss, and tokens or flops of each run
    #[arg(value_name = "DIR|FILE")]
    from: PathBuf,
    /// Write fit.json and charts (SVG) to this directory
    #[arg(long, value_name = "DIR")]
    out: Option<String>,
    /// Number of resampled fits, for intervals at 95 %; 0 for none
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    bootstrap: u64,
    /// Seed of the resampling
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Leave out the N runs with the highest loss
    #[arg(long, value_name = "N", default_value_t = 0)]
    drop_highest: usize,
    /// Budgets in FLOPs for which the best parameters and tokens are printed, such as 1e21
    #[arg(long, value_name = "FLOPS", value_delimiter = ',', value_parser = quantity)]
    flops: Vec<f64>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Fits and prints.
pub async fn run(args: &FitArgs) -> CliResult<()> {
    let points = points(&args.from)?;
    let options = AnalysisOptions {
        samples: args.bootstrap as usize,
        seed: args.seed,
        drop_highest: args.drop_highest,
        budgets: args.flops.clone(),
    };
    let analysis = analyze(points, &options).map_err(usage)?;
    let mut value = json!(analysis);
    value["bootstrap"] = json!({"samples": args.bootstrap, "seed": args.seed});
    if let Some(out) = &args.out {
        let store = Store::open(out).await?;
        let numbers = serde_json::to_vec_pretty(&value).expect("plain data serializes");
        store.write(FIT, &numbers).await?;
        for (name, svg) in charts(&analysis) {
            store.write(name, svg.as_bytes()).await?;
        }
    }
    if args.json {
        return output::json(&value);
    }
    report(&args.from.display().to_string(), &analysis)?;
    match &args.out {
        Some(out) => output::line(&format!("\nwritten to {out}: {FIT} and the charts")),
        None => Ok(()),
    }
}

/// Reads the points of a file, or those of the finished runs of a directory.
fn points(from: &Path) -> Result<Vec<Point>> {
    if !from.is_dir() {
        let bytes = fs::read(from).map_err(|e| Error::io(from, e))?;
        let name = from.display().to_string();
        return read_points(&name, &Error::decode(&name, bytes)?);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(from).map_err(|e| Error::io(from, e))? {
        let file = entry.map_err(|e| Error::io(from, e))?.path().join(POINT);
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort_unstable();
    if files.is_empty() {
        return Err(Error::MissingFile {
            file: format!("*/{POINT}"),
            place: from.display().to_string(),
            remedy: "no run of a grid has ended here: train one with `scaling run --out`, or give a file".into(),
        });
    }
    let mut points = Vec::new();
    for file in files {
        let bytes = fs::read(&file).map_err(|e| Error::io(&file, e))?;
        points.extend(read_points(&file.display().to_string(), &String::from_utf8_lossy(&bytes))?);
    }
    Ok(points)
}

/// Returns the law in a file that this command wrote, or in one of its form.
///
/// # Errors
/// The file cannot be read or has no law.
pub fn read_law(path: &Path) -> Result<crate::scaling::Law> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
    let value: std::result::Result<Value, _> = serde_json::from_slice(&bytes);
    let law = value.ok().and_then(|value| {
        let law = value.pointer("/chinchilla/law").unwrap_or(&value).clone();
        serde_json::from_value(law).ok()
    });
    law.ok_or_else(|| {
        let problem = "it has no law of the form E, A, B, alpha, beta";
        Error::malformed(path.display().to_string(), problem, "give the fit.json of `scaling fit`")
    })
}
