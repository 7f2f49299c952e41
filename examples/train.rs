//! Trains a small model from scratch and saves it in the folder `runs/shells`.
//!
//! ```text
//! cargo run --release --example train
//! ```

use blankslate::config::preset;
use blankslate::error::Result;
use blankslate::platform::{Store, block_on, open_device};
use blankslate::run::data::Examples;
use blankslate::run::directory::RunDir;
use blankslate::run::{Run, RunConfig, TrainEvent, train_unattended};
use blankslate::tokenizer::{Tokenizer, run_sequentially};

const FOLDER: &str = "runs/shells";

fn main() -> Result<()> {
    block_on(async {
        let text = "she sells sea shells by the sea shore. ".repeat(100);
        let examples = Examples::of_text("the text", &text)?;

        let mut config = RunConfig::from_preset(FOLDER, preset("tiny")?);
        config.tokenizer = "byte".into();
        config.train.steps = 100;
        config.train.eval_every = 50;

        let (device, _) = open_device("auto").await?;
        let mut run = Run::fresh(config, Tokenizer::byte(&[])?, &device)?;
        let data = run.encode(&examples, run_sequentially)?;
        run.begin(data).await?;

        let directory = RunDir::new(Store::open(FOLDER).await?);
        let (_, trained) = train_unattended(run, directory, |event| match event {
            TrainEvent::Step { figures, .. } if figures.step.is_multiple_of(10) => {
                println!("step {}: loss {:.3}", figures.step, figures.loss);
            }
            TrainEvent::Evaluated { evaluation, .. } => {
                println!("validation loss {:.3}", evaluation.loss);
            }
            TrainEvent::Saved { step } => println!("saved step {step} in {FOLDER}"),
            _ => {}
        })
        .await?;
        println!("done: {} steps", trained.step);
        Ok(())
    })
}
