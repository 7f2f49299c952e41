//! Generated text with the probabilities it was sampled from, also of several generations at once.

use blankslate::config::SampleConfig;
use blankslate::platform::block_on;
use blankslate::protocol::{
    Answer, Candidate, Command, Draft, Drawn, Event, Query, RunConfig, Speculation, Token,
};
use blankslate::sample::DraftStats;

use crate::support::{Page, config, generate, restore, text};

/// All events of one generation together.
#[derive(Debug, Default, PartialEq)]
struct Told {
    text: String,
    prompt: Vec<Token>,
    drawn: Vec<Drawn>,
    /// Number of pieces marked as the last.
    ends: usize,
}

fn told(events: &[Event], wanted: u32) -> Told {
    let mut told = Told::default();
    for event in events {
        if let Event::Text { id, text, prompt, drawn, done, .. } = event
            && *id == wanted
        {
            assert!(prompt.is_empty() || told.drawn.is_empty(), "only the first piece has it");
            assert_eq!(told.ends, 0, "nothing comes after the end");
            told.text += text;
            told.prompt.extend(prompt.iter().cloned());
            told.drawn.extend(drawn.iter().cloned());
            told.ends += usize::from(*done);
        }
    }
    told
}

fn page() -> Page {
    let page = Page::open();
    page.send(Command::Create { config: config(), text: text() });
    page.send(Command::Train { until: 4 });
    page
}

fn greedy(tokens: usize) -> SampleConfig {
    SampleConfig { max_new_tokens: tokens, temperature: 0.0, ..Default::default() }
}

fn joined<'a>(tokens: impl Iterator<Item = &'a Token>) -> String {
    tokens.map(|token| token.text.as_str()).collect()
}

#[test]
fn tokens_come_with_what_they_were_drawn_from() {
    let page = page();
    let ask = |config, alternatives| {
        let prompt = "she se".to_string();
        let command = Command::Generate {
            id: 3,
            prompt,
            ids: None,
            messages: None,
            config,
            alternatives,
            draft: None,
        };
        told(&page.send(command), 3)
    };
    let wide = SampleConfig { top_p: 1.0, ..Default::default() };
    let found = ask(SampleConfig { max_new_tokens: 30, ..wide }, usize::MAX);
    assert_eq!(joined(found.prompt.iter()), "she se");
    assert_eq!((found.drawn.len(), found.ends), (30, 1));
    assert_eq!(joined(found.drawn.iter().map(|drawn| &drawn.token)), found.text);
    for drawn in &found.drawn {
        let all = &drawn.alternatives;
        let sum = |of: fn(&Candidate) -> f32| all.iter().map(of).sum::<f32>();
        assert_eq!(drawn.kept, all.len());
        assert!((sum(|one| one.probability) - 1.0).abs() < 1e-4);
        assert!((sum(|one| one.drawn) - 1.0).abs() < 1e-4);
        assert!(all.is_sorted_by(|a, b| a.probability >= b.probability));
        let itself = all.iter().find(|one| one.token == drawn.token).unwrap();
        assert_eq!(itself.probability, drawn.probability);
        // Each token is one character, and adds that.
        let adds =
            |(one, text): (&Candidate, &Option<String>)| Some(&one.token.text) == text.as_ref();
        assert!(all.iter().zip(&drawn.continuations).all(adds));
    }

    for drawn in ask(greedy(10), 2).drawn {
        assert_eq!((drawn.kept, drawn.alternatives.len()), (1, 2));
        assert_eq!(drawn.alternatives[0].token, drawn.token);
        assert_eq!((drawn.alternatives[0].drawn, drawn.alternatives[1].drawn), (1.0, 0.0));
    }
    assert_eq!(ask(greedy(0), 2).ends, 1);
}

/// The tokenizer joins words with or without a space, and an incomplete character adds no text.
#[test]
fn alternatives_report_the_text_they_would_add() {
    for (tokenizer, prompt) in [("wordpiece:40", "she sells"), ("byte", "é")] {
        let page = Page::open();
        let config = RunConfig { tokenizer: tokenizer.into(), ..config() };
        page.send(Command::Create { config, text: text() });
        let sampled = SampleConfig { max_new_tokens: 1, top_p: 1.0, ..Default::default() };
        let ask = |ids| Command::Generate {
            id: 1,
            prompt: prompt.into(),
            ids,
            messages: None,
            config: sampled.clone(),
            alternatives: usize::MAX,
            draft: None,
        };
        let found = told(&page.send(ask(None)), 1);
        let drawn = &found.drawn[0];
        let place = drawn.alternatives.iter().position(|one| one.token == drawn.token).unwrap();
        match &drawn.continuations[place] {
            Some(text) => assert_eq!(*text, found.text),
            None => assert_eq!(found.text, "\u{FFFD}"),
        }
        let of = |text: &str| {
            let place = drawn.alternatives.iter().position(|one| one.token.text == text);
            drawn.continuations[place.unwrap()].clone()
        };
        match tokenizer {
            "byte" => {
                assert_eq!((of("a"), of(r"\xC3")), (Some("a".into()), None));
            }
            _ => {
                assert_eq!((of("##s"), of("s")), (Some("s".into()), Some(" s".into())));
            }
        }
    }
}

