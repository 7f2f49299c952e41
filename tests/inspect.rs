//! Looking into a model: what is seen is what the model does, and what is left out is left out.

mod common;

use std::collections::BTreeMap;
use std::rc::Rc;

use blankslate::checkpoint::{CONFIG, Files, WEIGHTS, read_float_tensors, read_ids, unpack};
use blankslate::config::*;
use blankslate::error::Result;
use blankslate::inspect::{
    Spread, head_circuits, look_inside, next_logits, principal_plane, score, tensor_reports,
};
use blankslate::model::{
    Component, Decoder, Init, KvCache, LossOptions, NamedGradients, Probe, TokenIds, likeliest,
    log_sum_exp, random_source, read_floats,
};
use blankslate::platform::block_on;
use burn::tensor::{Device, Tensor, TensorData};

const IDS: [u32; 12] = [3, 14, 15, 9, 2, 6, 5, 3, 5, 8, 9, 7];

/// Models that attend in different ways.
fn variants() -> Vec<(&'static str, ModelConfig)> {
    let gpt2 = ModelConfig::gpt2(23, 24, 16, 2, 4);
    let llama = ModelConfig::llama(23, 24, 16, 2, 4, 2, 40);
    let caps = |config: &ModelConfig| ModelConfig {
        attn_logit_softcapping: Some(2.0),
        final_logit_softcapping: Some(3.0),
        ..config.clone()
    };
    vec![
        ("gpt2", gpt2.clone()),
        ("gpt2 with caps", caps(&gpt2)),
        ("multi-query", ModelConfig { num_key_value_heads: 1, ..gpt2 }),
        ("llama", llama.clone()),
        ("llama with caps and qk norm", ModelConfig { qk_norm: true, ..caps(&llama) }),
        ("fused llama with qk norm", ModelConfig { qk_norm: true, fused_qkv: true, ..llama }),
    ]
}

/// A model whose heads attend to something, and whose biases are none of them zero. `edit` changes
/// parameters by name.
fn edited(config: &ModelConfig, edit: impl Fn(&str, &mut [f32])) -> Decoder {
    edited_on(&common::cpu(), config, edit)
}

fn edited_on(device: &Device, config: &ModelConfig, edit: impl Fn(&str, &mut [f32])) -> Decoder {
    let mut random = random_source(1);
    let mut source = |name: &str, shape: &[usize], init| -> Result<Vec<f32>> {
        let init = match init {
            Init::Normal(_) => Init::Normal(0.4),
            Init::Zeros => Init::Normal(0.1),
            Init::Ones => Init::Ones,
        };
        let mut values = random(name, shape, init)?;
        edit(name, &mut values);
        Ok(values)
    };
    Decoder::new(config, device, &mut source).unwrap()
}

fn model(config: &ModelConfig) -> Decoder {
    edited(config, |_, _| ())
}

fn token_ids(model: &Decoder, ids: &[u32]) -> TokenIds {
    TokenIds::new(ids, 1, model.config().vocab_size, &model.device()).unwrap()
}

fn read<const N: usize>(tensor: Tensor<N>) -> Vec<f32> {
    let count = tensor.shape().num_elements();
    block_on(read_floats(tensor.reshape([count]))).unwrap()
}

/// Logits of all places, by the plain forward pass.
fn plain(model: &Decoder) -> Vec<f32> {
    read(model.forward(token_ids(model, &IDS), None, None).unwrap())
}

fn assert_near(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 1e-4, "{name}, number {place}: {a} and {b}");
    }
}

