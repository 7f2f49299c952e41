//! The worker's session: commands in, events out. Knows no JavaScript, so it also runs natively, in tests.
//!
//! Commands run concurrently as asynchronous tasks on one thread. Those that change the run exclude each
//! other; pausing, sampling and saving are welcome at any time and take effect between steps.

mod run;
mod training;

pub use run::problem_with;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use burn::tensor::Device;

use crate::check::check;
use crate::checkpoint::{pack_zip, unpack, unpack_zip};
use crate::config::SampleConfig;
use crate::error::{Error, Result};
use crate::platform::{DeviceInfo, Store, now_ms, open_device, yield_now};
use crate::protocol::{Command, Event, RunSummary};
use crate::runs::{RunDir, valid_name};
use crate::sample::Generator;
use run::Run;

/// One worker's state.
pub struct Session {
    emit: Box<dyn Fn(Event)>,
    root: String,
    device: RefCell<Option<(Device, DeviceInfo)>>,
    run: RefCell<Option<Run>>,
    /// What excludes other work now, in words.
    busy: Cell<Option<&'static str>>,
    pause: Cell<bool>,
    cancel_generate: Cell<bool>,
}

impl Session {
    /// A session that keeps its runs below `root` of the platform's storage.
    pub fn new(root: &str, emit: impl Fn(Event) + 'static) -> Rc<Self> {
        Rc::new(Self {
            emit: Box::new(emit),
            root: root.into(),
            device: RefCell::default(),
            run: RefCell::default(),
            busy: Cell::default(),
            pause: Cell::default(),
            cancel_generate: Cell::default(),
        })
    }

    /// Carries out one command; what comes of it, failure included, is emitted.
    pub async fn handle(&self, command: Command) {
        if let Err(error) = self.dispatch(command).await {
            self.fail(&error);
        }
    }

    /// Tells of a failure that is no command's.
    pub fn fail(&self, error: &Error) {
        self.emit(Event::Failed { message: error.to_string() });
    }

    fn emit(&self, event: Event) {
        (self.emit)(event);
    }

    async fn dispatch(&self, command: Command) -> Result<()> {
        match command {
            Command::Init { device } => {
                let opened = open_device(&device).await?;
                let info = opened.1.clone();
                self.device.replace(Some(opened));
                self.emit(Event::Ready { device: info, runs: self.runs().await? });
            }
            Command::Create { config, text } => {
                let _busy = self.exclude("a run is being prepared")?;
                self.progress("Training the tokenizer", 0, 0);
                yield_now().await;
                let (device, _) = self.device()?;
                let run = Run::create(config, &text, &device, |report| {
                    let stage = match report.stage {
                        crate::tokenizer::TrainStage::Counting => "Counting words",
                        crate::tokenizer::TrainStage::Merging => "Learning merges",
                    };
                    self.progress(stage, report.done, report.total);
                })?;
                self.adopt(run)?;
            }
            Command::Text { text } => {
                let _busy = self.exclude("the text is being read")?;
                self.progress("Encoding the text", 0, 0);
                yield_now().await;
                self.with_run(|run| run.set_text(&text))?;
                self.announce()?;
            }
            Command::Train { until } => {
                let _busy = self.exclude("training is under way")?;
                self.pause.set(false);
                let trained = self.train(until).await;
                let step = self.with_run(|run| Ok(run.step()))?;
                self.emit(Event::Training { running: false, step });
                trained?;
            }
            Command::Pause => self.pause.set(true),
            Command::Generate { id, prompt, config } => {
                self.cancel_generate.set(false);
                let generated = self.generate(id, &prompt, &config).await;
                if let Err(error) = generated {
                    self.end_text(id);
                    return Err(error);
                }
            }
            Command::CancelGenerate => self.cancel_generate.set(true),
            Command::Save => self.save(None).await?,
            Command::Runs => self.emit(Event::Runs { runs: self.runs().await? }),
            Command::Restore { run } => {
                let _busy = self.exclude("a run is being restored")?;
                valid_name(&run)?;
                self.progress("Reading the checkpoint", 0, 0);
                let files = RunDir::new(self.store(&run).await?).load().await?;
                let loaded = unpack(files, &run)?;
                self.adopt(Run::load(loaded, &run, &self.device()?.0)?)?;
            }
            Command::Delete { run } => {
                valid_name(&run)?;
                Store::open(&self.root).await?.remove(&run).await?;
                self.emit(Event::Runs { runs: self.runs().await? });
            }
            Command::Export => {
                let (snapshot, name) =
                    self.with_run(|run| Ok((run.snapshot(), run.config.name.clone())))?;
                let bytes = pack_zip(&snapshot.files().await?)?;
                let name = format!("{name}-step-{}.zip", snapshot.state.step);
                self.emit(Event::Archive { name, bytes });
            }
            Command::Open { name, bytes } => {
                let _busy = self.exclude("a file is being opened")?;
                self.progress("Reading the file", 0, 0);
                yield_now().await;
                let loaded = unpack(unpack_zip(&name, &bytes)?, &name)?;
                let name = name.strip_suffix(".zip").unwrap_or(&name);
                valid_name(name)?;
                self.adopt(Run::load(loaded, name, &self.device()?.0)?)?;
            }
            Command::Check { golden } => {
                let _busy = self.exclude("the device is being checked")?;
                let (device, info) = self.device()?;
                let name = format!("{} ({})", info.name, info.adapter);
                let report = check(&golden, &device, &name).await?;
                self.emit(Event::Checked { report });
            }
        }
        Ok(())
    }