#[test]
fn a_prompt_can_be_given_as_tokens() {
    let page = page();
    let written = told(&page.send(generate(1, "she", greedy(12))), 1);
    let with = |ids: Vec<u32>| Command::Generate {
        id: 2,
        prompt: "not this".into(),
        ids: Some(ids),
        messages: None,
        config: greedy(12),
        alternatives: 0,
        draft: None,
    };
    let ids: Vec<u32> = written.prompt.iter().map(|token| token.id).collect();
    assert_eq!(told(&page.send(with(ids.clone())), 2), written);
    // Any prefix of a text continues the same way.
    let further = ids.iter().copied().chain(written.drawn.iter().map(|drawn| drawn.token.id));
    let rest = told(&page.send(with(further.take(7).collect())), 2);
    assert!(rest.text.starts_with(&written.text[4..]), "{rest:?}");

    let events = page.try_send(with(vec![0, 999]));
    assert!(format!("{events:?}").contains("token id 999 is outside the vocabulary of"));
    assert_eq!(told(&events, 2).ends, 1);
    let events = page.try_send(with(vec![0; 17]));
    assert!(format!("{events:?}").contains("17 tokens do not fit the model's context of 16"));
    assert_eq!(told(&page.send(with(Vec::new())), 2).drawn.len(), 12);
}

#[test]
fn generations_run_concurrently_and_stop_separately() {
    let page = page();
    let alone = told(&page.send(generate(2, "sea", greedy(20))), 2);
    let at = |event: &Event, wanted: u32, count: u64| matches!(event, Event::Text { id, tokens, .. } if (*id, *tokens) == (wanted, count));
    // The second starts while the first is running, and stops it.
    page.react(move |event| match event {
        event if at(event, 1, 2) => Some(generate(2, "sea", greedy(20))),
        event if at(event, 2, 5) => Some(Command::CancelGenerate { id: Some(1) }),
        _ => None,
    });
    let events = page.send(generate(1, "she", greedy(20)));
    assert_eq!(told(&events, 2), alone);
    let first = told(&events, 1);
    assert_eq!((first.drawn.len(), first.ends), (3, 1));

    page.react(move |event| match event {
        event if at(event, 1, 2) => Some(generate(2, "sea", greedy(20))),
        event if at(event, 2, 5) => Some(Command::CancelGenerate { id: None }),
        _ => None,
    });
    let events = page.send(generate(1, "she", greedy(20)));
    assert_eq!((told(&events, 1).drawn.len(), told(&events, 2).drawn.len()), (3, 6));

    // The id of a cancelled generation can be used again.
    page.react(|_| None);
    page.send(Command::CancelGenerate { id: Some(2) });
    assert_eq!(told(&page.send(generate(2, "sea", greedy(20))), 2), alone);
}

/// Returns a text generated with a drafter, its acceptance statistics, and the number of cached prompt tokens.
fn drafted(page: &Page, draft: Draft, tokens: usize) -> (Told, DraftStats, usize) {
    let draft = Some(Speculation { draft, length: 4 });
    let command = match generate(5, "she", greedy(tokens)) {
        Command::Generate { id, prompt, ids, messages, config, alternatives, .. } => {
            Command::Generate { id, prompt, ids, messages, config, alternatives, draft }
        }
        _ => unreachable!(),
    };
    let events = page.send(command);
    let mut found = (told(&events, 5), DraftStats::default(), 0);
    for event in &events {
        if let Event::Text { draft_stats, reused, .. } = event {
            found.1 = draft_stats.unwrap();
            found.2 += reused;
        }
    }
    found
}

