//! Generates text with a model: a run, or a folder in the layout of Hugging Face's transformers.
//!
//! ```text
//! cargo run --release --example sample -- runs/shells "she sells"
//! ```

use blankslate::checkpoint::unpack;
use blankslate::config::SampleConfig;
use blankslate::error::Result;
use blankslate::platform::{Store, block_on, open_device};
use blankslate::run::directory::read_checkpoint;
use blankslate::sample::Generator;

fn main() -> Result<()> {
    block_on(async {
        let mut arguments = std::env::args().skip(1);
        let place = arguments.next().unwrap_or_else(|| "runs/shells".into());
        let prompt = arguments.next().unwrap_or_else(|| "she ".into());

        let (device, _) = open_device("auto").await?;
        let files = read_checkpoint(&Store::open(&place).await?, "").await?;
        let mut loaded = unpack(files, &place)?;
        let tokenizer = loaded.take_tokenizer(&place)?;
        let model = loaded.model(&device)?;

        let config = SampleConfig { temperature: 0.8, max_new_tokens: 60, ..Default::default() };
        let mut generator = Generator::new(model, &tokenizer, &prompt, &config)?;
        print!("{prompt}");
        while let Some(piece) = generator.next().await? {
            print!("{}", piece.text);
        }
        println!();
        Ok(())
    })
}