    async fn generate(&self, id: u32, prompt: &str, config: &SampleConfig) -> Result<()> {
        let (model, tokenizer) = self.with_run(|run| Ok((run.model(), run.tokenizer.clone())))?;
        let mut generator = Generator::new(model, &tokenizer, prompt, config)?;
        let started = now_ms();
        while let Some(piece) = generator.next().await? {
            let seconds = (now_ms() - started).max(1.0) / 1e3;
            let tokens = generator.produced() as u64;
            let done = piece.done || self.cancel_generate.get();
            let tokens_per_second = tokens as f64 / seconds;
            self.emit(Event::Text { id, text: piece.text, tokens, tokens_per_second, done });
            if done {
                return Ok(());
            }
            yield_now().await;
        }
        self.end_text(id);
        Ok(())
    }

    fn end_text(&self, id: u32) {
        let text = String::new();
        self.emit(Event::Text { id, text, tokens: 0, tokens_per_second: 0.0, done: true });
    }

    /// Saves the run as it is now. `val_loss` is its validation loss, if it was just evaluated.
    async fn save(&self, val_loss: Option<f64>) -> Result<()> {
        let (snapshot, name) =
            self.with_run(|run| Ok((run.snapshot(), run.config.name.clone())))?;
        let files = snapshot.files().await?;
        let directory = RunDir::new(self.store(&name).await?);
        if files.contains_key(crate::checkpoint::STATE) {
            directory.save(&files, &snapshot.state, val_loss).await?;
        } else {
            return Err(Error::EmptyData {
                what: "the run's text (a run is saved with its cursor)".into(),
            });
        }
        let summary = format!("{}", now_ms());
        self.store(&name).await?.write("saved_at", summary.as_bytes()).await?;
        self.emit(Event::Saved { run: name, step: snapshot.state.step });
        Ok(())
    }

    /// The runs in storage, newest first.
    async fn runs(&self) -> Result<Vec<RunSummary>> {
        let mut runs = Vec::new();
        for name in Store::open(&self.root).await?.list("").await? {
            let store = self.store(&name).await?;
            let saved_at = store.read("saved_at").await.unwrap_or_default();
            let saved_at = String::from_utf8_lossy(&saved_at).parse().unwrap_or(0.0);
            if let Some(step) = RunDir::new(store).steps().await?.last() {
                runs.push(RunSummary { name, step: *step, saved_at });
            }
        }
        runs.sort_by(|a, b| b.saved_at.total_cmp(&a.saved_at));
        Ok(runs)
    }

    async fn store(&self, run: &str) -> Result<Store> {
        Store::open(&format!("{}/{run}", self.root)).await
    }

    fn device(&self) -> Result<(Device, DeviceInfo)> {
        self.device.borrow().clone().ok_or_else(|| Error::Device {
            device: "none".into(),
            problem: "no device was chosen".into(),
            remedy: "send `init` first".into(),
        })
    }

    fn with_run<T>(&self, act: impl FnOnce(&mut Run) -> Result<T>) -> Result<T> {
        match self.run.borrow_mut().as_mut() {
            Some(run) => act(run),
            None => Err(Error::config("model", "there is none yet", "train or open one first")),
        }
    }

    fn adopt(&self, run: Run) -> Result<()> {
        self.run.replace(Some(run));
        self.announce()
    }

    fn announce(&self) -> Result<()> {
        let (_, device) = self.device()?;
        let info = self.with_run(|run| Ok(run.info(&device)))?;
        self.emit(Event::Loaded { info });
        Ok(())
    }

    fn progress(&self, stage: &str, done: u64, total: u64) {
        self.emit(Event::Progress { stage: stage.into(), done, total });
    }

    /// Keeps other work that changes the run out until the guard is dropped.
    fn exclude(&self, what: &'static str) -> Result<Busy<'_>> {
        match self.busy.replace(Some(what)) {
            None => Ok(Busy(self)),
            Some(other) => {
                self.busy.set(Some(other));
                Err(Error::config("session", other, "wait for it, or pause it first"))
            }
        }
    }
}

struct Busy<'a>(&'a Session);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.set(None);
    }
}
