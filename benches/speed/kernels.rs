//! Time of each kernel at the shapes of a model, beside what memory and arithmetic of the device allow.

use crate::common::Outcome;
use crate::device::{Place, preset_for};
use crate::output::Output;
use crate::peaks::{Given, Peaks};
use crate::table::{HEADER, Row, Table};
use blankslate::config::{
    HiddenAct, ModelConfig, NormKind, OptimizerConfig, OptimizerKind, PositionEmbedding, Precision,
    TrainConfig,
};
use blankslate::kernels::activation::{self, Kind, activation};
use blankslate::kernels::attention::{self, attention};
use blankslate::kernels::cross_entropy::{self, Targets, head_loss};
use blankslate::kernels::dropout::{self, Dropout, dropout};
use blankslate::kernels::embedding::{self, Ids, embedding};
use blankslate::kernels::linear::{self, linear};
use blankslate::kernels::norm::{self, norm};
use blankslate::kernels::rotary::{self, Heads};
use blankslate::kernels::{kv_cache, precision};
use blankslate::model::{Decoder, NamedGradients, for_each_param, random_source};
use blankslate::optim::{self, Optimizer};
use burn::tensor::{FloatDType, Tensor};
use clap::Args;

/// Options of `kernels`.
#[derive(Args)]
pub struct Options {
    /// Device to measure: cpu, vulkan or cuda
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Preset whose shapes to use; `small` on the CPU, `gpt2` elsewhere
    #[arg(long)]
    preset: Option<String>,
    /// Sequences; by default the preset's batch
    #[arg(long)]
    batch_size: Option<usize>,
    /// Tokens per sequence; by default the preset's
    #[arg(long)]
    seq_len: Option<usize>,
    /// f32, tf32, f16 or bf16; bf16 on CUDA, f32 elsewhere
    #[arg(long)]
    precision: Option<String>,
    /// Times that each kernel is measured, after one that is not
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    #[command(flatten)]
    given: Given,
}

/// Largest tensor that is copied before a measurement: more than any cache holds.
const FLUSHED: usize = 1 << 26;

/// Times all kernels of a model.
pub fn run(options: &Options, output: Output) -> Outcome<()> {
    let place = Place::open(&options.device, options.precision.as_deref())?;
    let preset = preset_for(&options.device, options.preset.as_deref())?;
    let model = preset.model;
    // A small model shows on a small device that this works.
    let flushed = FLUSHED.min(model.vocab_size * model.hidden_size * 2);
    let peaks = Peaks::of(&place, &options.given, flushed)?;
    let batch = options.batch_size.unwrap_or(preset.train.batch_size);
    let tokens = options.seq_len.unwrap_or(preset.data.seq_len);
    let mut start = place.json();
    start["type"] = "start".into();
    start["preset"] = preset.name.into();
    start["batch_size"] = batch.into();
    start["seq_len"] = tokens.into();
    start["peaks"] = peaks.json();
    output.print(&start, &format!("{}\n{}\n{HEADER}", place.describe(), peaks.describe()));
    let flush = Tensor::ones([flushed], &place.device);
    let table = Table { place, peaks, output, rounds: options.rounds, flush };
    let chosen = table.place.precision;
    rayon::scope(|_| {
        precision::with_products_in(chosen, || {
            table.products(&model, batch * tokens)?;
            table.rows(&model, batch, tokens)?;
            table.attention(&model, batch, tokens)?;
            table.ends(&model, batch * tokens)?;
            table.decoding(&model)?;
            table.optimizers(&model)
        })
    })
}

impl Table {
    /// Projections of a block, with biases as the model has them.
    fn products(&self, c: &ModelConfig, rows: usize) -> Outcome<()> {
        let qkv = c.q_size() + 2 * c.kv_size();
        let (d, ff) = (c.hidden_size, c.intermediate_size);
        let all = [
            ("qkv", d, qkv, c.attention_bias),
            ("output", c.q_size(), d, c.attention_bias),
            ("up", d, ff, c.mlp_bias),
            ("down", ff, d, c.mlp_bias),
        ];
        for (name, inputs, outputs, bias) in all {
            let mut tensors = vec![self.draw([rows, inputs]), self.draw([outputs, inputs])];
            tensors.extend(bias.then(|| self.draw([1, outputs])));
            let costs = linear::costs([rows, inputs, outputs], self.size());
            let name = format!("linear, {name} [{rows}, {inputs}] x [{outputs}, {inputs}]");
            self.passes(&name, tensors, costs, &|x| {
                linear(x[0].clone(), x[1].clone(), x.get(2).map(row), None)
            })?;
        }
        Ok(())
    }

