//! Search over all layouts of a number of devices.

use std::cmp::Ordering;

use serde::Serialize;

use super::time::passes;
use super::{Hardware, Layout, Program, StepTime, Work, memory_of, saving_of};
use crate::config::{Costs, StepMemory};
use crate::error::{Error, Result};

/// Layouts to compare.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Number of devices.
    pub devices: usize,
    /// Number of replicas; all if none is given.
    pub dp: Option<usize>,
    /// As [`Self::dp`].
    pub tp: Option<usize>,
    /// As [`Self::dp`].
    pub pp: Option<usize>,
    /// ZeRO level; all if none is given.
    pub zero: Option<u8>,
    /// Examples in a micro-batch; all sizes if none is given.
    pub micro_batch: Option<usize>,
    /// Recomputation of activations; with and without if none is given.
    pub recompute: Option<bool>,
}

impl Search {
    /// Compares all layouts of `devices` devices.
    pub fn all(devices: usize) -> Self {
        let none = None;
        Self {
            devices,
            dp: none,
            tp: none,
            pp: none,
            zero: None,
            micro_batch: none,
            recompute: None,
        }
    }
}

/// A layout with its memory and time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The layout.
    pub layout: Layout,
    /// True if blankslate can train with it today ([`Layout::is_trainable`]).
    pub trainable: bool,
    /// Micro-batches of each replica.
    pub micro_batches: usize,
    /// Bytes at the peak of a step, on the device that needs the most.
    pub memory: StepMemory,
    /// Bytes while a checkpoint is saved ([`saving_of`]).
    pub saving: Option<f64>,
    /// Bytes that this device lacks; none if the run fits.
    pub missing: Option<f64>,
    /// Seconds of a step.
    pub time: StepTime,
    /// Tokens per second of all devices.
    pub tokens_per_second: f64,
    /// Model FLOPs utilization (Chowdhery et al. 2022): the model's FLOPs as a fraction of the devices' peak.
    pub mfu: f64,
}

impl Plan {
    /// Returns the peak bytes of a device, in a step or while a checkpoint is saved.
    pub fn peak(&self) -> f64 {
        self.memory.total().max(self.saving.unwrap_or(0.0))
    }

    /// Returns the sort key. Times that differ by less than 0.1 % are equal, since the planner is not that exact.
    fn order(&self) -> [f64; 4] {
        let seconds = (1e3 * self.time.total().ln()).round();
        let missing = self.missing.unwrap_or(0.0);
        [missing, seconds, self.micro_batches as f64, self.memory.total()]
    }

    fn new(work: &Work<'_>, layout: Layout, hardware: &Hardware, program: &Program) -> Self {
        let memory = memory_of(work, &layout);
        let time = StepTime::new(work, &layout, hardware, program);
        let tokens_per_second = work.tokens() / time.total();
        let flops = passes(work.train) * Costs::new(work.model, work.seq_len).forward_flops();
        let rate = hardware.peak(work.train.precision) * layout.devices() as f64;
        let saving = saving_of(work, &layout, hardware.shared);
        let mut plan = Self {
            layout,
            trainable: layout.is_trainable(work),
            micro_batches: layout.micro_batches(work),
            memory,
            saving,
            missing: None,
            time,
            tokens_per_second,
            mfu: tokens_per_second * flops / rate,
        };
        let missing = plan.peak() - hardware.room();
        plan.missing = (missing > 0.0).then_some(missing);
        plan
    }
}