fn less(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// A probe that keeps everything.
#[derive(Default)]
struct All {
    hidden: Vec<Vec<f32>>,
    between: Vec<Vec<f32>>,
    attention: Vec<Vec<f32>>,
    ablated: Vec<Component>,
}

impl Probe for All {
    fn hidden(&mut self, layer: usize, stream: &Tensor<3>) {
        assert_eq!(layer, self.hidden.len());
        self.hidden.push(read(stream.clone()));
    }
    fn between(&mut self, layer: usize, stream: &Tensor<3>) {
        assert_eq!(layer, self.between.len());
        self.between.push(read(stream.clone()));
    }
    fn attention(&mut self, layer: usize, weights: &dyn Fn() -> Tensor<4>) {
        assert_eq!(layer, self.attention.len());
        self.attention.push(read(weights()));
    }
    fn ablates(&self, component: Component) -> bool {
        self.ablated.contains(&component)
    }
}

fn probed(
    model: &Decoder,
    ids: &[u32],
    ablated: &[Component],
    cache: Option<&mut KvCache>,
) -> (All, Vec<f32>) {
    let mut probe = All { ablated: ablated.to_vec(), ..Default::default() };
    let logits = model.forward(token_ids(model, ids), cache, Some(&mut probe)).unwrap();
    let logits = read(logits);
    (probe, logits)
}

#[test]
fn attention_rows_are_causal_distributions() {
    for (name, config) in variants() {
        let inside = block_on(look_inside(&model(&config), &IDS, &[], 1)).unwrap();
        let t = IDS.len();
        assert_eq!(inside.attention.len(), 2 * 4 * t * t, "{name}");
        for (row, weights) in inside.attention.chunks(t).enumerate() {
            let query = row % t;
            let sum: f32 = weights.iter().sum();
            assert!((sum - 1.0).abs() < 1e-5, "{name}, row {row}: {sum}");
            assert!(weights[..=query].iter().all(|w| *w > 0.0), "{name}, row {row}");
            assert!(weights[query + 1..].iter().all(|w| *w == 0.0), "{name}, row {row}");
        }
    }
}

/// Where positions are not added to the stream, what a token hands on does not depend on its place: a text of
/// that token alone shows it. Weighted as shown, it makes what attention adds.
#[test]
fn the_weights_shown_are_those_that_the_kernels_use() {
    let llama = ModelConfig::llama(23, 24, 16, 2, 4, 2, 40);
    let window = ("window", ModelConfig { sliding_window: Some(3), ..llama });
    for (name, mut config) in variants().into_iter().chain([window]) {
        config.position_embedding = PositionEmbedding::Rope;
        let model = model(&config);
        for head in 0..4 {
            let others = (0..4).filter(|other| *other != head);
            let others: Vec<_> = others.map(|head| Component::Head { layer: 0, head }).collect();
            // The head's weights, and what it alone adds to the stream.
            let attend = |ids: &[u32], cache: Option<&mut KvCache>| {
                let (seen, _) = probed(&model, ids, &others, cache);
                let weights = &seen.attention[0];
                let weights = weights.chunks(weights.len() / 4).nth(head).unwrap().to_vec();
                (weights, less(&seen.between[0], &seen.hidden[0]))
            };
            let alone: Vec<Vec<f32>> = IDS.iter().map(|id| attend(&[*id], None).1).collect();
            let check = |(weights, added): (Vec<f32>, Vec<f32>)| {
                let keys = weights.len() / (added.len() / 16);
                for (weights, added) in weights.chunks(keys).zip(added.chunks(16)) {
                    let mut expected = [0.0; 16];
                    for (weight, alone) in weights.iter().zip(&alone) {
                        expected.iter_mut().zip(alone).for_each(|(sum, x)| *sum += weight * x);
                    }
                    assert_near(name, added, &expected);
                }
            };
            check(attend(&IDS, None));
            let mut cache = KvCache::new(&config, 1, 12, &model.device());
            for piece in [0..5, 5..9, 9..10, 10..11, 11..12] {
                check(attend(&IDS[piece], Some(&mut cache)));
            }
        }
    }
}

#[test]
fn looking_changes_nothing() {
    for (name, config) in variants() {
        let model = model(&config);
        assert_eq!(probed(&model, &IDS, &[], None).1, plain(&model), "{name}");
    }
}

#[test]
fn queries_that_ask_for_nothing_attend_to_all_alike() {
    let config = ModelConfig::llama(23, 24, 16, 2, 4, 2, 40);
    let model = edited(&config, |name, values| {
        if name.ends_with("q_proj.weight") {
            values.fill(0.0);
        }
    });
    let inside = block_on(look_inside(&model, &IDS, &[], 1)).unwrap();
    for (row, weights) in inside.attention.chunks(IDS.len()).enumerate() {
        let seen = row % IDS.len() + 1;
        assert!(weights[..seen].iter().all(|w| (w - 1.0 / seen as f32).abs() < 1e-6));
    }
}

#[test]
fn the_lens_ends_in_the_models_prediction() {
    for (name, config) in variants() {
        let model = model(&config);
        let logits = plain(&model);
        let inside = block_on(look_inside(&model, &IDS, &[], 3)).unwrap();
        let v = config.vocab_size;
        assert_eq!((inside.lens.len(), inside.lens[0].len()), (3, IDS.len()));
        for (reading, logits) in inside.lens[2].iter().zip(logits.chunks(v)) {
            let normalizer = log_sum_exp(logits);
            let p = |id: usize| (f64::from(logits[id]) - normalizer).exp();
            let ids: Vec<u32> = reading.top.iter().map(|(id, _)| *id).collect();
            assert_eq!(ids, likeliest(logits, 3), "{name}");
            let expected: Vec<f32> = ids.iter().map(|id| p(*id as usize) as f32).collect();
            let found: Vec<f32> = reading.top.iter().map(|(_, p)| *p).collect();
            assert_near(name, &found, &expected);
            let entropy: f64 = (0..v).map(|id| -p(id) * p(id).log2()).sum();
            assert_near(name, &[reading.entropy], &[entropy as f32]);
        }
        let last = &logits[logits.len() - v..];
        assert_near(name, &inside.score.logits, last);
        assert_near(name, &block_on(next_logits(&model, &IDS)).unwrap(), last);
        assert_eq!(block_on(score(&model, &IDS)).unwrap(), inside.score, "{name}");
    }
}

#[test]
fn losses_are_the_decoders() {
    for (name, config) in variants() {
        let model = model(&config);
        let losses = block_on(score(&model, &IDS)).unwrap().losses;
        assert_eq!(losses.len(), IDS.len() - 1);
        let inputs = TokenIds::new(&IDS[..11], 1, config.vocab_size, &model.device()).unwrap();
        let options = LossOptions::evaluation(1.0 / 11.0);
        let mean = read(model.loss(inputs, &IDS[1..], options, None).unwrap());
        assert_near(name, &[losses.iter().sum::<f32>() / 11.0], &mean);
    }
}

#[test]
fn what_the_parts_add_makes_the_stream() {
    for (name, config) in variants() {
        let model = model(&config);
        let inside = block_on(look_inside(&model, &IDS, &[], 1)).unwrap();
        let (seen, _) = probed(&model, &IDS, &[], None);
        let rms = |x: &[f32]| -> Vec<f32> {
            let row = |row: &[f32]| (row.iter().map(|x| x * x).sum::<f32>() / 16.0).sqrt();
            x.chunks(16).map(row).collect()
        };
        let t = IDS.len();
        for layer in 0..2 {
            let rows = layer * t..(layer + 1) * t;
            let (entering, between) = (&seen.hidden[layer], &seen.between[layer]);
            let leaving = &seen.hidden[layer + 1];
            assert_near(name, &inside.residual_rms[rows.clone()], &rms(entering));
            assert_near(name, &inside.attention_rms[rows.clone()], &rms(&less(between, entering)));
            assert_near(name, &inside.mlp_rms[rows], &rms(&less(leaving, between)));
        }
        assert_near(name, &inside.residual_rms[2 * t..], &rms(&seen.hidden[2]));
        let last = TensorData::new(seen.hidden[2].clone(), [t, 16]);
        let last = model.unembed(Tensor::from_data(last, &model.device()));
        assert_near(name, &read(last), &plain(&model));
    }
}

/// The same model with zeros where the part writes into the stream.
#[test]
fn an_ablated_part_is_one_that_writes_zeros() {
    for (name, config) in variants() {
        let whole = model(&config);
        let head = Component::Head { layer: 1, head: 2 };
        let headless = edited(&config, |name, values| {
            if name == "layers.1.self_attn.o_proj.weight" {
                for row in values.chunks_mut(16) {
                    row[8..12].fill(0.0);
                }
            }
        });
        let found = probed(&whole, &IDS, &[head], None).1;
        assert_near(name, &found, &plain(&headless));
        assert_ne!(found, plain(&whole), "{name}: the head does something");

        let mlp = Component::Mlp { layer: 0 };
        let mlpless = edited(&config, |name, values| {
            if name.starts_with("layers.0.mlp.down_proj") {
                values.fill(0.0);
            }
        });
        let found = probed(&whole, &IDS, &[mlp], None).1;
        assert_near(name, &found, &plain(&mlpless));
        assert_ne!(found, plain(&whole), "{name}: the MLP does something");
    }
}

#[test]
fn without_heads_and_mlps_the_embedding_predicts() {
    for (name, config) in variants() {
        // No head owns the bias behind all of them.
        let model = edited(&config, |name, values| {
            if name.ends_with("o_proj.bias") {
                values.fill(0.0);
            }
        });
        let heads = (0..8).map(|i| Component::Head { layer: i / 4, head: i % 4 });
        let all: Vec<Component> =
            heads.chain((0..2).map(|layer| Component::Mlp { layer })).collect();
        let whole = block_on(look_inside(&model, &IDS, &[], 5)).unwrap();
        let nothing = block_on(look_inside(&model, &IDS, &all, 5)).unwrap();
        assert_eq!(nothing.lens[2], whole.lens[0], "{name}");
        assert_ne!(nothing.lens[2], whole.lens[2], "{name}");
        assert!(nothing.attention_rms.iter().chain(&nothing.mlp_rms).all(|x| *x == 0.0), "{name}");
    }
}

#[test]
fn the_same_is_seen_on_vulkan() {
    let Some(device) = common::vulkan() else { return };
    let ablated = [Component::Head { layer: 0, head: 3 }, Component::Mlp { layer: 1 }];
    for (name, config) in variants() {
        let look = |model: &Decoder| block_on(look_inside(model, &IDS, &ablated, 1)).unwrap();
        let (on_gpu, on_cpu) = (edited_on(&device, &config, |_, _| ()), model(&config));
        let circuits = |model: &Decoder| block_on(head_circuits(model, &IDS, 1, 2, 3)).unwrap();
        let (there, here) = (circuits(&on_gpu), circuits(&on_cpu));
        assert_near(name, &there.scores, &here.scores);
        assert_near(name, &there.scores_alone, &here.scores_alone);
        assert_eq!(there.promoted.len(), here.promoted.len());
        for (there, here) in there.promoted.iter().flatten().zip(here.promoted.iter().flatten()) {
            assert_near(name, &[there.1], &[here.1]);
        }
        let (there, here) = (look(&on_gpu), look(&on_cpu));
        assert_near(name, &there.attention, &here.attention);
        assert_near(name, &there.attention_rms, &here.attention_rms);
        assert_near(name, &there.mlp_rms, &here.mlp_rms);
        assert_near(name, &there.score.losses, &here.score.losses);
    }
}

/// Logits of transformers; it has no golden attention weights.
#[test]
fn the_score_is_transformers() {
    for case in ["gpt2-tiny", "llama-tiny"] {
        let golden = common::golden(case);
        let files: Files = [(CONFIG.into(), golden.config), (WEIGHTS.into(), golden.model)].into();
        let model = unpack(files, case).unwrap().model(&common::cpu()).unwrap();
        let (shape, ids) = read_ids(case, &golden.io, "input_ids").unwrap();
        let (tokens, vocab) = (shape[1], model.config().vocab_size);
        let theirs = &read_float_tensors(case, &golden.io).unwrap()["logits"].values;
        for (ids, logits) in ids.chunks(tokens).zip(theirs.chunks(tokens * vocab)) {
            let inside = block_on(look_inside(&model, ids, &[], 0)).unwrap();
            let rows: Vec<&[f32]> = logits.chunks(vocab).collect();
            let loss = |(row, id): (&&[f32], &u32)| {
                (log_sum_exp(row) - f64::from(row[*id as usize])) as f32
            };
            let losses: Vec<f32> = rows.iter().zip(&ids[1..]).map(loss).collect();
            assert_near(case, &inside.score.losses, &losses);
            assert_near(case, &inside.score.logits, rows[tokens - 1]);
        }
    }
}

/// A model's parameters beside it, none of them all ones.
fn open_model(config: &ModelConfig) -> (Decoder, BTreeMap<String, Vec<f32>>) {
    let params = std::cell::RefCell::new(BTreeMap::new());
    let model = edited(config, |name, values| {
        if name.ends_with("norm.weight") {
            values.iter_mut().enumerate().for_each(|(i, w)| *w += 0.1 * (i % 7) as f32);
        }
        params.borrow_mut().insert(name.to_string(), values.to_vec());
    });
    (model, params.into_inner())
}

/// The head's scores in the pass are what its attention weights are the softmax of.
#[test]
fn a_heads_scores_make_its_attention() {
    let t = IDS.len();
    for (name, config) in variants() {
        let (model, _) = open_model(&config);
        let inside = block_on(look_inside(&model, &IDS, &[], 1)).unwrap();
        for (layer, head) in [(0, 0), (1, 2)] {
            let found = block_on(head_circuits(&model, &IDS, layer, head, 1)).unwrap();
            let weights = &inside.attention[(layer * 4 + head) * t * t..][..t * t];
            for (query, scores) in found.scores.chunks(t).enumerate() {
                let seen: Vec<f64> = scores[..=query].iter().map(|s| f64::from(*s).exp()).collect();
                let sum: f64 = seen.iter().sum();
                let softmax: Vec<f32> = seen.iter().map(|e| (e / sum) as f32).collect();
                assert_near(name, &softmax, &weights[query * t..][..=query]);
            }
        }
    }
}

/// Both circuits, computed with loops from the parameters alone.
#[test]
fn circuits_are_the_products_of_the_weights() {
    let product = |matrix: &[f32], x: &[f32]| -> Vec<f32> {
        matrix.chunks(x.len()).map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
    };
    for (name, config) in variants() {
        let (model, params) = open_model(&config);
        let (layer, head, c, d) = (1, 2, 16, config.head_dim);
        let (heads, kv) = (config.num_attention_heads, config.num_key_value_heads);
        let of = |part: &str| params.get(&format!("layers.{layer}.{part}"));
        let add = |x: Vec<f32>, bias: Option<&Vec<f32>>| match bias {
            Some(bias) => x.iter().zip(bias).map(|(x, b)| x + b).collect(),
            None => x,
        };
        let centered = |x: &[f32]| -> Vec<f32> {
            let mean = match config.norm {
                NormKind::LayerNorm => x.iter().sum::<f32>() / x.len() as f32,
                NormKind::RmsNorm => 0.0,
            };
            x.iter().map(|x| x - mean).collect()
        };
        let times = |x: &[f32], weight: &[f32]| -> Vec<f32> {
            x.iter().zip(weight).map(|(x, w)| x * w).collect()
        };
        let rms = |x: &[f32]| {
            let square = x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32;
            (square + config.norm_eps as f32).sqrt()
        };
        // Queries, keys and values of an embedding, with biases or without.
        let project = |x: &[f32], part: usize, biases: bool| -> Vec<f32> {
            let x = centered(x);
            let scale = rms(&x);
            let x: Vec<f32> = x.iter().map(|x| x / scale).collect();
            let x = times(&x, of("input_layernorm.weight").unwrap());
            let x = add(x, of("input_layernorm.bias").filter(|_| biases));
            let rows =
                [0..heads * d, heads * d..(heads + kv) * d, (heads + kv) * d..(heads + 2 * kv) * d];
            let (weight, bias): (Vec<f32>, Option<Vec<f32>>) = match of("self_attn.qkv_proj.weight")
            {
                Some(fused) => (
                    fused[rows[part].start * c..rows[part].end * c].to_vec(),
                    of("self_attn.qkv_proj.bias").map(|bias| bias[rows[part].clone()].to_vec()),
                ),
                None => {
                    let letter = ["q", "k", "v"][part];
                    let bias = of(&format!("self_attn.{letter}_proj.bias")).cloned();
                    (of(&format!("self_attn.{letter}_proj.weight")).unwrap().clone(), bias)
                }
            };
            let all = add(product(&weight, &x), bias.as_ref().filter(|_| biases));
            let head = if part == 0 { head } else { head / (heads / kv) };
            let one = all[head * d..(head + 1) * d].to_vec();
            match (part, of(&format!("self_attn.{}_norm.weight", ["q", "k", "v"][part]))) {
                (0 | 1, Some(weight)) => {
                    let scale = rms(&one);
                    times(&one, weight).iter().map(|x| x / scale).collect()
                }
                _ => one,
            }
        };
        let embedding = |id: u32| &params["embed_tokens.weight"][id as usize * c..][..c];
        let mut scores = Vec::new();
        for query in IDS {
            let q = project(embedding(query), 0, true);
            for key in IDS {
                let k = project(embedding(key), 1, true);
                let score = q.iter().zip(&k).map(|(q, k)| q * k).sum::<f32>() / (d as f32).sqrt();
                scores.push(match config.attn_logit_softcapping {
                    Some(cap) => cap as f32 * (score / cap as f32).tanh(),
                    None => score,
                });
            }
        }
        let found = block_on(head_circuits(&model, &IDS, layer, head, 4)).unwrap();
        assert_near(name, &found.scores_alone, &scores);

        let unembedding = params.get("lm_head.weight").unwrap_or(&params["embed_tokens.weight"]);
        for (id, promoted) in IDS.iter().zip(&found.promoted) {
            let value = project(embedding(*id), 2, false);
            let output = of("self_attn.o_proj.weight").unwrap();
            let added: Vec<f32> = output
                .chunks(heads * d)
                .map(|row| row[head * d..].iter().zip(&value).map(|(a, b)| a * b).sum())
                .collect();
            let logits = product(unembedding, &times(&centered(&added), &params["norm.weight"]));
            let ids: Vec<u32> = promoted.iter().map(|(id, _)| *id).collect();
            assert_eq!(ids, likeliest(&logits, 4), "{name}");
            let expected: Vec<f32> = ids.iter().map(|id| logits[*id as usize]).collect();
            let gains: Vec<f32> = promoted.iter().map(|(_, gain)| *gain).collect();
            assert_near(name, &gains, &expected);
        }
    }
}

#[test]
fn what_cannot_be_looked_at_is_refused() {
    let model = model(&ModelConfig::gpt2(23, 24, 16, 2, 4));
    let problem = |ids: &[u32], ablated: &[Component]| {
        block_on(look_inside(&model, ids, ablated, 1)).unwrap_err().to_string()
    };
    assert!(problem(&[], &[]).contains("it is empty"));
    assert!(problem(&[23], &[]).contains("outside the vocabulary"));
    assert!(problem(&[1; 25], &[]).contains("25 tokens do not fit"));
    assert!(problem(&[1], &[Component::Mlp { layer: 2 }]).contains("2 blocks of 4 heads"));
    assert!(problem(&[1], &[Component::Head { layer: 1, head: 4 }]).contains("head: 4"));
    let one = block_on(look_inside(&model, &[1], &[], 99)).unwrap();
    assert_eq!((one.attention, one.score.losses.len()), (vec![1.0; 8], 0));
    assert_eq!(one.lens[0][0].top.len(), 23);
}

#[test]
fn every_number_is_counted_once() {
    let spread = Spread::of(&[0.0, 1.0, 2.0, 64.0, 63.9, -0.0]);
    let mut bins = vec![0; 64];
    for bin in [0, 1, 2, 63, 63, 0] {
        bins[bin] += 1;
    }
    assert_eq!(spread.bins, bins);
    assert_eq!((spread.min, spread.max, spread.finite), (0.0, 64.0, true));
    let mean: f32 = 130.9 / 6.0;
    let std = (8184.21 / 6.0 - mean * mean).sqrt();
    let found = [spread.mean, spread.std, spread.zeros];
    assert_near("mean, std, zeros", &found, &[mean, std, 2.0 / 6.0]);

    let broken = Spread::of(&[f32::NAN, 1.0, f32::INFINITY, 3.0]);
    assert!(!broken.finite && broken.mean == 2.0 && broken.std == 1.0);
    assert_eq!(broken.bins.iter().sum::<u32>(), 2);
    let (same, none) = (Spread::of(&[7.0; 5]), Spread::of(&[]));
    assert_eq!((same.bins[0], same.std, none.mean, none.finite), (5, 0.0, 0.0, true));
    let wide = Spread::of(&[f32::MIN, f32::MAX]);
    assert_eq!((wide.bins[0], wide.bins[63]), (1, 1));
}

#[test]
fn every_tensor_is_reported_with_its_gradient() {
    let device = common::cpu().autodiff();
    for (name, config) in variants() {
        let model = Decoder::new(&config, &device, &mut random_source(1)).unwrap();
        let ids = TokenIds::new(&IDS, 1, config.vocab_size, &device).unwrap();
        let options = LossOptions::evaluation(1.0);
        let (_, gradients) = model.loss_and_gradients(ids, &IDS, options, false, None).unwrap();
        let names: Vec<String> = gradients.keys().cloned().collect();
        let reports = block_on(tensor_reports(&model, gradients)).unwrap();
        for report in &reports {
            let count = report.shape.iter().product::<usize>() as u32;
            let gradients = report.gradients.as_ref().expect(&report.name);
            assert_eq!(report.weights.bins.iter().sum::<u32>(), count, "{name} {}", report.name);
            assert_eq!(gradients.bins.iter().sum::<u32>(), count, "{name} {}", report.name);
        }
        let mut reported: Vec<String> = reports.into_iter().map(|report| report.name).collect();
        reported.sort_unstable();
        assert_eq!(reported, names, "{name}");
        let without = block_on(tensor_reports(&model, NamedGradients::new())).unwrap();
        assert!(without.iter().all(|report| report.gradients.is_none()));
    }
}

#[test]
fn principal_components_are_those_the_points_were_made_of() {
    let plane = |values: &[f32], width: usize| {
        let shape = [values.len() / width, width];
        let rows = Tensor::from_data(TensorData::new(values.to_vec(), shape), &common::cpu());
        block_on(principal_plane(rows)).unwrap()
    };
    // Variance 5 along (0.6, 0.8, 0) and 1 along (0.8, -0.6, 0), far from zero.
    let along = [(-3.0, 1.0), (-1.0, -1.0), (1.0, -1.0), (3.0, 1.0)];
    let rows: Vec<f32> = along
        .iter()
        .flat_map(|(a, b)| [0.6 * a + 0.8 * b + 7.0, 0.8 * a - 0.6 * b - 2.0, 5.0])
        .collect();
    let found = plane(&rows, 3);
    assert_near("explained", &found.explained, &[5.0 / 6.0, 1.0 / 6.0]);
    for (point, (a, b)) in found.points.iter().zip(along) {
        assert_near("point", point, &[a, b]);
    }
    assert_eq!(found, plane(&rows, 3));

    let line = plane(&[1.0, 1.0, 2.0, 2.0, 3.0, 3.0], 2);
    assert_near("a line", &line.explained, &[1.0, 0.0]);
    assert_near("a line", &[line.points[0][0], line.points[0][1]], &[-(2f32.sqrt()), 0.0]);
    let (point, narrow) = (plane(&[1.0, 2.0], 2), plane(&[1.0, 2.0], 1));
    assert_eq!((point.points, point.explained), (vec![[0.0, 0.0]], [0.0, 0.0]));
    assert_eq!((narrow.points, narrow.explained), (vec![[-0.5, 0.0], [0.5, 0.0]], [1.0, 0.0]));
}

mod asked {
    //! The same through the session, as the page asks.

    use super::*;
    use std::cell::RefCell;

    use blankslate::protocol::*;
    use blankslate::session::Session;

    struct Page {
        session: Rc<Session>,
        events: Rc<RefCell<Vec<Event>>>,
        _folder: tempfile::TempDir,
    }

    impl Page {
        fn open() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let events: Rc<RefCell<Vec<Event>>> = Rc::default();
            let sink = events.clone();
            let root = folder.path().to_str().unwrap();
            let session = Session::new(root, move |event| sink.borrow_mut().push(event));
            let page = Self { session, events, _folder: folder };
            page.send(Command::Init { device: "cpu".into() });
            page
        }

        fn with_run() -> Self {
            let page = Self::open();
            page.send(Command::Create { config: config(), text: text() });
            page
        }

        fn send(&self, command: Command) {
            block_on(self.session.handle(command));
            for event in &*self.events.borrow() {
                assert!(!matches!(event, Event::Failed { .. }), "{event:?}");
            }
        }

        fn ask(&self, query: Query) -> Answer {
            block_on(self.session.ask(query)).unwrap()
        }

        fn refused(&self, query: Query) -> String {
            block_on(self.session.ask(query)).unwrap_err().to_string()
        }

        fn tensors(&self, step: Option<u64>) -> Vec<TensorReport> {
            match self.ask(Query::Tensors { step }) {
                Answer::Tensors { tensors } => tensors,
                other => panic!("{other:?}"),
            }
        }

        /// All that can be asked of the model of a step, as text: answers cannot be compared.
        fn all(&self, step: Option<u64>) -> String {
            let config = SampleConfig::default();
            let cut = Query::Cut { text: "sea".into(), step, config, top: 9 };
            let map = Query::Embeddings { step, limit: 9 };
            let answers = [cut, map, circuit("sea shore", step, 2)].map(|query| self.ask(query));
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
            model: ModelConfig::llama(0, 16, 16, 2, 4, 2, 40),
            train: TrainConfig { steps: 8, save_every: 4, lr: 1e-2, ..Default::default() },
            data: DataConfig { seq_len: 16, ..Default::default() },
            sample_every: 0,
        }
    }

    fn joined(tokens: &[Token]) -> String {
        tokens.iter().map(|token| token.text.as_str()).collect()
    }

    #[test]
    fn without_a_model_there_is_nothing_to_ask() {
        let page = Page::open();
        let config = SampleConfig::default();
        for query in [
            Query::Tokens { text: "a".into() },
            Query::Vocabulary,
            inspect("a", None, vec![]),
            Query::Cut { text: "a".into(), step: None, config, top: 1 },
            Query::Tensors { step: None },
            Query::Embeddings { step: None, limit: 9 },
            circuit("a", None, 0),
        ] {
            assert!(page.refused(query).contains("train or open one first"));
        }
    }

    #[test]
    fn a_text_is_cut_and_looked_at() {
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

        // The end of a text that is longer than the context.
        let long = page.inspect(&text(), None, vec![]);
        assert_eq!(joined(&long.tokens), " the sea shore. ");

        let part = |head| Part { layer: 1, head };
        let ablated = page.inspect("sea shore", None, vec![part(Some(3)), part(None)]);
        assert_eq!(ablated.losses_before.unwrap(), seen.losses);
        // The same tokens in both, those that were likeliest before among them.
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
    fn a_kept_step_is_looked_at_without_touching_the_run() {
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

    /// Weights and gradients, the map, the cut and the circuits as they were at the kept step.
    #[test]
    fn every_question_can_be_asked_of_a_kept_step() {
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
    fn a_heads_circuits_are_told_in_words() {
        let page = Page::with_run();
        let Answer::Circuit { circuit: seen } = page.ask(circuit("sea shore", None, 2)) else {
            panic!()
        };
        assert_eq!((seen.step, joined(&seen.tokens)), (0, "sea shore".into()));
        assert_eq!((seen.scores.len(), seen.scores_alone.len()), (9 * 9 * 4, 9 * 9 * 4));
        assert_eq!(seen.promoted.len(), 9);
        assert!(seen.promoted.iter().all(|list| list.len() == 3 && list[0].logit >= list[2].logit));
        // The same token is promoted the same wherever it stands.
        assert_eq!(seen.promoted[0], seen.promoted[4]);
        assert!(page.refused(circuit("sea", None, 4)).contains("2 blocks of 4 heads"));
    }

    /// Events are told where the page's questions come in: while training waits for something.
    #[test]
    fn questions_between_steps_change_nothing() {
        let losses = |ask: bool| {
            let folder = tempfile::tempdir().unwrap();
            let asked: Rc<RefCell<Option<Rc<Session>>>> = Rc::default();
            let losses: Rc<RefCell<Vec<f64>>> = Rc::default();
            let (slot, sink) = (asked.clone(), losses.clone());
            let session = Session::new(folder.path().to_str().unwrap(), move |event| match event {
                Event::Step { report } => {
                    sink.borrow_mut().push(report.loss);
                    let session = slot.borrow().clone().unwrap();
                    let queries = [inspect("sea", None, vec![]), Query::Tensors { step: None }];
                    for query in queries.into_iter().filter(|_| ask) {
                        block_on(session.ask(query)).unwrap();
                    }
                }
                Event::Failed { message } => panic!("{message}"),
                _ => (),
            });
            asked.replace(Some(session.clone()));
            block_on(session.handle(Command::Init { device: "cpu".into() }));
            block_on(session.handle(Command::Create { config: config(), text: text() }));
            block_on(session.handle(Command::Train { until: 8 }));
            asked.take();
            losses.take()
        };
        let quiet = losses(false);
        assert_eq!(quiet.len(), 8);
        assert_eq!(losses(true), quiet);
    }

    #[test]
    fn tensors_have_gradients_where_there_is_a_text() {
        let page = Page::with_run();
        page.send(Command::Train { until: 2 });
        let tensors = || page.tensors(None);
        assert!(tensors().iter().all(|tensor| tensor.gradients.as_ref().unwrap().std > 0.0));
        page.send(Command::Restore { run: "asked".into(), step: None, branch: None });
        assert!(tensors().iter().all(|tensor| tensor.gradients.is_none()));
    }

    #[test]
    fn a_sampler_cuts_what_the_model_predicts() {
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
    fn embeddings_lie_in_a_plane() {
        let page = Page::with_run();
        let Answer::Vocabulary { tokens: all, .. } = page.ask(Query::Vocabulary) else { panic!() };
        for (limit, expected) in [(5, 5), (0, 1), (9999, all.len())] {
            let Answer::Embeddings { tokens, points, explained } =
                page.ask(Query::Embeddings { step: None, limit })
            else {
                panic!()
            };
            assert_eq!((tokens.len(), points.len()), (expected, expected));
            assert!(explained[0] >= explained[1] && explained.iter().sum::<f32>() <= 1.001);
        }
    }

    #[test]
    fn bytes_that_are_no_text_alone_are_spelled() {
        let page = Page::open();
        let config = RunConfig { tokenizer: "byte".into(), ..config() };
        page.send(Command::Create { config, text: text() });
        let Answer::Tokens { tokens } = page.ask(Query::Tokens { text: "aé".into() }) else {
            panic!()
        };
        let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(texts, ["a", r"\xC3", r"\xA9"]);
    }
}
