//! Texts that a run generates while it trains.

use crate::config::SampleConfig;
use crate::error::Result;
use crate::model::Decoder;
use crate::platform::yield_now;
use crate::sample::Generator;
use crate::tokenizer::Tokenizer;

/// Draws a text; none once `is_paused` returns true.
///
/// # Errors
/// As [`Generator::next`].
pub async fn draw(
    model: Decoder,
    tokenizer: &Tokenizer,
    config: &SampleConfig,
    is_paused: impl Fn() -> bool,
) -> Result<Option<String>> {
    let mut generator = Generator::new(model, tokenizer, "", config)?;
    let mut text = String::new();
    while let Some(piece) = generator.next().await? {
        text.push_str(&piece.text);
        if is_paused() {
            return Ok(None);
        }
        yield_now().await;
    }
    Ok(Some(text))
}
