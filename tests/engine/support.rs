//! A page for tests: commands in, events out, storage in a temporary folder.

use std::cell::{OnceCell, RefCell};
use std::rc::{Rc, Weak};

use blankslate::config::{
    CheckpointConfig, DataConfig, ModelConfig, OptimizerConfig, SampleConfig, TrainConfig,
};
use blankslate::engine::Engine;
use blankslate::platform::block_on;
use blankslate::protocol::{Command, Event, RunConfig};

type Reaction = Box<dyn Fn(&Event) -> Option<Command>>;

/// A page without JavaScript.
pub struct Page {
    pub engine: Rc<Engine>,
    pub folder: Rc<tempfile::TempDir>,
    events: Rc<RefCell<Vec<Event>>>,
    reaction: Rc<RefCell<Option<Reaction>>>,
}

impl Page {
    pub fn open() -> Self {
        Self::open_in(Rc::new(tempfile::tempdir().unwrap()))
    }

    /// Opens another tab: a page with the same storage.
    pub fn beside(&self) -> Self {
        Self::open_in(self.folder.clone())
    }

    fn open_in(folder: Rc<tempfile::TempDir>) -> Self {
        let events: Rc<RefCell<Vec<Event>>> = Rc::default();
        let reaction: Rc<RefCell<Option<Reaction>>> = Rc::default();
        let this: Rc<OnceCell<Weak<Engine>>> = Rc::default();
        let (sink, react, own) = (events.clone(), reaction.clone(), this.clone());
        let engine = Engine::new(folder.path().to_str().unwrap(), move |event| {
            let command = react.borrow().as_ref().and_then(|react| react(&event));
            sink.borrow_mut().push(event);
            if let Some(command) = command {
                block_on(own.get().unwrap().upgrade().unwrap().handle(command));
            }
        });
        this.set(Rc::downgrade(&engine)).unwrap();
        let page = Self { engine, folder, events, reaction };
        page.send(Command::Init { device: "cpu".into() });
        page
    }

    /// Sends the command that `reaction` returns for an event, while the command that emitted it continues.
    pub fn react(&self, reaction: impl Fn(&Event) -> Option<Command> + 'static) {
        self.reaction.replace(Some(Box::new(reaction)));
    }

    /// Sends a command and returns its events, none of which may be a failure.
    pub fn send(&self, command: Command) -> Vec<Event> {
        let events = self.try_send(command);
        if let Some(Event::Failed { message }) =
            events.iter().find(|event| matches!(event, Event::Failed { .. }))
        {
            panic!("{message}");
        }
        events
    }

    pub fn try_send(&self, command: Command) -> Vec<Event> {
        self.events.borrow_mut().clear();
        block_on(self.engine.handle(command));
        self.events.borrow_mut().drain(..).collect()
    }

    pub fn failure(&self, command: Command) -> String {
        match self.try_send(command).pop() {
            Some(Event::Failed { message }) => message,
            other => panic!("no failure but {other:?}"),
        }
    }
}

pub fn text() -> String {
    "she sells sea shells by the sea shore. ".repeat(60)
}

pub fn config() -> RunConfig {
    RunConfig {
        name: "first".into(),
        tokenizer: "char".into(),
        model: ModelConfig::gpt2(1)
            .with_context(16)
            .with_hidden_size(16)
            .with_layers(1)
            .with_heads(2),
        train: TrainConfig {
            steps: 12,
            eval_every: 5,
            checkpoints: CheckpointConfig { save_every: 5, ..Default::default() },
            optimizer: OptimizerConfig::with_lr(1e-2),
            ..Default::default()
        },
        data: DataConfig { seq_len: 16, ..Default::default() },
        sample_every: 4,
    }
}

pub fn losses(events: &[Event]) -> Vec<(u64, f64)> {
    let figures = events.iter().filter_map(|event| match event {
        Event::Step { report } => Some((report.step, report.loss)),
        _ => None,
    });
    figures.collect()
}

/// The newest checkpoint of a run.
pub fn restore(run: &str) -> Command {
    Command::Restore { run: run.into(), step: None, branch: None }
}

/// The command that continues a text.
pub fn generate(id: u32, prompt: &str, config: SampleConfig) -> Command {
    let prompt = prompt.into();
    Command::Generate {
        id,
        prompt,
        ids: None,
        messages: None,
        config,
        alternatives: 0,
        draft: None,
    }
}

/// A page with a small byte-level model, trained for two steps, as the base of fine-tuning.
pub fn base() -> Page {
    let page = Page::open();
    let model =
        ModelConfig::gpt2(1).with_context(48).with_hidden_size(32).with_layers(1).with_heads(2);
    let base = RunConfig { tokenizer: "byte".into(), model, ..config() };
    page.send(Command::Create { config: base, text: text() });
    page.send(Command::Train { until: 2 });
    page
}