/// Returns a plan for every layout of `search`. Those that fit come first, sorted by time; of equally fast ones, those with
/// larger micro-batches, then those with less memory. Those that do not fit are sorted by the memory that they lack.
///
/// # Errors
/// A value of `hardware` is missing or out of range; no layout has that many devices.
pub fn plan(
    work: &Work<'_>,
    hardware: &Hardware,
    program: &Program,
    search: &Search,
) -> Result<Vec<Plan>> {
    hardware.validate(work.train.precision, search.devices)?;
    let layouts = layouts(work, hardware, search);
    if layouts.is_empty() {
        return Err(no_layout(work, search));
    }
    let mut plans: Vec<Plan> =
        layouts.into_iter().map(|layout| Plan::new(work, layout, hardware, program)).collect();
    plans.sort_by(|a, b| {
        let pairs = a.order().into_iter().zip(b.order());
        pairs.map(|(a, b)| a.total_cmp(&b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    Ok(plans)
}

/// Returns the error of a search without layouts.
fn no_layout(work: &Work<'_>, search: &Search) -> Error {
    let Search { devices, dp, tp, pp, micro_batch, .. } = *search;
    let (batch, layers) = (work.global_batch, work.model.num_hidden_layers);
    let product = [dp, tp, pp].into_iter().flatten().fold(1, usize::saturating_mul);
    if product == 0 || !devices.is_multiple_of(product) {
        let problem = format!("it takes {product} devices or a multiple, and there are {devices}");
        return Error::config("parallel", problem, "use numbers whose product divides `gpus`");
    }
    if pp.is_some_and(|pp| pp > layers) {
        let problem = format!("that many stages need as many layers, and the model has {layers}");
        return Error::config("parallel", problem, format!("use at most pp={layers}"));
    }
    if let Some(size) = micro_batch {
        let problem =
            format!("the {batch} examples of a step cannot be divided into batches of {size}");
        return Error::config(
            "batch_size",
            problem,
            "use a number that divides those of a replica",
        );
    }
    let problem =
        format!("{batch} examples and this model cannot be divided among {devices} devices");
    let remedy = match product {
        1 => "use a multiple of the number of devices",
        _ => "use a multiple of the number of replicas, or leave out `parallel`",
    };
    Error::config("global_batch", problem, remedy)
}

/// Lists the layouts of `search`. tp divides the numbers of heads and neurons and stays within a node; every pipeline stage has
/// a block; every replica has a whole number of micro-batches.
fn layouts(work: &Work<'_>, hardware: &Hardware, search: &Search) -> Vec<Layout> {
    let model = work.model;
    let wanted =
        |asked: Option<usize>| move |value: &usize| asked.is_none_or(|asked| asked == *value);
    let divides_model = |tp: &usize| model.is_divisible_among(*tp) && *tp <= hardware.per_node;
    let mut found = Vec::new();
    for tp in divisors(search.devices).filter(divides_model).filter(wanted(search.tp)) {
        let rest = search.devices / tp;
        let has_blocks = |pp: &usize| {
            model.num_hidden_layers.div_ceil(model.num_hidden_layers.div_ceil(*pp)) == *pp
        };
        for pp in divisors(rest).filter(has_blocks).filter(wanted(search.pp)) {
            let dp = rest / pp;
            if !wanted(search.dp)(&dp) || !work.global_batch.is_multiple_of(dp) {
                continue;
            }
            let sizes = divisors(work.global_batch / dp).filter(wanted(search.micro_batch));
            for micro_batch in sizes {
                for zero in 0..=if dp > 1 { 2 } else { 0 } {
                    for recompute in [false, true] {
                        let layout = Layout { dp, tp, pp, zero, micro_batch, recompute, chunks: 1 };
                        // With a single replica, all ZeRO levels are the same.
                        let is_wanted = search.zero.is_none_or(|level| dp == 1 || level == zero)
                            && search.recompute.is_none_or(|asked| asked == recompute);
                        found.extend(is_wanted.then_some(layout));
                    }
                }
            }
        }
    }
    found
}

fn divisors(number: usize) -> impl Iterator<Item = usize> {
    let small =
        (1..).take_while(move |i| i * i <= number).filter(move |i| number.is_multiple_of(*i));
    let small: Vec<usize> = small.collect();
    let large: Vec<usize> =
        small.iter().rev().map(|i| number / i).filter(|i| i * i > number).collect();
    small.into_iter().chain(large)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Precision, TrainConfig, preset};

    fn plans(name: &str, batch: usize, change: impl FnOnce(&mut Search)) -> Result<Vec<Plan>> {
        let preset = preset(name).unwrap();
        let train = TrainConfig { precision: Precision::Bf16, ..preset.train };
        let model = &preset.model;
        let work = Work {
            model,
            train: &train,
            seq_len: preset.data.seq_len,
            rows: 1,
            global_batch: batch,
        };
        let mut search = Search::all(8);
        change(&mut search);
        plan(&work, &Hardware::named("h100").unwrap(), &Program::BLANKSLATE, &search)
    }

    #[test]
    fn divisors_are_complete_and_in_order() {
        assert_eq!(divisors(1).collect::<Vec<_>>(), [1]);
        assert_eq!(divisors(12).collect::<Vec<_>>(), [1, 2, 3, 4, 6, 12]);
        assert_eq!(divisors(36).collect::<Vec<_>>(), [1, 2, 3, 4, 6, 9, 12, 18, 36]);
    }

    #[test]
    fn plans_that_fit_come_first_and_use_all_devices() {
        let plans = plans("llama-7b", 64, |_| ()).unwrap();
        assert!(plans.iter().all(|plan| plan.layout.devices() == 8));
        let fitting = plans.iter().take_while(|plan| plan.missing.is_none()).count();
        assert!(fitting > 0 && fitting < plans.len(), "{fitting} of {}", plans.len());
        assert!(plans[fitting..].iter().all(|plan| plan.missing.is_some()));
        assert!(plans[..fitting].is_sorted_by_key(|plan| plan.order()[1]));
        // 6.7 G parameters at 16 bytes and a 16-bit copy are more than a device has.
        let replicated = |plan: &&Plan| plan.layout.dp == 8 && plan.layout.zero == 0;
        assert!(plans.iter().filter(replicated).all(|plan| plan.missing.is_some()));
        for plan in plans {
            assert!(plan.mfu > 0.0 && plan.mfu < 0.6, "{plan:?}");
            assert!(plan.layout.pp == 1 || plan.time.bubble > 0.0);
            assert!(plan.layout.tp == 1 || plan.time.tensor > 0.0);
        }
    }

    #[test]
    fn a_small_model_is_fastest_in_replicas() {
        let plans = plans("gpt2", 512, |_| ()).unwrap();
        let Layout { dp, tp, pp, recompute, .. } = plans[0].layout;
        assert_eq!((dp, tp, pp, recompute), (8, 1, 1, false));
        assert!(plans.iter().all(|plan| plan.trainable), "AdamW updates parts of matrices");
    }

    #[test]
    fn neurons_need_not_be_divisible() {
        let plans = plans("llama-1b", 64, |search| search.tp = Some(2)).unwrap();
        assert!(plans.iter().all(|plan| plan.layout.tp == 2 && plan.trainable));
    }

    #[test]
    fn a_layout_can_be_given_and_one_that_is_impossible_is_refused() {
        let given = plans("gpt2", 512, |search| {
            search.dp = Some(4);
            search.pp = Some(2);
            search.zero = Some(1);
        });
        let given = given.unwrap();
        assert!(given.iter().all(|plan| (plan.layout.dp, plan.layout.zero) == (4, 1)));
        let words = plans("gpt2", 3, |search| search.dp = Some(8)).unwrap_err().to_string();
        assert!(words.contains("3 examples") && words.contains("8 devices"), "{words}");
    }
}
