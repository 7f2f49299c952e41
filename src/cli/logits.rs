//! `blankslate logits`.

use clap::Args;
use serde_json::json;

use super::failure::CliResult;
use super::model::ModelArgs;
use super::output;
use crate::error::Error;
use crate::model::{TokenIds, read_floats};

/// Number of tokens to print for each position.
const TOP: usize = 5;

/// Options of `blankslate logits`.
#[derive(Args)]
pub struct LogitsArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Token ids
    #[arg(long, value_name = "1,2,3", required = true, value_delimiter = ',')]
    ids: Vec<u64>,
    /// Print one JSON object with every logit instead of the highest ones
    #[arg(long)]
    json: bool,
}

/// Prints the logits after each token.
pub async fn run(args: &LogitsArgs) -> CliResult<()> {
    let opened = args.model.open().await?;
    let vocab_size = opened.model.config().vocab_size;
    let narrow =
        |id: &u64| u32::try_from(*id).map_err(|_| Error::TokenOutOfRange { id: *id, vocab_size });
    let ids: Vec<u32> = args.ids.iter().map(narrow).collect::<Result<_, _>>()?;
    let tensor = TokenIds::new(&ids, 1, vocab_size, &opened.model.device())?;
    let logits = opened.model.forward(tensor, None, None)?;
    let logits = read_floats(logits.reshape([ids.len() * vocab_size])).await?;
    opened.model.require_finite(&logits).await?;
    let rows: Vec<&[f32]> = logits.chunks(vocab_size).collect();
    if args.json {
        return output::json(&json!({ "logits": rows }));
    }
    for (id, row) in ids.iter().zip(rows) {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
        let top: Vec<String> =
            order.iter().take(TOP).map(|next| format!("{next}: {:.4}", row[*next])).collect();
        output::line(&format!("after {id}: {}", top.join("  ")))?;
    }
    Ok(())
}
