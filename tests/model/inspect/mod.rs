//! Inspection: traces equal what the model computes, and ablation removes components.

mod asked;
mod circuits;
mod flow;
mod support;

use blankslate::checkpoint::{CONFIG, Files, WEIGHTS, read_float_tensors, read_ids, unpack};
use blankslate::config::*;
use blankslate::data::Batch;
use blankslate::inspect::{
    CircuitOptions, TensorStats, inspect_head, next_logits, project_to_plane, report_tensors,
    score, trace_forward,
};
use blankslate::model::{
    Component, CrossEntropy, Decoder, KvCache, NamedGradients, TokenIds, log_sum_exp,
    random_source, top_k,
};
use blankslate::objective::GradientOptions;
use blankslate::platform::block_on;
use burn::tensor::{Tensor, TensorData};
use support::*;

use crate::common;

#[test]
fn attention_rows_are_causal_distributions() {
    for (name, config) in variants() {
        let inside = block_on(trace_forward(&model(&config), &IDS, &[], 1)).unwrap();
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

/// In a model without position embeddings, a token's value does not depend on its position, and a text of that token alone
/// shows it. The values weighted by the reported attention weights must add up to attention's output.
#[test]
fn reported_attention_weights_equal_the_kernels() {
    let llama = ModelConfig::llama(23)
        .with_context(24)
        .with_hidden_size(16)
        .with_layers(2)
        .with_heads(4)
        .with_kv_heads(2)
        .with_intermediate_size(40);
    let window = ("window", ModelConfig { sliding_window: Some(3), ..llama });
    for (name, mut config) in variants().into_iter().chain([window]) {
        config.position_embedding = PositionEmbedding::Rope;
        let model = model(&config);
        for head in 0..4 {
            let others = (0..4).filter(|other| *other != head);
            let others: Vec<_> = others.map(|head| Component::Head { layer: 0, head }).collect();
            // The head's weights, and its contribution to the residual stream.
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
fn a_probe_does_not_change_the_logits() {
    for (name, config) in variants() {
        let model = model(&config);
        assert_eq!(probed(&model, &IDS, &[], None).1, plain(&model), "{name}");
    }
}

#[test]
fn zero_queries_attend_uniformly() {
    let config = ModelConfig::llama(23)
        .with_context(24)
        .with_hidden_size(16)
        .with_layers(2)
        .with_heads(4)
        .with_kv_heads(2)
        .with_intermediate_size(40);
    let model = edited(&config, |name, values| {
        if name.ends_with("q_proj.weight") {
            values.fill(0.0);
        }
    });
    let inside = block_on(trace_forward(&model, &IDS, &[], 1)).unwrap();
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
        let inside = block_on(trace_forward(&model, &IDS, &[], 3)).unwrap();
        let v = config.vocab_size;
        assert_eq!((inside.lens.len(), inside.lens[0].len()), (3, IDS.len()));
        for (reading, logits) in inside.lens[2].iter().zip(logits.chunks(v)) {
            let normalizer = log_sum_exp(logits);
            let p = |id: usize| (f64::from(logits[id]) - normalizer).exp();
            let ids: Vec<u32> = reading.top.iter().map(|(id, _)| *id).collect();
            assert_eq!(ids, top_k(logits, 3), "{name}");
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
fn losses_equal_the_decoders() {
    for (name, config) in variants() {
        let model = model(&config);
        let losses = block_on(score(&model, &IDS)).unwrap().losses;
        assert_eq!(losses.len(), IDS.len() - 1);
        let inputs = TokenIds::new(&IDS[..11], 1, config.vocab_size, &model.device()).unwrap();
        let residual = model.forward_residual(inputs, None, None).unwrap();
        let targets = model.targets(&IDS[1..]).unwrap();
        let mean = model.cross_entropy(residual, targets, CrossEntropy::scaled(1.0 / 11.0));
        let mean = read(mean);
        assert_near(name, &[losses.iter().sum::<f32>() / 11.0], &mean);
    }
}

#[test]
fn module_outputs_sum_to_the_residual_stream() {
    for (name, config) in variants() {
        let model = model(&config);
        let inside = block_on(trace_forward(&model, &IDS, &[], 1)).unwrap();
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

/// Ablation equals zeros in the weights that write into the residual stream.
#[test]
fn ablation_equals_zero_weights() {
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

        let neuron = Component::Neuron { layer: 1, neuron: 5 };
        let inner = config.intermediate_size;
        let less = edited(&config, |name, values| {
            if name == "layers.1.mlp.down_proj.weight" {
                values.chunks_mut(inner).for_each(|row| row[5] = 0.0);
            }
        });
        let (seen, found) = probed(&whole, &IDS, &[neuron], None);
        assert_near(name, &found, &plain(&less));
        assert_ne!(found, plain(&whole), "{name}: the neuron does something");
        assert!(seen.neurons[1].iter().skip(5).step_by(inner).all(|x| *x == 0.0), "{name}");
    }
}

#[test]
fn without_heads_and_mlps_the_embedding_predicts() {
    for (name, config) in variants() {
        // The bias of the output projection belongs to no head.
        let model = edited(&config, |name, values| {
            if name.ends_with("o_proj.bias") {
                values.fill(0.0);
            }
        });
        let heads = (0..8).map(|i| Component::Head { layer: i / 4, head: i % 4 });
        let all: Vec<Component> =
            heads.chain((0..2).map(|layer| Component::Mlp { layer })).collect();
        let whole = block_on(trace_forward(&model, &IDS, &[], 5)).unwrap();
        let nothing = block_on(trace_forward(&model, &IDS, &all, 5)).unwrap();
        assert_eq!(nothing.lens[2], whole.lens[0], "{name}");
        assert_ne!(nothing.lens[2], whole.lens[2], "{name}");
        assert!(nothing.attention_rms.iter().chain(&nothing.mlp_rms).all(|x| *x == 0.0), "{name}");
    }
}

#[test]
fn traces_on_vulkan_equal_those_on_the_cpu() {
    let Some(device) = common::vulkan() else { return };
    let ablated = [Component::Head { layer: 0, head: 3 }, Component::Mlp { layer: 1 }];
    for (name, config) in variants() {
        let look = |model: &Decoder| block_on(trace_forward(model, &IDS, &ablated, 1)).unwrap();
        let (on_gpu, on_cpu) = (edited_on(&device, &config, |_, _| ()), model(&config));
        let circuits = |model: &Decoder| {
            block_on(inspect_head(model, &IDS, CircuitOptions { layer: 1, head: 2, top: 3 }))
                .unwrap()
        };
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

/// Compares logits with transformers; there are no golden attention weights.
#[test]
fn the_score_equals_that_of_transformers() {
    for case in ["gpt2-tiny", "llama-tiny"] {
        let golden = common::golden(case);
        let files: Files = [(CONFIG.into(), golden.config), (WEIGHTS.into(), golden.model)].into();
        let model = unpack(files, case).unwrap().model(&common::cpu()).unwrap();
        let (shape, ids) = read_ids(case, &golden.io, "input_ids").unwrap();
        let (tokens, vocab) = (shape[1], model.config().vocab_size);
        let theirs = &read_float_tensors(case, &golden.io).unwrap()["logits"].values;
        for (ids, logits) in ids.chunks(tokens).zip(theirs.chunks(tokens * vocab)) {
            let inside = block_on(trace_forward(&model, ids, &[], 0)).unwrap();
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

#[test]
fn invalid_requests_are_rejected() {
    let model = model(
        &ModelConfig::gpt2(23).with_context(24).with_hidden_size(16).with_layers(2).with_heads(4),
    );
    let problem = |ids: &[u32], ablated: &[Component]| {
        block_on(trace_forward(&model, ids, ablated, 1)).unwrap_err().to_string()
    };
    assert!(problem(&[], &[]).contains("it is empty"));
    assert!(problem(&[23], &[]).contains("outside the vocabulary"));
    assert!(problem(&[1; 25], &[]).contains("25 tokens do not fit"));
    assert!(problem(&[1], &[Component::Mlp { layer: 2 }]).contains("2 blocks of 4 heads"));
    assert!(problem(&[1], &[Component::Head { layer: 1, head: 4 }]).contains("head: 4"));
    assert!(problem(&[1], &[Component::Neuron { layer: 1, neuron: 64 }]).contains("64 neurons"));
    let one = block_on(trace_forward(&model, &[1], &[], 99)).unwrap();
    assert_eq!((one.attention, one.score.losses.len()), (vec![1.0; 8], 0));
    assert_eq!(one.lens[0][0].top.len(), 23);
}

#[test]
fn every_element_is_counted_once() {
    let stats = TensorStats::of(&[0.0, 1.0, 2.0, 64.0, 63.9, -0.0]);
    let mut bins = vec![0; 64];
    for bin in [0, 1, 2, 63, 63, 0] {
        bins[bin] += 1;
    }
    assert_eq!(stats.bins, bins);
    assert_eq!((stats.min, stats.max, stats.finite), (0.0, 64.0, true));
    let mean: f32 = 130.9 / 6.0;
    let std = (8184.21 / 6.0 - mean * mean).sqrt();
    let found = [stats.mean, stats.std, stats.zeros];
    assert_near("mean, std, zeros", &found, &[mean, std, 2.0 / 6.0]);

    let broken = TensorStats::of(&[f32::NAN, 1.0, f32::INFINITY, 3.0]);
    assert!(!broken.finite && broken.mean == 2.0 && broken.std == 1.0);
    assert_eq!(broken.bins.iter().sum::<u32>(), 2);
    let (same, none) = (TensorStats::of(&[7.0; 5]), TensorStats::of(&[]));
    assert_eq!((same.bins[0], same.std, none.mean, none.finite), (5, 0.0, 0.0, true));
    let wide = TensorStats::of(&[f32::MIN, f32::MAX]);
    assert_eq!((wide.bins[0], wide.bins[63]), (1, 1));
}

#[test]
fn one_outlier_does_not_flatten_a_histogram() {
    // A bell between -1 and 1, and one value a million times as large.
    let bell = (0..4000).map(|i| (0..12).map(|k| ((i * 37 + k * 911) % 1009) as f32).sum::<f32>());
    let mut values: Vec<f32> = bell.map(|sum| (sum - 6048.0) / 6048.0).collect();
    let usual = TensorStats::of(&values);
    assert_eq!((usual.low, usual.high), (usual.min, usual.max), "nothing is cut off");
    values.push(1e6);
    let stats = TensorStats::of(&values);
    assert_eq!((stats.max, stats.low >= -1.0, stats.high <= 1.5), (1e6, true, true), "{stats:?}");
    assert!(stats.bins.iter().filter(|n| **n > 0).count() > 16, "{:?}", stats.bins);
    assert_eq!(stats.bins.iter().sum::<u32>(), 4001);
    // Almost all of a gradient may be zeros, which are no reason to cut off the rest.
    values.pop();
    values.extend(vec![0.0; 10_000_000]);
    let sparse = TensorStats::of(&values);
    assert_eq!((sparse.low, sparse.high), (usual.low, usual.high));
}

#[test]
fn every_tensor_is_reported_with_its_gradient() {
    let device = common::cpu().autodiff();
    for (name, config) in variants() {
        let model = Decoder::new(&config, &device, &mut random_source(1)).unwrap();
        let batch = Batch::new(IDS.to_vec(), IDS.to_vec(), 1);
        let (_, gradients) = common::next_token(&model, &batch, &GradientOptions::scaled(1.0));
        let names: Vec<String> = gradients.keys().cloned().collect();
        let reports = block_on(report_tensors(&model, gradients)).unwrap();
        for report in &reports {
            let count = report.shape.iter().product::<usize>() as u32;
            let gradients = report.gradients.as_ref().expect(&report.name);
            assert_eq!(report.weights.bins.iter().sum::<u32>(), count, "{name} {}", report.name);
            assert_eq!(gradients.bins.iter().sum::<u32>(), count, "{name} {}", report.name);
        }
        let mut reported: Vec<String> = reports.into_iter().map(|report| report.name).collect();
        reported.sort_unstable();
        assert_eq!(reported, names, "{name}");
        let without = block_on(report_tensors(&model, NamedGradients::new())).unwrap();
        assert!(without.iter().all(|report| report.gradients.is_none()));
    }
}

#[test]
fn principal_components_are_recovered() {
    let plane = |values: &[f32], width: usize| {
        let shape = [values.len() / width, width];
        let rows = Tensor::from_data(TensorData::new(values.to_vec(), shape), &common::cpu());
        block_on(project_to_plane(rows, shape[0])).unwrap()
    };
    // Variance 5 along (0.6, 0.8, 0) and 1 along (0.8, -0.6, 0), with a mean far from 0.
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