    /// Norm, activation, dropout and rotation, which work on rows.
    fn rows(&self, c: &ModelConfig, batch: usize, tokens: usize) -> Outcome<()> {
        let rows = batch * tokens;
        let shape = [rows, c.hidden_size];
        let mut tensors = vec![self.draw(shape), self.draw([1, c.hidden_size])];
        tensors.extend(c.has_norm_bias().then(|| self.draw([1, c.hidden_size])));
        let rms = c.norm == NormKind::RmsNorm;
        self.passes(&format!("norm {shape:?}"), tensors, norm::costs(shape, self.size()), &|x| {
            norm(x[0].clone(), row(&x[1]), x.get(2).map(row), 1e-5, rms)
        })?;

        let shape = [rows, c.intermediate_size];
        let kind = match c.hidden_act {
            HiddenAct::Gelu => Kind::GeluTanh,
            HiddenAct::GeluErf => Kind::GeluErf,
            HiddenAct::Relu2 => Kind::Relu2,
            HiddenAct::Swiglu => Kind::Swiglu,
        };
        let mut tensors = vec![self.draw(shape)];
        tensors.extend((kind == Kind::Swiglu).then(|| self.draw(shape)));
        let costs = activation::costs(shape, kind, self.size());
        self.passes(&format!("activation, {kind:?} {shape:?}"), tensors, costs, &|x| {
            activation(x[0].clone(), x.get(1).cloned(), kind)
        })?;

        let shape = [rows, c.hidden_size];
        let drop = Dropout { probability: 0.1, seed: 1 };
        let costs = dropout::costs(shape, self.size());
        self.passes(&format!("dropout {shape:?}"), vec![self.draw(shape)], costs, &|x| {
            dropout(x[0].clone(), None, drop)
        })?;

        if c.position_embedding == PositionEmbedding::Rope {
            let heads =
                Heads { query: c.num_attention_heads, kv: c.num_key_value_heads, dim: c.head_dim };
            let width = c.q_size() + 2 * c.kv_size();
            let angles = || self.draw([tokens, c.head_dim / 2]);
            let costs = rotary::costs(rows, heads, self.size());
            let tensors = vec![self.draw([rows, width])];
            let table = (angles(), angles());
            self.passes(&format!("rotary [{rows}, {width}]"), tensors, costs, &|x| {
                let table =
                    (Tensor::from_inner(table.0.clone()), Tensor::from_inner(table.1.clone()));
                rotary::rotate(x[0].clone(), table, heads)
            })?;
        }
        Ok(())
    }

    /// Attention in the precision of the table, and of 16 bits also in f32: without tensor cores, by the kernels that compute
    /// 16 bits, too, where tensor cores do not suit.
    fn attention(&self, c: &ModelConfig, batch: usize, tokens: usize) -> Outcome<()> {
        let options = attention_options(c, batch, tokens);
        let shape = [batch * tokens, c.q_size() + 2 * c.kv_size()];
        let heads = (c.num_attention_heads, c.num_key_value_heads, c.head_dim);
        let types = match self.place.precision {
            // Attention is not rounded to TF32.
            Precision::F32 | Precision::Tf32 => vec![Precision::F32],
            half => vec![half, Precision::F32],
        };
        for precision in types {
            let in_f32 = precision == Precision::F32;
            let size = precision.bytes() as usize;
            let (costs, kernels) = (options.costs(size), options.kernel_costs(size));
            let kind = format!("{precision:?}").to_lowercase();
            let name = format!("attention in {kind} [{batch} x {tokens}], heads {heads:?}");
            let forward = [("Forward", kernels.forward)];
            let backward = [("Queries", kernels.queries), ("Keys", kernels.keys)];
            let rows = [
                Row::new(&name, "forward", costs.forward).with_kernels(&forward),
                Row::new(&name, "backward", costs.backward).with_kernels(&backward),
            ];
            let inputs = self.draw(shape).cast(precision::dtype(precision));
            self.both(rows.map(|row| row.in_f32(in_f32)), vec![inputs], &|x| {
                attention(x[0].clone(), None, options.clone())
            })?;
        }
        Ok(())
    }

