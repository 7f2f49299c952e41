//! Circuits of an attention head.

use blankslate::config::*;
use blankslate::inspect::{CircuitOptions, inspect_head, trace_forward};
use blankslate::model::top_k;
use blankslate::platform::block_on;

use super::support::*;

/// The softmax of the reported scores equals the attention weights.
#[test]
fn the_softmax_of_a_heads_scores_is_its_attention() {
    let t = IDS.len();
    for (name, config) in variants() {
        let (model, _) = open_model(&config);
        let inside = block_on(trace_forward(&model, &IDS, &[], 1)).unwrap();
        for (layer, head) in [(0, 0), (1, 2)] {
            let found =
                block_on(inspect_head(&model, &IDS, CircuitOptions { layer, head, top: 1 }))
                    .unwrap();
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

/// Compares both circuits with loops over the parameters.
#[test]
fn circuits_equal_products_of_the_weights() {
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
        // Queries, keys and values of an embedding, with or without biases.
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
        let found =
            block_on(inspect_head(&model, &IDS, CircuitOptions { layer, head, top: 4 })).unwrap();
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
            assert_eq!(ids, top_k(&logits, 4), "{name}");
            let expected: Vec<f32> = ids.iter().map(|id| logits[*id as usize]).collect();
            let gains: Vec<f32> = promoted.iter().map(|(_, gain)| *gain).collect();
            assert_near(name, &gains, &expected);
        }
    }
}
