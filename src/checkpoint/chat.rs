//! Preparation of a model for chat training.

use super::HostTensors;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// Returns true if the model was trained on conversations: its end-of-sequence token is the one that ends a message.
pub fn supports_chat(config: &ModelConfig, tokenizer: &Tokenizer) -> bool {
    tokenizer.chat_tokens().is_some_and(|tokens| config.eos_token_id.first() == Some(tokens.end))
}

/// Prepares a model for training on conversations. Reserves the chat tokens, adds rows to the embedding and the head if
/// the vocabulary has no free ones, and puts the end of a message before the other tokens that end a text. Returns the new tokenizer.
///
/// # Errors
/// Returns an error if the vocabulary contains the chat tokens as ordinary text.
pub fn prepare_for_chat(
    config: &mut ModelConfig,
    weights: &mut HostTensors,
    tokenizer: &Tokenizer,
) -> Result<Tokenizer> {
    let tokenizer = tokenizer.with_chat_tokens()?;
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
    let end = tokenizer.chat_tokens().map(|tokens| tokens.end);
    config.eos_token_id =
        end.into_iter().chain(config.eos_token_id.ids().iter().copied()).collect();
    Ok(tokenizer)
}

/// Computes the mean of a table's rows. As the initialization of new tokens it changes the probabilities of the others
/// least (Hewitt 2021).
fn mean_row(values: &[f32], width: usize) -> Vec<f32> {
    let rows = (values.len() / width).max(1) as f64;
    let column = |column| values.iter().skip(column).step_by(width).map(|v| f64::from(*v));
    (0..width).map(|at| (column(at).sum::<f64>() / rows) as f32).collect()
}
