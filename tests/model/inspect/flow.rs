//! Neurons, activations and the KV cache.

use blankslate::config::*;
use blankslate::inspect::{
    KvCacheRms, NeuronOptions, TensorStats, find_strongest_neurons, measure_kv_cache,
    report_activations,
};
use blankslate::model::top_k;
use blankslate::platform::block_on;

use super::support::*;

/// Compares order, contribution and promoted tokens of neurons with loops over recorded activations and the parameters.
#[test]
fn the_strongest_neurons_have_the_largest_contribution() {
    for (name, config) in variants() {
        let (model, params) = open_model(&config);
        let (layer, position, inner) = (1, 7, config.intermediate_size);
        let neurons = &probed(&model, &IDS, &[], None).0.neurons[layer];
        let down = &params[&format!("layers.{layer}.mlp.down_proj.weight")];
        // Output vector of a neuron.
        let column = |neuron: usize| down.iter().skip(neuron).step_by(inner);
        let added: Vec<f32> = (0..inner)
            .map(|neuron| {
                let length = column(neuron).map(|w| w * w).sum::<f32>().sqrt();
                neurons[position * inner + neuron].abs() * length
            })
            .collect();

        let found = block_on(find_strongest_neurons(
            &model,
            &IDS,
            NeuronOptions { layer, position, count: 6, top: 4 },
        ))
        .unwrap();
        let numbers: Vec<u32> = found.iter().map(|found| found.neuron as u32).collect();
        assert_eq!(numbers, top_k(&added, 6), "{name}");
        let unembedding = params.get("lm_head.weight").unwrap_or(&params["embed_tokens.weight"]);
        for found in &found {
            let here: Vec<f32> =
                neurons.iter().skip(found.neuron).step_by(inner).copied().collect();
            assert_eq!(found.activations, here, "{name}");
            let column: Vec<f32> = column(found.neuron).copied().collect();
            let mean = match config.norm {
                NormKind::LayerNorm => column.iter().sum::<f32>() / column.len() as f32,
                NormKind::RmsNorm => 0.0,
            };
            let scaled: Vec<f32> =
                column.iter().zip(&params["norm.weight"]).map(|(x, w)| (x - mean) * w).collect();
            let logits: Vec<f32> = unembedding
                .chunks(scaled.len())
                .map(|row| row.iter().zip(&scaled).map(|(a, b)| a * b).sum())
                .collect();
            let (ids, gains): (Vec<u32>, Vec<f32>) = found.promoted.iter().copied().unzip();
            assert_eq!(ids, top_k(&logits, 4), "{name}");
            let expected: Vec<f32> = ids.iter().map(|id| logits[*id as usize]).collect();
            assert_near(name, &gains, &expected);
        }
    }
    let model = model(
        &ModelConfig::gpt2(23).with_context(24).with_hidden_size(16).with_layers(2).with_heads(4),
    );
    let refused = |layer, position| {
        block_on(find_strongest_neurons(
            &model,
            &IDS,
            NeuronOptions { layer, position, count: 1, top: 1 },
        ))
        .unwrap_err()
        .to_string()
    };
    assert!(refused(2, 0).contains("2 blocks"));
    assert!(refused(0, 12).contains("outside the text of 12 tokens"));
}

#[test]
fn activations_equal_the_modules_outputs() {
    for (name, config) in variants() {
        let model = model(&config);
        let seen = probed(&model, &IDS, &[], None).0;
        let mut expected = vec![("embed_tokens".to_string(), seen.hidden[0].clone())];
        for layer in 0..2 {
            let (entering, between) = (&seen.hidden[layer], &seen.between[layer]);
            let leaving = &seen.hidden[layer + 1];
            for (part, values) in [
                (".self_attn", less(between, entering)),
                (".mlp.act", seen.neurons[layer].clone()),
                (".mlp", less(leaving, between)),
                ("", leaving.clone()),
            ] {
                expected.push((format!("layers.{layer}{part}"), values));
            }
        }
        let found = block_on(report_activations(&model, &IDS)).unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, (of, values)) in found.iter().zip(expected) {
            assert_eq!((&found.name, &found.stats), (&of, &TensorStats::of(&values)), "{name}");
        }
    }
}

/// Compares keys and values of the first block, where the residual stream equals the embeddings, with loops over the
/// parameters.
#[test]
fn the_cache_holds_the_keys_and_values_of_every_token() {
    let config = ModelConfig::llama(23)
        .with_context(24)
        .with_hidden_size(16)
        .with_layers(2)
        .with_heads(4)
        .with_kv_heads(2)
        .with_intermediate_size(40);
    let (model, params) = open_model(&config);
    let weight = |part: &str| &params[&format!("layers.0.{part}.weight")];
    let rms = |x: &[f32]| (x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32).sqrt();
    // Rotating keys does not change their norm.
    let of_part = |part: &str| -> Vec<f32> {
        let one = |id: &u32| {
            let x = &params["embed_tokens.weight"][*id as usize * 16..][..16];
            let scale = (rms(x).powi(2) + config.norm_eps as f32).sqrt();
            let x: Vec<f32> =
                x.iter().zip(weight("input_layernorm")).map(|(x, w)| x / scale * w).collect();
            let dot = |row: &[f32]| row.iter().zip(&x).map(|(a, b)| a * b).sum::<f32>();
            rms(&weight(part).chunks(16).map(dot).collect::<Vec<f32>>())
        };
        IDS.iter().map(one).collect()
    };
    let KvCacheRms { keys, values } = block_on(measure_kv_cache(&model, &IDS)).unwrap();
    assert_eq!((keys.len(), values.len()), (2 * IDS.len(), 2 * IDS.len()));
    assert_near("keys", &keys[..IDS.len()], &of_part("self_attn.k_proj"));
    assert_near("values", &values[..IDS.len()], &of_part("self_attn.v_proj"));
}
