//! The engine: commands in, events out. It knows no JavaScript, so it also runs natively and in tests.
//!
//! Commands run concurrently as asynchronous tasks on one thread. Those that change the run exclude each
//! other; pausing, sampling and saving are welcome at any time and take effect between steps.

mod draft;
mod generate;
mod pair;
mod query;
mod run;
mod speed;
mod storage;
mod tokenizers;
mod training;

pub use run::problem_with;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use burn::tensor::Device;

use crate::check::check;
use crate::checkpoint::{Files, find_checkpoint, pack_zip, unpack, unpack_zip};
use crate::config::label;
use crate::error::{Error, Result};
use crate::platform::{DeviceInfo, Store, open_device, yield_now};
use crate::protocol::{self, Command, Event};
use crate::run::directory::valid_name;
use crate::sample::{CachedDecoder, Drafter};
use generate::{Beginning, Writing};
use run::Run;

const TRAINING: &str = "training is under way";

/// State of one worker.
pub struct Engine {
    emit: Box<dyn Fn(Event)>,
    root: String,
    device: RefCell<Option<(Device, DeviceInfo)>>,
    run: RefCell<Option<Run>>,
    /// What excludes other work now, in words.
    busy: Cell<Option<&'static str>>,
    /// Steps whose time is to be taken.
    profile: Cell<u64>,
    /// Whether the speed of some configuration is being measured.
    measuring: Cell<bool>,
    pause: Cell<bool>,
    /// The step at which training ends.
    until: Cell<u64>,
    /// By the page's number, the generations under way, and whether each was told to stop.
    generations: RefCell<BTreeMap<u32, Rc<Cell<bool>>>>,
    /// The kept checkpoint that was looked into last.
    kept: RefCell<Option<query::Kept>>,
    /// How often the weights at hand, or what is in storage, have changed.
    changes: Cell<u64>,
    /// Lists of what is in storage that were asked for.
    lists: Cell<u64>,
    /// The newest of them that was told, or is not true any more.
    told: Cell<u64>,
    /// What the model at hand has read of the last text.
    reader: RefCell<Option<CachedDecoder>>,
    /// Who guessed ahead for the last text, with what it has read of it.
    draft: RefCell<Option<(protocol::Draft, Drafter)>>,
}

