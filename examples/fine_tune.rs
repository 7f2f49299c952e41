//! Fine-tunes a model on conversations with low-rank adapters (LoRA) and saves it in the folder `runs/chat`.
//!
//! ```text
//! cargo run --release --example fine_tune -- runs/shells
//! ```

use blankslate::checkpoint::unpack;
use blankslate::config::TrainConfig;
use blankslate::error::Result;
use blankslate::platform::{Store, block_on, open_device};
use blankslate::run::data::Examples;
use blankslate::run::directory::{RunDir, read_checkpoint};
use blankslate::run::{Base, Run, RunConfig, TrainEvent, train_unattended};
use blankslate::tokenizer::run_sequentially;

const FOLDER: &str = "runs/chat";
const CONVERSATION: &str = r#"{"messages": [{"role": "user", "content": "What does she sell?"}, {"role": "assistant", "content": "Sea shells."}]}"#;

fn main() -> Result<()> {
    block_on(async {
        let place = std::env::args().nth(1).unwrap_or_else(|| "runs/shells".into());
        let files = read_checkpoint(&Store::open(&place).await?, "").await?;
        let mut loaded = unpack(files, &place)?;
        let tokenizer = loaded.take_tokenizer(&place)?;

        let text = format!("{CONVERSATION}\n").repeat(20);
        let examples = Examples::of_text("the conversations", &text)?;
        let mut config = RunConfig {
            name: FOLDER.into(),
            tokenizer: "byte".into(),
            model: loaded.config.clone(),
            train: TrainConfig::fine_tuning(),
            data: Default::default(),
            sample_every: 0,
        };
        config.data.kind = examples.kind("the conversations")?;
        config.train.lora.rank = 8;
        config.train.optimizer.lr = 1e-3;
        config.train.steps = 60;

        let (device, _) = open_device("auto").await?;
        let base = Base {
            name: place,
            model: loaded.config,
            weights: loaded.weights,
            tokenizer,
            companions: loaded.companions,
        };
        let mut run = Run::fine_tuned(config, base, &device)?;
        let data = run.encode(&examples, run_sequentially)?;
        run.begin(data).await?;

        let directory = RunDir::new(Store::open(FOLDER).await?);
        train_unattended(run, directory, |event| {
            if let TrainEvent::Step { figures, .. } = event {
                println!("step {}: loss {:.3}", figures.step, figures.loss);
            }
        })
        .await?;
        Ok(())
    })
}
