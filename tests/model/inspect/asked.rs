//! Inspection through the engine's queries, as the page uses it.

use std::cell::RefCell;
use std::rc::Rc;

use blankslate::config::*;
use blankslate::engine::Engine;
use blankslate::platform::block_on;
use blankslate::protocol::*;

use super::support::assert_near;

struct Page {
    engine: Rc<Engine>,
    events: Rc<RefCell<Vec<Event>>>,
    _folder: tempfile::TempDir,
}

impl Page {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let events: Rc<RefCell<Vec<Event>>> = Rc::default();
        let sink = events.clone();
        let root = folder.path().to_str().unwrap();
        let engine = Engine::new(root, move |event| sink.borrow_mut().push(event));
        let page = Self { engine, events, _folder: folder };
        page.send(Command::Init { device: "cpu".into() });
        page
    }

    fn with_run() -> Self {
        let page = Self::open();
        page.send(Command::Create { config: config(), text: text() });
        page
    }

    fn send(&self, command: Command) {
        block_on(self.engine.handle(command));
        for event in &*self.events.borrow() {
            assert!(!matches!(event, Event::Failed { .. }), "{event:?}");
        }
    }

    fn ask(&self, query: Query) -> Answer {
        block_on(self.engine.ask(query)).unwrap()
    }

    fn refused(&self, query: Query) -> String {
        block_on(self.engine.ask(query)).unwrap_err().to_string()
    }

    fn tensors(&self, step: Option<u64>) -> Vec<TensorReport> {
        match self.ask(Query::Tensors { step }) {
            Answer::Tensors { tensors } => tensors,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the answers of all queries for the model of a step as text, since answers cannot be compared.
    fn all(&self, step: Option<u64>) -> String {
        let config = SampleConfig::default();
        let cut = Query::Cut { text: "sea".into(), step, config, top: 9 };
        let map = Query::Embeddings { step, limit: 9, find: String::new() };
        let (text, layer, place) = ("sea shore".to_string(), 1, 3);
        let neurons = Query::Neurons { text: text.clone(), step, layer, place, count: 3, top: 3 };
        let activations = Query::Activations { text: text.clone(), step };
        let cached = Query::Cached { text, step };
        let queries = [cut, map, circuit("sea shore", step, 2), neurons, activations, cached];
        let answers = queries.map(|query| self.ask(query));
        format!("{answers:?} {:?}", self.tensors(step))
    }

    fn inspect(&self, text: &str, step: Option<u64>, ablate: Vec<Part>) -> Inspection {
        match self.ask(inspect(text, step, ablate)) {
            Answer::Inspect { inspection } => inspection,
            other => panic!("{other:?}"),
        }
    }
}

fn inspect(text: &str, step: Option<u64>, ablate: Vec<Part>) -> Query {
    Query::Inspect { text: text.into(), step, ablate, top: 3 }
}

fn circuit(text: &str, step: Option<u64>, head: usize) -> Query {
    Query::Circuit { text: text.into(), step, layer: 1, head, top: 3 }
}

fn text() -> String {
    "she sells sea shells by the sea shore. ".repeat(40)
}

fn config() -> RunConfig {
    RunConfig {
        name: "asked".into(),
        tokenizer: "char".into(),
        model: ModelConfig::llama(0)
            .with_context(16)
            .with_hidden_size(16)
            .with_layers(2)
            .with_heads(4)
            .with_kv_heads(2)
            .with_intermediate_size(40),
        train: TrainConfig {
            steps: 8,
            checkpoints: CheckpointConfig { save_every: 4, ..Default::default() },
            optimizer: OptimizerConfig::with_lr(1e-2),
            ..Default::default()
        },
        data: DataConfig { seq_len: 16, ..Default::default() },
        sample_every: 0,
    }
}

fn joined(tokens: &[Token]) -> String {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

#[test]
fn queries_need_a_model() {
    let page = Page::open();
    let config = SampleConfig::default();
    for query in [
        Query::Tokens { text: "a".into() },
        Query::Vocabulary,
        inspect("a", None, vec![]),
        Query::Cut { text: "a".into(), step: None, config, top: 1 },
        Query::Tensors { step: None },
        Query::Embeddings { step: None, limit: 9, find: String::new() },
        circuit("a", None, 0),
        Query::Neurons { text: "a".into(), step: None, layer: 0, place: 0, count: 1, top: 1 },
        Query::Activations { text: "a".into(), step: None },
        Query::Cached { text: "a".into(), step: None },
    ] {
        assert!(page.refused(query).contains("train or open one first"));
    }
}

#[test]
fn a_text_is_tokenized_and_inspected() {
    let page = Page::with_run();
    let Answer::Tokens { tokens } = page.ask(Query::Tokens { text: "sea shore".into() }) else {
        panic!()
    };
    assert_eq!((tokens.len(), joined(&tokens)), (9, "sea shore".into()));
    let Answer::Vocabulary { tokens: all, .. } = page.ask(Query::Vocabulary) else { panic!() };
    assert!(tokens.iter().all(|token| all[token.id as usize] == *token));

    let seen = page.inspect("sea shore", None, vec![]);
    assert_eq!((seen.step, seen.layers, seen.heads, seen.tokens), (0, 2, 4, tokens));
    assert_eq!(seen.attention.len(), 2 * 4 * 9 * 9 * 4);
    assert_eq!((seen.residual_rms.len(), seen.attention_rms.len()), (27, 18));
    assert_eq!((seen.mlp_rms.len(), seen.lens.len(), seen.losses.len()), (18, 3, 8));
    assert!(seen.losses_before.is_none() && seen.next_before.is_none());
    assert_eq!(seen.next.len(), 3);
    for (next, likely) in seen.next.iter().zip(&seen.lens[2][8].top) {
        assert_eq!(next.token, likely.token);
        assert!((next.probability - next.drawn).abs() < 1e-6);
    }

    // Of a text longer than the context, the end is used.
    let long = page.inspect(&text(), None, vec![]);
    assert_eq!(joined(&long.tokens), " the sea shore. ");

    let part = |head| Part { layer: 1, head, neuron: None };
    let ablated = page.inspect("sea shore", None, vec![part(Some(3)), part(None)]);
    assert_eq!(ablated.losses_before.unwrap(), seen.losses);
    // Both have the same tokens, including the most likely ones before the ablation.
    let before = ablated.next_before.unwrap();
    assert!(seen.next.iter().all(|next| before.contains(next)), "{before:?}");
    assert!(before.iter().map(|c| &c.token).eq(ablated.next.iter().map(|c| &c.token)));
    assert_ne!(ablated.losses, seen.losses);

    assert!(page.refused(inspect("", None, vec![])).contains("it is empty"));
    assert!(page.refused(inspect("#", None, vec![])).contains("no token for"));
    assert!(page.refused(inspect("a", None, vec![part(Some(4))])).contains("ablate"));
    assert!(page.refused(inspect("a", Some(3), vec![])).contains("no checkpoint of step 3"));
}

#[test]
fn a_kept_step_is_inspected_without_changing_the_run() {
    let page = Page::with_run();
    page.send(Command::Train { until: 4 });
    let then = page.inspect("sea shore", None, vec![]);
    page.send(Command::Train { until: 8 });
    let now = page.inspect("sea shore", Some(8), vec![]);
    for _ in 0..2 {
        let again = page.inspect("sea shore", Some(4), vec![]);
        assert_eq!((again.step, now.step), (4, 8));
        assert_eq!(again.losses, then.losses);
        assert_eq!(again.attention, then.attention);
    }
    assert_ne!(now.losses, then.losses);
    assert_eq!(page.inspect("sea shore", None, vec![]).losses, now.losses);
}

/// Weights, gradients, embedding map, sampling and circuits are those of the kept step.
#[test]
fn every_query_works_on_a_kept_step() {
    let page = Page::with_run();
    page.send(Command::Train { until: 4 });
    let then = page.all(None);
    page.send(Command::Train { until: 8 });
    let now = page.all(None);
    assert_eq!(page.all(Some(4)), then);
    assert_eq!(page.all(Some(8)), now);
    assert_ne!(now, then);
    assert!(page.refused(Query::Tensors { step: Some(3) }).contains("no checkpoint of step 3"));
}

#[test]
fn a_heads_circuits_are_reported_as_text() {
    let page = Page::with_run();
    let Answer::Circuit { circuit: seen } = page.ask(circuit("sea shore", None, 2)) else {
        panic!()
    };
    assert_eq!((seen.step, joined(&seen.tokens)), (0, "sea shore".into()));
    assert_eq!((seen.scores.len(), seen.scores_alone.len()), (9 * 9 * 4, 9 * 9 * 4));
    assert_eq!(seen.promoted.len(), 9);
    assert!(seen.promoted.iter().all(|list| list.len() == 3 && list[0].logit >= list[2].logit));
    // A token promotes the same tokens at every position.
    assert_eq!(seen.promoted[0], seen.promoted[4]);
    assert!(page.refused(circuit("sea", None, 4)).contains("2 blocks of 4 heads"));
}

/// Queries arrive while training waits, which the event callback simulates.
#[test]
fn queries_between_steps_do_not_change_training() {
    let losses = |ask: bool| {
        let folder = tempfile::tempdir().unwrap();
        let asked: Rc<RefCell<Option<Rc<Engine>>>> = Rc::default();
        let losses: Rc<RefCell<Vec<f64>>> = Rc::default();
        let (slot, sink) = (asked.clone(), losses.clone());
        let engine = Engine::new(folder.path().to_str().unwrap(), move |event| match event {
            Event::Step { report } => {
                sink.borrow_mut().push(report.loss);
                let engine = slot.borrow().clone().unwrap();
                let queries = [inspect("sea", None, vec![]), Query::Tensors { step: None }];
                for query in queries.into_iter().filter(|_| ask) {
                    block_on(engine.ask(query)).unwrap();
                }
            }
            Event::Failed { message } => panic!("{message}"),
            _ => (),
        });
        asked.replace(Some(engine.clone()));
        block_on(engine.handle(Command::Init { device: "cpu".into() }));
        block_on(engine.handle(Command::Create { config: config(), text: text() }));
        block_on(engine.handle(Command::Train { until: 8 }));
        asked.take();
        losses.take()
    };
    let quiet = losses(false);
    assert_eq!(quiet.len(), 8);
    assert_eq!(losses(true), quiet);
}

#[test]
fn tensors_have_gradients_if_there_is_data() {
    let page = Page::with_run();
    page.send(Command::Train { until: 2 });
    let tensors = || page.tensors(None);
    assert!(tensors().iter().all(|tensor| tensor.gradients.as_ref().unwrap().std > 0.0));
    page.send(Command::Restore { run: "asked".into(), step: None, branch: None });
    assert!(tensors().iter().all(|tensor| tensor.gradients.is_none()));
}

#[test]
fn a_sampler_filters_the_models_prediction() {
    let page = Page::with_run();
    let config = SampleConfig { top_k: 2, temperature: 1.0, top_p: 1.0, ..Default::default() };
    let Answer::Cut { candidates, kept } =
        page.ask(Query::Cut { text: text(), step: None, config, top: 4 })
    else {
        panic!()
    };
    assert_eq!((candidates.len(), kept), (4, 2));
    assert!(candidates.windows(2).all(|pair| pair[0].probability >= pair[1].probability));
    let [a, b] = [candidates[0].probability, candidates[1].probability];
    let drawn: Vec<f32> = candidates.iter().map(|candidate| candidate.drawn).collect();
    assert_near("drawn", &drawn, &[a / (a + b), b / (a + b), 0.0, 0.0]);
    let empty = SampleConfig { temperature: -1.0, ..Default::default() };
    let query = Query::Cut { text: "sea".into(), step: None, config: empty, top: 4 };
    assert!(page.refused(query).contains("temperature"));
}

#[test]
fn embeddings_are_projected_to_a_plane() {
    let page = Page::with_run();
    let Answer::Vocabulary { tokens: all, .. } = page.ask(Query::Vocabulary) else { panic!() };
    let map = |limit, find: &str| {
        let query = Query::Embeddings { step: None, limit, find: find.into() };
        let Answer::Embeddings { tokens, points, explained } = page.ask(query) else { panic!() };
        (tokens, points, explained)
    };
    for (limit, expected) in [(5, 5), (0, 1), (9999, all.len())] {
        let (tokens, points, explained) = map(limit, "");
        assert_eq!((tokens.len(), points.len()), (expected, expected));
        assert!(explained[0] >= explained[1] && explained.iter().sum::<f32>() <= 1.001);
    }
    // A token beyond the limit is found, and the map stays where it is.
    let wanted = &all[all.len() - 1];
    let (first, points, _) = map(5, "");
    let (found, with_found, _) = map(5, &wanted.text);
    assert_eq!((&found[..5], &with_found[..5]), (&first[..], &points[..]));
    assert!(found[5..].contains(wanted), "{found:?}");
}

#[test]
fn invalid_utf8_is_spelled_in_bytes() {
    let page = Page::open();
    let config = RunConfig { tokenizer: "byte".into(), ..config() };
    page.send(Command::Create { config, text: text() });
    let Answer::Tokens { tokens } = page.ask(Query::Tokens { text: "aé".into() }) else {
        panic!()
    };
    let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(texts, ["a", r"\xC3", r"\xA9"]);
}