impl Engine {
    /// Creates an engine that keeps its runs below `root` of the platform's storage.
    pub fn new(root: &str, emit: impl Fn(Event) + 'static) -> Rc<Self> {
        Rc::new(Self {
            emit: Box::new(emit),
            root: root.into(),
            device: RefCell::default(),
            run: RefCell::default(),
            busy: Cell::default(),
            profile: Cell::default(),
            measuring: Cell::default(),
            pause: Cell::default(),
            until: Cell::default(),
            generations: RefCell::default(),
            kept: RefCell::default(),
            changes: Cell::default(),
            lists: Cell::default(),
            told: Cell::default(),
            reader: RefCell::default(),
            draft: RefCell::default(),
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
        self.emit(Event::Failed { message: error.message(label) });
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
                self.require_free(&config.name).await?;
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
            Command::FineTune { config, text } => {
                let _busy = self.exclude("a run is being prepared")?;
                self.progress("Encoding the text", 0, 0);
                yield_now().await;
                self.require_free(&config.name).await?;
                let base = self.with_run(|run| Ok(run.base()))?;
                self.adopt(Run::fine_tune(config, &text, base, &self.device()?.0).await?)?;
            }
            Command::Text { text } => {
                let _busy = self.exclude("the text is being read")?;
                self.progress("Encoding the text", 0, 0);
                yield_now().await;
                self.with_run(|run| run.set_text(&text))?;
                self.announce()?;
            }
            Command::Train { until } => {
                let _busy = self.exclude(TRAINING)?;
                self.pause.set(false);
                let trained = self.train(until).await;
                let step = self.with_run(|run| Ok(run.step()))?;
                self.emit(Event::Training { running: false, step });
                trained?;
            }
            Command::Pause => self.pause.set(true),
            Command::Adjust { lr, batch_size, steps } => {
                let (config, estimate) = self.with_run(|run| {
                    run.adjust(lr, batch_size, steps)?;
                    Ok((run.config.clone(), run.estimate()))
                })?;
                if let Some(steps) = steps {
                    self.until.set(steps);
                }
                self.emit(Event::Adjusted { config, estimate });
            }
            Command::Generate { id, prompt, ids, messages, config, alternatives, draft } => {
                let beginning = match (messages, ids) {
                    (Some(messages), _) => Beginning::Conversation(messages),
                    (None, Some(ids)) => Beginning::Tokens(ids),
                    (None, None) => Beginning::Text(prompt),
                };
                self.generate(id, Writing { beginning, config, alternatives, draft }).await?;
            }
            Command::CancelGenerate { id } => self.cancel(id),
            Command::Save => self.save(None).await?,
            Command::Runs => self.list().await?,
            Command::Restore { run, step, branch } => {
                let _busy = self.exclude("a run is being restored")?;
                self.progress("Reading the checkpoint", 0, 0);
                self.adopt(self.load(&run, step, branch.as_deref()).await?)?;
            }
            Command::Delete { run } => {
                valid_name(&run)?;
                if self.at_hand().is_some_and(|name| name == run) {
                    let _busy = self.exclude("a run is being deleted")?;
                    self.cancel(None);
                    self.run.take();
                    self.weights_change();
                    self.emit(Event::Gone);
                }
                Store::open(&self.root).await?.remove(&run).await?;
                self.storage_changes();
                self.told.set(self.lists.get());
                self.list().await?;
            }
            Command::Export { run } => {
                let (name, step, files) = match run {
                    Some(run) => self.stored(run).await?,
                    None => {
                        let (snapshot, name) =
                            self.with_run(|run| Ok((run.snapshot(), run.config.name.clone())))?;
                        (name, snapshot.state.step, snapshot.files().await?)
                    }
                };
                let name = format!("{name}-step-{step}.zip");
                self.emit(Event::Archive { name, bytes: pack_zip(&files)? });
            }
            Command::Open { name, bytes } => {
                let _busy = self.exclude("a file is being opened")?;
                self.progress("Reading the file", 0, 0);
                yield_now().await;
                let run = name.strip_suffix(".zip").unwrap_or(&name);
                self.open(run, unpack_zip(&name, &bytes)?).await?;
            }
            Command::OpenFiles { name, files } => {
                let _busy = self.exclude("files are being opened")?;
                self.progress("Reading the files", 0, 0);
                yield_now().await;
                let files = files.into_iter().map(|file| (file.name, file.bytes));
                self.open(&name, find_checkpoint(files.collect())).await?;
            }
            Command::Profile { steps } => {
                if self.busy.get() != Some(TRAINING) {
                    return Err(Error::config("profile", "nothing is trained now", "train first"));
                }
                self.profile.set(steps);
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

    fn at_hand(&self) -> Option<String> {
        self.run.borrow().as_ref().map(|run| run.config.name.clone())
    }

    /// Takes the files of a checkpoint directory for the run at hand, under a name that no stored run has.
    async fn open(&self, name: &str, files: Files) -> Result<()> {
        valid_name(name)?;
        let name = self.free_name(name).await?;
        self.adopt(Run::load(unpack(files, &name)?, &name, &self.device()?.0)?)
    }

    fn adopt(&self, run: Run) -> Result<()> {
        self.run.replace(Some(run));
        // Another run may have the same name.
        self.storage_changes();
        self.weights_change();
        self.announce()
    }

    /// Keys and values belong to the weights that made them, and keep those in memory.
    fn weights_change(&self) {
        self.changes.set(self.changes.get() + 1);
        self.reader.take();
    }

    /// What was taken from storage may be something else there now.
    fn storage_changes(&self) {
        self.changes.set(self.changes.get() + 1);
        self.kept.take();
        self.draft.take();
    }

    /// Tells what is in storage. Reading it takes its time: what was told or deleted meanwhile is newer.
    async fn list(&self) -> Result<()> {
        let own = self.lists.get() + 1;
        self.lists.set(own);
        let runs = self.runs().await?;
        if own > self.told.get() {
            self.told.set(own);
            self.emit(Event::Runs { runs });
        }
        Ok(())
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
                Err(Error::config("engine", other, "wait for it, or pause it first"))
            }
        }
    }
}

struct Busy<'a>(&'a Engine);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.set(None);
    }
}
