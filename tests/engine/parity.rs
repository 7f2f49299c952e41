//! The terminal and the engine train the same run to the same checkpoint, byte for byte.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::rc::Rc;

use blankslate::checkpoint::unpack_zip;
use blankslate::engine::Engine;
use blankslate::platform::block_on;
use blankslate::protocol::{Command, Event, NamedFile, RunConfig};
use serde_json::{Value, json};

const CHECKPOINT: &str = "checkpoints/step-00000020";
const SMALL: &str = "--preset small --hidden-size 48 --layers 1 --heads 2 --seq-len 64 --batch-size 2 \
     --warmup-steps 0 --lr 0.01";
const TUNED: &str = "--batch-size 2 --warmup-steps 0 --val-fraction 0.25";

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn data(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Trains for 20 steps on the command line and returns the settings it reported.
    fn terminal(&self, out: &str, data: &Path, flags: &str) -> RunConfig {
        let mut process = Process::new(env!("CARGO_BIN_EXE_blankslate"));
        process.args("train --device cpu --json --steps 20 --eval-every 10".split_whitespace());
        process.args(flags.split_whitespace());
        process.arg("--out").arg(self.path(out)).arg("--data").arg(data);
        let output = process.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let stdout = String::from_utf8(output.stdout).unwrap();
        let start: Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
        serde_json::from_value(json!({
            "name": "page", "tokenizer": start["tokenizer"], "model": start["model"],
            "train": start["train"], "data": start["data"], "sample_every": 0,
        }))
        .unwrap()
    }

    /// Sends commands to an engine that keeps its runs here. A download replaces the checkpoint.
    fn engine(&self, commands: Vec<Command>) {
        let failures: Rc<RefCell<Vec<String>>> = Rc::default();
        let sink = failures.clone();
        let folder = self.path("page").join(CHECKPOINT);
        let engine = Engine::new(self.path("").to_str().unwrap(), move |event| match event {
            Event::Failed { message } => sink.borrow_mut().push(message),
            Event::Archive { name, bytes } => {
                for (file, bytes) in unpack_zip(&name, &bytes).unwrap() {
                    fs::write(folder.join(file), bytes).unwrap();
                }
            }
            _ => {}
        });
        block_on(engine.handle(Command::Init { device: "cpu".into() }));
        for command in commands {
            block_on(engine.handle(command));
        }
        assert!(failures.borrow().is_empty(), "{:?}", failures.borrow());
    }

    fn read(&self, run: &str, file: &str) -> Vec<u8> {
        fs::read(self.path(run).join(CHECKPOINT).join(file)).expect(file)
    }

    /// Asserts that both runs have the same files with the same bytes. Only the name of the model that was fine-tuned
    /// differs: a path on the command line, a run's name in the engine.
    #[track_caller]
    fn assert_same(&self, terminal: &str) {
        let mut files = names(&self.path(terminal).join(CHECKPOINT), "");
        files.sort();
        let mut others = names(&self.path("page").join(CHECKPOINT), "");
        others.sort();
        assert_eq!(files, others);
        assert!(files.iter().any(|file| file == "optimizer.safetensors"), "{files:?}");
        for file in &files {
            let [ours, theirs] = [terminal, "page"].map(|run| self.read(run, file));
            if file.ends_with(".json") {
                let [ours, theirs] = [ours, theirs].map(|bytes| without_base(&bytes));
                assert_eq!(ours, theirs, "{file}");
            } else {
                assert!(ours == theirs, "{file} differs");
            }
        }
    }

    /// A model that was trained on conversations, and the command that opens it in the engine.
    fn base(&self) -> Command {
        let chat = self.data("chat.jsonl", &chat());
        self.terminal("base", &chat, &format!("{SMALL} --tokenizer byte"));
        let folder = self.path("base").join(CHECKPOINT);
        let read = |name: String| NamedFile { bytes: fs::read(folder.join(&name)).unwrap(), name };
        let files = names(&folder, "").into_iter().map(read).collect();
        Command::OpenFiles { name: "opened".into(), files }
    }
}

/// Files of a folder and the folders in it.
fn names(folder: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            found.extend(names(&path, &format!("{name}/")));
        } else {
            found.push(name);
        }
    }
    found
}

fn without_base(json: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(json).unwrap();
    for key in ["base", "base_model_name_or_path"] {
        if value[key].is_string() {
            value[key] = Value::Null;
        }
    }
    value
}

fn text() -> String {
    "she sells sea shells by the sea shore, and the shells she sells are sea shells.\n".repeat(40)
}

fn chat() -> String {
    let turn = |role: &str, content: &str| json!({ "role": role, "content": content });
    let said = [("sea?", "Green."), ("sky?", "Blue."), ("snow?", "White."), ("tree?", "Tall.")];
    said.map(|(question, answer)| {
        json!({ "messages": [turn("user", question), turn("assistant", answer)] }).to_string()
    })
    .join("\n")
}

fn pairs() -> String {
    let told =
        [("sea?", "Green.", "No."), ("sky?", "Blue.", "Grey."), ("snow?", "White.", "Cold.")];
    told.map(|(prompt, chosen, rejected)| {
        json!({ "prompt": prompt, "chosen": chosen, "rejected": rejected }).to_string()
    })
    .join("\n")
}

fn train() -> Command {
    Command::Train { until: 20 }
}

#[test]
fn text_gives_the_same_checkpoint() {
    let place = Place::new();
    let data = place.data("text.txt", &text());
    let flags = format!("{SMALL} --tokenizer bpe:300 --document-boundaries --dropout 0.1");
    let config = place.terminal("terminal", &data, &flags);
    place.engine(vec![Command::Create { config, text: text() }, train()]);
    place.assert_same("terminal");
}

#[test]
fn conversations_give_the_same_checkpoint() {
    let place = Place::new();
    let data = place.data("chat.jsonl", &chat());
    let config =
        place.terminal("terminal", &data, &format!("{SMALL} --tokenizer byte --val-fraction 0.25"));
    place.engine(vec![Command::Create { config, text: chat() }, train()]);
    place.assert_same("terminal");
}

#[test]
fn preference_pairs_give_the_same_checkpoint() {
    let place = Place::new();
    let open = place.base();
    let data = place.data("pairs.jsonl", &pairs());
    let from = place.path("base");
    let config = place.terminal("terminal", &data, &format!("{TUNED} --from {}", from.display()));
    place.engine(vec![open, Command::FineTune { config, text: pairs() }, train()]);
    place.assert_same("terminal");
}

#[test]
fn adapters_give_the_same_checkpoint() {
    let place = Place::new();
    let open = place.base();
    let data = place.data("text.txt", &text());
    let flags = format!("{TUNED} --lora-rank 4 --from {}", place.path("base").display());
    let config = place.terminal("terminal", &data, &flags);
    // In the page's storage it lacks the weights of its base.
    let download = Command::Export { run: Some("page".into()), history: None };
    place.engine(vec![open, Command::FineTune { config, text: text() }, train(), download]);
    place.assert_same("terminal");
    assert!(place.path("page").join(CHECKPOINT).join("adapter/adapter_config.json").exists());
}
