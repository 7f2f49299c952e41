//! A model made ready for conversations.

use super::HostTensors;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// Whether a model was trained to take turns: it ends what it says with the token that ends a turn.
pub fn takes_turns(config: &ModelConfig, tokenizer: &Tokenizer) -> bool {
    tokenizer.turn_tokens().is_some_and(|tokens| config.eos_token_id == Some(tokens.end))
}

/// Prepares a model to be trained on conversations: reserves the tokens around a turn, gives them rows in the
/// embedding and the head unless some are free, and lets texts end with a turn. Returns the tokenizer for it.
///
/// # Errors
/// A vocabulary that has those tokens as ordinary text.
pub fn prepare_for_turns(
    config: &mut ModelConfig,
    weights: &mut HostTensors,
    tokenizer: &Tokenizer,
) -> Result<Tokenizer> {
    let tokenizer = tokenizer.with_turn_tokens()?;
    if let Some(more) = tokenizer.vocab_size().checked_sub(config.vocab_size) {
        for name in ["embed_tokens.weight", "lm_head.weight"] {
            if let Some(table) = weights.get_mut(name) {
                let mean = mean_row(&table.values, config.hidden_size);
                table.values.extend(mean.repeat(more));
                table.shape = vec![config.vocab_size + more, config.hidden_size];
            }
        }
        config.vocab_size += more;
    }
    config.eos_token_id = tokenizer.turn_tokens().map(|tokens| tokens.end);
    Ok(tokenizer)
}

/// The mean of a table's rows: a new token that begins there changes the probabilities of the others least
/// (Hewitt 2021).
fn mean_row(values: &[f32], width: usize) -> Vec<f32> {
    let rows = (values.len() / width).max(1) as f64;
    let column = |column| values.iter().skip(column).step_by(width).map(|v| f64::from(*v));
    (0..width).map(|at| (column(at).sum::<f64>() / rows) as f32).collect()
}
