//! The engine: commands in, events out. It knows no JavaScript, so it also runs natively and in tests.
//!
//! Commands run concurrently as asynchronous tasks on one thread. Those that change the current run exclude each other;
//! pausing, sampling and saving are possible at any time and take effect between steps.
//!
//! ```
//! use std::cell::RefCell;
//! use std::rc::Rc;
//!
//! use blankslate::engine::Engine;
//! use blankslate::platform::block_on;
//! use blankslate::protocol::{Command, Event};
//!
//! let events = Rc::new(RefCell::new(Vec::new()));
//! let received = events.clone();
//! let engine = Engine::new("target/engine-example", move |event| received.borrow_mut().push(event));
//! block_on(engine.handle(Command::Init { device: "cpu".into() }));
//! assert!(matches!(&events.borrow()[..], [Event::Ready { device, .. }] if device.name == "cpu"));
//! ```

mod base;
mod draft;
mod generate;
mod models;
mod pair;
mod prepare;
mod query;
mod reference;
mod speed;
mod spelling;
mod state;
mod storage;
mod tokenizers;
mod training;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use burn::tensor::Device;

use crate::check::check;
use crate::checkpoint::{Files, find_checkpoint, pack_zip, unpack_zip};
use crate::error::{Error, Result};
use crate::platform::{DeviceInfo, Store, open_device, yield_now};
use crate::protocol::{Command, Draft, Event, HISTORY, History, page_message};
use crate::run::Run;
use crate::sample::{CachedDecoder, Drafter};
use reference::{BaseCheckpoint, base_of};
use state::{Claim, Kept, Notices, Prompt, TextRequest};

const TRAINING: &str = "training is in progress";

/// The engine of one worker.
pub struct Engine {
    emit: Box<dyn Fn(Event)>,
    root: String,
    device: RefCell<Option<(Device, DeviceInfo)>>,
    run: RefCell<Option<Run>>,
    notices: RefCell<Notices>,
    /// The claim on the current run's name.
    claim: RefCell<Option<Rc<Claim>>>,
    /// The step at which the loss of the current run was not finite, if that happened.
    diverged: Cell<Option<u64>>,
    /// Description of the work in progress that excludes other work, if any.
    busy: Cell<Option<&'static str>>,
    /// Number of steps to profile.
    profile: Cell<u64>,
    /// True while the speed of a configuration is being measured.
    measuring: Cell<bool>,
    pause: Cell<bool>,
    /// The step at which training ends.
    until: Cell<u64>,
    /// Generations in progress by the page's number; each flag stops one.
    generations: RefCell<BTreeMap<u32, Rc<Cell<bool>>>>,
    /// The kept checkpoint that was inspected last.
    kept: RefCell<Option<Kept>>,
    /// Number of changes of the current weights and of storage.
    changes: Cell<u64>,
    /// Number of requests for the list of stored runs.
    lists: Cell<u64>,
    /// Number of the newest request whose list was emitted or became outdated.
    emitted_list: Cell<u64>,
    /// The current model with the KV cache of its last text.
    decoder: RefCell<Option<CachedDecoder>>,
    /// The stored checkpoint whose weights the current run may share.
    base: RefCell<Option<BaseCheckpoint>>,
    /// The drafter of the last text, with its own KV cache.
    draft: RefCell<Option<(Draft, Drafter)>>,
}

impl Engine {
    /// Creates an engine that keeps its runs below `root` of the platform's storage.
    pub fn new(root: &str, emit: impl Fn(Event) + 'static) -> Rc<Self> {
        Rc::new(Self {
            emit: Box::new(emit),
            root: root.into(),
            device: RefCell::default(),
            run: RefCell::default(),
            notices: RefCell::default(),
            claim: RefCell::default(),
            diverged: Cell::default(),
            busy: Cell::default(),
            profile: Cell::default(),
            measuring: Cell::default(),
            pause: Cell::default(),
            until: Cell::default(),
            generations: RefCell::default(),
            kept: RefCell::default(),
            changes: Cell::default(),
            lists: Cell::default(),
            emitted_list: Cell::default(),
            decoder: RefCell::default(),
            base: RefCell::default(),
            draft: RefCell::default(),
        })
    }

    /// Executes a command and emits its results or its failure.
    pub async fn handle(&self, command: Command) {
        if let Err(error) = self.dispatch(command).await {
            self.fail(&error);
        }
    }

