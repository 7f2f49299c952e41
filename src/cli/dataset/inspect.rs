//! `blankslate data inspect`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::super::data::map_shard;
use super::super::failure::CliResult;
use super::super::output::{self, bytes, grouped};
use super::super::tokenizer_spec::read;
use super::verify::{check_contents, check_sizes, check_tokenizer, read_manifest};
use crate::data::Tokens;
use crate::data::prepared::{Manifest, ShardRecord, Split};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Tokens of a sample.
const SAMPLE_TOKENS: usize = 60;
/// Percentiles that are shown.
const PERCENTILES: [u64; 5] = [5, 25, 50, 75, 95];
/// Characters of the longest bar of the histogram.
const BAR: u64 = 40;

/// Options of `blankslate data inspect`.
#[derive(Args)]
pub struct InspectArgs {
    /// Output folder of `blankslate data prepare`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Number of documents whose beginnings are shown
    #[arg(long, value_name = "N", default_value_t = 3)]
    samples: usize,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Statistics of one split.
#[derive(Serialize)]
struct SplitReport {
    documents: u64,
    tokens: u64,
    bytes: u64,
    shards: usize,
    /// Tokens of the shortest, the average and the longest document, without end-of-text tokens.
    shortest: u64,
    mean: f64,
    longest: u64,
    percentiles: BTreeMap<u64, u64>,
    /// Number of documents by the power of two that their length in tokens is below.
    histogram: BTreeMap<u64, u64>,
}

/// Number of documents by length.
type Lengths = BTreeMap<u64, u64>;

/// Inspects prepared data.
pub fn run(args: &InspectArgs) -> CliResult<()> {
    let folder = &args.folder;
    let manifest = read_manifest(folder)?;
    check_sizes(folder, &manifest)?;
    check_contents(folder, &manifest)?;
    let tokenizer = read(folder, None)?;
    check_tokenizer(folder, &manifest, &tokenizer)?;
    let reports = Split::ALL.map(|split| inspect(folder, &manifest, split));
    let [train, val] = reports;
    let (train, val) = (train?, val?);
    let samples = samples(folder, &manifest, &tokenizer, args.samples)?;
    if args.json {
        let Manifest { layout, token_width, license, left_out, sources, tokenizer, .. } = &manifest;
        return output::json(&json!({
            "train": train, "val": val, "layout": layout, "token_width": token_width, "license": license,
            "left_out": left_out, "sources": sources, "tokenizer": tokenizer, "checksums": "verified",
            "samples": samples,
        }));
    }
    let Manifest { license, left_out, sources, .. } = &manifest;
    let license = if license.is_empty() { "unknown" } else { license };
    output::line(&format!("layout     {}, {:?}", layout_name(&manifest), manifest.token_width))?;
    output::line(&format!(
        "tokenizer  {} tokens, SHA-256 {}",
        grouped(manifest.tokenizer.vocab_size as u64),
        manifest.tokenizer.sha256
    ))?;
    output::line(&format!(
        "sources    {} files, {}; license {license}",
        grouped(sources.len() as u64),
        bytes(sources.iter().map(|source| source.bytes).sum()),
    ))?;
    output::line(&format!(
        "left out   {} short documents, {} duplicates",
        grouped(left_out.short),
        grouped(left_out.duplicates)
    ))?;
    output::line("checksums  verified")?;
    for (name, report) in [("training", &train), ("validation", &val)] {
        output::text(describe(name, report).as_bytes())?;
    }
    for sample in samples {
        output::line(&format!("\nsample: {sample}"))?;
    }
    Ok(())
}

fn layout_name(manifest: &Manifest) -> String {
    let name = serde_json::to_value(manifest.layout).unwrap_or_default();
    name.as_str().unwrap_or_default().into()
}

/// Reads all tokens of a split.
fn inspect(folder: &Path, manifest: &Manifest, split: Split) -> Result<SplitReport> {
    let record = manifest.split(split);
    let found: Vec<Result<Lengths>> =
        record.shards.par_iter().map(|shard| lengths(folder, manifest, shard)).collect();
    let mut lengths = Lengths::new();
    for of_shard in found {
        for (length, count) in of_shard? {
            *lengths.entry(length).or_default() += count;
        }
    }
    let documents: u64 = lengths.values().sum();
    let total: u64 = lengths.iter().map(|(length, count)| length * count).sum();
    let mut histogram = BTreeMap::new();
    for (length, count) in &lengths {
        *histogram.entry((length + 1).next_power_of_two()).or_default() += count;
    }
    Ok(SplitReport {
        documents,
        tokens: record.tokens,
        bytes: record.shards.iter().map(|shard| shard.bytes).sum(),
        shards: record.shards.len(),
        shortest: lengths.keys().next().copied().unwrap_or(0),
        mean: total as f64 / documents.max(1) as f64,
        longest: lengths.keys().last().copied().unwrap_or(0),
        percentiles: PERCENTILES.map(|percent| (percent, percentile(&lengths, percent))).into(),
        histogram,
    })
}

/// Returns the length that `percent` of the documents do not exceed.
fn percentile(lengths: &Lengths, percent: u64) -> u64 {
    let documents: u64 = lengths.values().sum();
    let rank = (documents * percent).div_ceil(100).max(1);
    let mut counted = 0;
    for (length, count) in lengths {
        counted += count;
        if counted >= rank {
            return *length;
        }
    }
    0
}

/// Returns the number of documents of a shard by length.
fn lengths(folder: &Path, manifest: &Manifest, shard: &ShardRecord) -> Result<Lengths> {
    let (path, tokens) = open(folder, manifest, shard)?;
    let vocab_size = manifest.tokenizer.vocab_size;
    let mut lengths = Lengths::new();
    let mut length = 0;
    let mut is_first = true;
    for id in tokens.read(0, tokens.len()) {
        if id as usize >= vocab_size {
            let remedy = "prepare the data again";
            let problem = format!("token {id} is outside the vocabulary of {vocab_size}");
            return Err(Error::malformed(path.display().to_string(), problem, remedy));
        }
        if id != manifest.tokenizer.end_of_text {
            length += 1;
            continue;
        }
        if !(is_first && manifest.layout.begins_with_end()) {
            *lengths.entry(length).or_default() += 1;
        }
        is_first = false;
        length = 0;
    }
    if manifest.layout.begins_with_end() && !is_first {
        *lengths.entry(length).or_default() += 1;
    }
    Ok(lengths)
}

fn open(folder: &Path, manifest: &Manifest, shard: &ShardRecord) -> Result<(PathBuf, Tokens)> {
    let path = folder.join(&shard.file);
    let tokens = map_shard(&path, manifest.token_width)?;
    Ok((path, tokens))
}

/// Returns the beginnings of `count` training documents, evenly distributed over the tokens.
fn samples(
    folder: &Path,
    manifest: &Manifest,
    tokenizer: &Tokenizer,
    count: usize,
) -> Result<Vec<String>> {
    let mut samples = Vec::new();
    for sample in 0..count as u64 {
        let mut place = (manifest.train.tokens as u128 * u128::from(sample) / count as u128) as u64;
        for shard in &manifest.train.shards {
            if place >= shard.tokens {
                place -= shard.tokens;
                continue;
            }
            let (_, tokens) = open(folder, manifest, shard)?;
            samples.push(sample_at(&tokens, place as usize, manifest, tokenizer)?);
            break;
        }
    }
    Ok(samples)
}

/// Decodes the beginning of the first document that begins at or after `place`, or of the last one.
fn sample_at(
    tokens: &Tokens,
    place: usize,
    manifest: &Manifest,
    tokenizer: &Tokenizer,
) -> Result<String> {
    let end = manifest.tokenizer.end_of_text;
    let after_end = |from: usize| {
        let found = tokens.read(from, tokens.len()).position(|id| id == end);
        found.map(|at| from + at + 1).filter(|at| *at < tokens.len())
    };
    let start = match place {
        0 => 0,
        _ => after_end(place - 1).unwrap_or(0),
    };
    let until = (start + 1 + SAMPLE_TOKENS).min(tokens.len());
    let is_end = |id: &u32| *id == end;
    let ids: Vec<u32> =
        tokens.read(start, until).skip_while(is_end).take_while(|id| !is_end(id)).collect();
    tokenizer.decode(&ids)
}

fn describe(name: &str, report: &SplitReport) -> String {
    let SplitReport { documents, tokens, shards, shortest, mean, longest, .. } = report;
    let mut text = format!(
        "\n{name}: {} documents, {} tokens in {shards} shards of {} in all\n",
        grouped(*documents),
        grouped(*tokens),
        bytes(report.bytes),
    );
    if *documents == 0 {
        return text;
    }
    let percentiles: Vec<String> = report
        .percentiles
        .iter()
        .map(|(percent, length)| format!("{percent} % {}", grouped(*length)))
        .collect();
    text += &format!(
        "tokens per document: {} to {}, mean {mean:.1}; {}\n",
        grouped(*shortest),
        grouped(*longest),
        percentiles.join(", ")
    );
    let most = report.histogram.values().max().copied().unwrap_or(1).max(1);
    for (below, count) in &report.histogram {
        let bar = "#".repeat((count * BAR).div_ceil(most) as usize);
        text +=
            &format!("{:>12}  {:>12}  {bar}\n", format!("< {}", grouped(*below)), grouped(*count));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_lengths_of_documents() {
        let lengths = Lengths::from([(1, 50), (10, 45), (100, 5)]);
        let found = [1, 50, 51, 95, 96, 100].map(|percent| percentile(&lengths, percent));
        assert_eq!(found, [1, 1, 10, 10, 100, 100]);
        assert_eq!(percentile(&Lengths::new(), 50), 0);
    }
}