#[test]
fn drafters_do_not_change_the_text() {
    let page = page();
    page.send(Command::Train { until: 12 });
    let alone = told(&page.send(generate(1, "she", greedy(40))), 1);
    let texts = |told: &Told| -> Vec<u32> { told.drawn.iter().map(|one| one.token.id).collect() };
    let Some(Event::Runs { runs }) = page.send(Command::Runs).pop() else { panic!() };
    let step = runs[0].kept[0];
    assert!(step < 12, "an earlier one");
    for draft in [Draft::Ngram, Draft::Step { step }, Draft::Run { run: "first".into() }] {
        let kind = format!("{draft:?}");
        let (found, DraftStats { proposed, accepted, passes, .. }, _) = drafted(&page, draft, 40);
        assert_eq!((&found.text, texts(&found)), (&alone.text, texts(&alone)), "{kind}");
        let told = format!("{kind}: {accepted} of {proposed}");
        assert!(accepted + passes == 40 && accepted <= proposed && passes < 40, "{told}");
        let matching = found.drawn.iter().filter(|one| one.guessed.first() == Some(&one.token));
        assert_eq!(matching.count(), accepted, "{kind}");
        // The run's newest checkpoint is the model itself, so all its proposals are accepted.
        assert!(proposed > 0 && (accepted == proposed || !kind.contains("Run")), "{told}");
    }

    // The same draft model as before has the prompt's prefix in its KV cache, another one has not.
    let (first, again) = (Draft::Step { step }, Draft::Run { run: "first".into() });
    let reused = [first.clone(), first.clone(), again.clone(), again.clone(), first].map(|draft| {
        let (found, DraftStats { reused, .. }, _) = drafted(&page, draft, 6);
        assert_eq!(texts(&found), texts(&alone)[..6]);
        reused
    });
    assert_eq!(reused, [0, 2, 0, 2, 0]);
    // The checkpoint in storage may have changed.
    page.send(Command::Save);
    assert_eq!(drafted(&page, again, 6).1.reused, 0);

    let refused = |draft: Draft, length| {
        let draft = Some(Speculation { draft, length });
        let (prompt, config) = ("she".into(), greedy(4));
        let (ids, messages) = (None, None);
        page.failure(Command::Generate {
            id: 9,
            prompt,
            ids,
            messages,
            config,
            alternatives: 0,
            draft,
        })
    };
    assert!(refused(Draft::Run { run: "nobody".into() }, 4).contains("`nobody` has no checkpoint"));
    assert!(refused(Draft::Run { run: "../first".into() }, 4).contains("name"));
    assert!(refused(Draft::Step { step: 3 }, 4).contains("no checkpoint of step 3 is kept"));
    assert!(refused(Draft::Ngram, 0).contains("at least one token"));
    let bytes = RunConfig { name: "bytes".into(), tokenizer: "byte".into(), ..config() };
    page.send(Command::Create { config: bytes, text: text() });
    let other = refused(Draft::Run { run: "first".into() }, 4);
    assert!(other.contains("`first` has another tokenizer than `bytes`"), "{other}");
}

#[test]
fn a_common_prefix_is_kept_in_the_kv_cache() {
    let page = page();
    let reused = || {
        let events = page.send(generate(1, "she se", greedy(4)));
        let reused = events.iter().map(|event| match event {
            Event::Text { reused, .. } => *reused,
            _ => 0,
        });
        (told(&events, 1).text, reused.sum::<usize>())
    };
    let (fresh, first) = reused();
    assert_eq!((first, reused()), (0, (fresh, 5)));
    // The keys and values of other weights differ.
    page.send(Command::Train { until: 5 });
    let (trained, again) = reused();
    assert_eq!((again, reused()), (0, (trained.clone(), 5)));
    page.send(restore("first"));
    assert_eq!(reused(), (trained, 0));
    // What was cached before a training step is not used after it.
    let at = |event: &Event| matches!(event, Event::Text { tokens: 2, .. });
    page.send(Command::Text { text: text() });
    page.react(move |event| at(event).then_some(Command::Train { until: 6 }));
    page.send(generate(1, "she se", greedy(4)));
    page.react(|_| None);
    assert_eq!(reused().1, 0);
}

#[test]
fn a_model_whose_logits_are_not_finite_shows_no_numbers() {
    let page = Page::open();
    let mut hopeless = config();
    hopeless.train.optimizer.lr = 1e38;
    hopeless.train.optimizer.grad_clip = 0.0;
    page.send(Command::Create { config: hopeless, text: text() });
    // Its loss is still finite; the weights after the step are too large for finite logits.
    page.try_send(Command::Train { until: 1 });
    let refused = |message: String| {
        assert!(message.contains("logits are not finite numbers"), "{message}");
    };
    refused(page.failure(generate(1, "she", SampleConfig::default())));
    let (text, step) = ("she sells".to_string(), None);
    let (layer, head, top) = (0, 0, 3);
    for query in [
        Query::Inspect { text: text.clone(), step, ablate: Vec::new(), top },
        Query::Cut { text: text.clone(), step, config: SampleConfig::default(), top },
        Query::Circuit { text: text.clone(), step, layer, head, top },
        Query::Neurons { text: text.clone(), step, layer, place: 0, count: 2, top },
        Query::Cached { text: text.clone(), step },
        Query::Embeddings { step, limit: 9, find: String::new() },
    ] {
        refused(block_on(page.engine.ask(query)).unwrap_err().to_string());
    }
    // Histograms show the weights.
    let tensors = block_on(page.engine.ask(Query::Tensors { step })).unwrap();
    let Answer::Tensors { tensors } = tensors else { panic!("{tensors:?}") };
    let largest = tensors.iter().map(|report| report.weights.max).fold(0.0, f32::max);
    assert!(largest > 1e30, "{largest}");
}