    /// Emits an error that does not belong to a command.
    pub fn fail(&self, error: &Error) {
        self.emit(Event::Failed { message: page_message(error) });
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
                let claim = self.claim_new(&config.name).await?;
                self.adopt(self.fresh(config, &text)?, Notices::default(), claim)?;
            }
            Command::FineTune { config, text } => {
                let _busy = self.exclude("a run is being prepared")?;
                self.progress("Encoding the text", 0, 0);
                yield_now().await;
                self.require_finite()?;
                let claim = self.claim_new(&config.name).await?;
                let base = self.with_run(|run| {
                    Ok(BaseCheckpoint { run: run.config.name.clone(), step: run.step() })
                })?;
                self.adopt(self.fine_tuned(config, &text).await?, Notices::default(), claim)?;
                self.base.replace(Some(base));
            }
            Command::Text { text } => {
                let _busy = self.exclude("the text is being read")?;
                self.progress("Encoding the text", 0, 0);
                yield_now().await;
                self.set_text(&text)?;
                self.announce()?;
            }
            Command::Train { until } => {
                let _busy = self.exclude(TRAINING)?;
                self.require_finite()?;
                self.pause.set(false);
                let trained = self.train(until).await;
                let step = self.with_run(|run| Ok(run.step()))?;
                self.emit(Event::Training { running: false, step });
                if let Err(Error::Diverged { step, .. }) = trained {
                    self.end_diverged(step).await?;
                }
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
                self.emit(Event::Adjusted { config: Box::new(config), estimate });
            }
            Command::Generate { id, prompt, ids, messages, config, alternatives, draft } => {
                let prompt = match (messages, ids) {
                    (Some(messages), _) => Prompt::Conversation(messages),
                    (None, Some(ids)) => Prompt::Tokens(ids),
                    (None, None) => Prompt::Text(prompt),
                };
                let request = TextRequest { prompt, config, alternatives, draft };
                self.generate(id, request).await?;
            }
            Command::CancelGenerate { id } => self.cancel(id),
            Command::Save => {
                let (run, step) = self.save(None).await?;
                self.emit(Event::Saved { run, step });
            }
            Command::Runs => self.list().await?,
            Command::Restore { run, step, branch } => {
                let _busy = self.exclude("a run is being restored")?;
                self.progress("Reading the checkpoint", 0, 0);
                let claim = match branch {
                    Some(branch) => self.claim_new(&branch).await?,
                    None => self.claim(&run).await?,
                };
                let (loaded, notices) = self.load(&run, step, &claim.name).await?;
                let base = base_of(&self.store(&run).await?).await;
                self.adopt(loaded, notices, claim)?;
                self.base.replace(base);
            }
            Command::Delete { run } => {
                let claim = self.claim(&run).await?;
                if self.current_name().is_some_and(|name| name == run) {
                    let _busy = self.exclude("a run is being deleted")?;
                    self.cancel(None);
                    self.run.take();
                    self.claim.take();
                    self.forget_weights();
                    self.emit(Event::Gone);
                }
                self.release_base(&run).await?;
                Store::open(&self.root).await?.remove(&run).await?;
                drop(claim);
                self.forget_stored();
                self.emitted_list.set(self.lists.get());
                self.list().await?;
            }
            Command::Export { run, history } => {
                let (name, step, mut files) = match run {
                    Some(run) => self.stored(run).await?,
                    None => {
                        self.require_finite()?;
                        let (snapshot, name) =
                            self.with_run(|run| Ok((run.snapshot(), run.config.name.clone())))?;
                        (name, snapshot.step(), snapshot.files().await?)
                    }
                };
                if let Some(history) = history {
                    files.insert(HISTORY.into(), history.to_json());
                }
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
                    return Err(Error::config(
                        "profile",
                        "no training is in progress",
                        "start training first",
                    ));
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
            None => Err(Error::config("model", "no model is loaded", "train or open one first")),
        }
    }

    fn current_name(&self) -> Option<String> {
        self.run.borrow().as_ref().map(|run| run.config.name.clone())
    }

    /// Makes the files of a checkpoint directory the current run, under a name that neither a stored run nor another tab has.
    async fn open(&self, name: &str, mut files: Files) -> Result<()> {
        let claim = self.claim_free(name).await?;
        let history = files.remove(HISTORY).map(|bytes| History::read(&bytes));
        let (run, mut notices) = self.loaded(&claim.name, files)?;
        let history = match history.transpose() {
            Ok(history) => history,
            Err(error) => {
                notices.history = Some(format!("{}.", page_message(&error)));
                None
            }
        };
        self.adopt(run, notices, claim)?;
        if let Some(history) = history {
            self.emit(Event::History { history });
        }
        Ok(())
    }

    /// Makes `run` the current run, whose name `claim` is of.
    fn adopt(&self, run: Run, notices: Notices, claim: Rc<Claim>) -> Result<()> {
        self.run.replace(Some(run));
        self.notices.replace(notices);
        self.claim.replace(Some(claim));
        self.diverged.set(None);
        self.base.take();
        // Another run may have the same name.
        self.forget_stored();
        self.forget_weights();
        self.announce()
    }

    /// Drops the KV cache: its keys and values belong to earlier weights, and keep those in memory.
    fn forget_weights(&self) {
        self.changes.set(self.changes.get() + 1);
        self.decoder.take();
    }

    /// Drops the models loaded from storage, which may have changed.
    fn forget_stored(&self) {
        self.changes.set(self.changes.get() + 1);
        self.kept.take();
        self.draft.take();
    }

    /// Emits the list of stored runs, unless a newer list was emitted, or a run deleted, while storage was read.
    async fn list(&self) -> Result<()> {
        let own = self.lists.get() + 1;
        self.lists.set(own);
        let runs = self.runs().await?;
        if own > self.emitted_list.get() {
            self.emitted_list.set(own);
            self.emit(Event::Runs { runs });
        }
        Ok(())
    }

    fn announce(&self) -> Result<()> {
        self.emit(Event::Loaded { info: Box::new(self.info()?) });
        Ok(())
    }

    fn progress(&self, stage: &str, done: u64, total: u64) {
        self.emit(Event::Progress { stage: stage.into(), done, total });
    }

    /// Excludes other work that changes the current run until the guard is dropped.
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