    /// Embedding, and the head with its loss.
    fn ends(&self, c: &ModelConfig, rows: usize) -> Outcome<()> {
        let (d, v) = (c.hidden_size, c.vocab_size);
        let ids: Vec<u32> = (0..rows).map(|i| (i * 7919 % v) as u32).collect();
        let device = self.place.device.clone().autodiff();
        let places = Ids::new(&ids, v, &device)?;
        let name = format!("embedding [{rows}] of [{v}, {d}]");
        // Tables are f32 in every precision.
        let table = self.draw([v, d]).cast(FloatDType::F32);
        self.passes(&name, vec![table], embedding::costs([rows, d], v, 4), &|x| {
            embedding(x[0].clone(), places.clone())
        })?;

        let targets = Targets::new(&ids, u32::MAX, v, &device)?;
        let costs = cross_entropy::costs([rows, d], v, self.size());
        let leaves = self.leaves(vec![self.draw([rows, d]), self.draw([v, d])]);
        let options =
            cross_entropy::Options { scale: 1.0 / rows as f32, z_loss: 0.0, soft_cap: None };
        // Its gradients are computed in the forward pass.
        let name = format!("head and cross-entropy [{rows}, {d}] x [{v}, {d}]");
        let row = Row::new(&name, "both", costs.sum());
        self.measure(row, &mut || Ok(()), &mut |()| {
            let loss = head_loss(leaves[0].clone(), leaves[1].clone(), targets.clone(), options);
            loss.backward();
            Ok(())
        })
    }

    /// Attention to the KV cache, which is f32.
    fn decoding(&self, c: &ModelConfig) -> Outcome<()> {
        let options = attention_options(c, 1, 1);
        let capacity = c.max_position_embeddings;
        let start = capacity - 1;
        let shape = [2, 1, c.num_key_value_heads, capacity, c.head_dim];
        let cache = self.draw([shape.iter().product(), 1]).cast(FloatDType::F32).reshape(shape);
        let qkv = self.draw([1, c.q_size() + 2 * c.kv_size()]).cast(FloatDType::F32);
        let cost = kv_cache::cost(&options, start, 4);
        let name = format!("attention to {start} cached tokens");
        self.measure(Row::new(&name, "forward", cost), &mut || Ok(()), &mut |()| {
            kv_cache::attend(qkv.clone(), cache.clone(), start, options.clone());
            Ok(())
        })
    }

    /// A step of each optimizer on the whole model, which is f32.
    fn optimizers(&self, c: &ModelConfig) -> Outcome<()> {
        let device = self.place.device.clone().autodiff();
        let mut model = Some(Decoder::new(c, &device, &mut random_source(1))?);
        let mut gradients = NamedGradients::new();
        let mut shapes = Vec::new();
        for_each_param(model.as_ref().expect("just made"), &mut |name, shape, value| {
            shapes.push((name.to_string(), shape.to_vec()));
            gradients.insert(name.into(), value.mul_scalar(0.1));
        });
        let all: usize = gradients.values().map(|gradient| gradient.dims()[0]).sum();
        let kinds =
            [("AdamW", OptimizerKind::Adamw), ("Muon, AdamW for the rest", OptimizerKind::Muon)];
        for (name, kind) in kinds {
            let config = TrainConfig {
                optimizer: OptimizerConfig { kind, ..OptimizerConfig::default() },
                ..TrainConfig::default()
            };
            let named = shapes.iter().map(|(name, shape)| (&name[..], &shape[..]));
            let cost = optim::cost(&config, named);
            let mut optimizer = Optimizer::new(&config);
            let mut step = 0;
            let name = format!("{name}, {all} parameters");
            let row = Row::new(&name, "step", cost).in_f32(true);
            self.measure(row, &mut || Ok(gradients.clone()), &mut |gradients| {
                step += 1;
                let before = model.take().expect("put back after each step");
                model = Some(optimizer.step(before, gradients, step)?.0);
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn attention_options(c: &ModelConfig, batch: usize, tokens: usize) -> attention::Options {
    attention::Options {
        batch,
        tokens,
        heads: c.num_attention_heads,
        kv_heads: c.num_key_value_heads,
        head_dim: c.head_dim,
        causal: true,
        scale: 1.0 / (c.head_dim as f32).sqrt(),
        soft_cap: None,
        window: c.sliding_window,
        dropout: None,
    }
}

/// Returns the only row of `x`.
fn row(x: &Tensor<2>) -> Tensor<1> {
    x.clone().reshape([x.dims()[1]])
}
