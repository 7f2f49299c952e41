//! `blankslate plan --budget-flops` and `--hours`: plans a run for a budget, from its parameters to its cost.

use std::fs;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::failure::{CliResult, usage};
use super::output::{self, bytes, short};
use super::plan_figures::{Figures, Row};
use super::quantity::quantity;
use super::scaling::read_law;
use crate::config::{Accumulation, Estimate, LoraConfig, Precision, Settings};
use crate::error::{Error, Result};
use crate::plan::{
    Expense, Hardware, Plan, Program, Recipe, SIZE_SETTINGS, Search, Wish, Work, plan,
};
use crate::run::{GivenSettings, RunConfig};
use crate::scaling::Law;

/// Preset of a budget, if none is given: its tokenizer, context and kind of model suit large runs.
pub const PRESET: &str = "llama-130m";
/// Power usage effectiveness (PUE): energy of a data center divided by that of its computers (Patterson et al. 2021, table 4).
const OVERHEAD: f64 = 1.1;
/// Iterations that match the speed and the size of a run whose hours are given.
const ROUNDS: usize = 8;
/// Approximate seconds between checkpoints and between evaluations.
const SAVE_SECONDS: f64 = 3600.0;

/// Options of a budget.
#[derive(Args)]
#[command(next_help_heading = "Budget", group = ArgGroup::new("budget").args(["budget_flops", "hours"]).conflicts_with("model"))]
pub struct BudgetArgs {
    /// Plan a run of this many FLOPs, such as 1e21: parameters and tokens by a scaling law, batch, learning rate, layout, disk, energy
    #[arg(long, value_name = "FLOPS", value_parser = quantity)]
    budget_flops: Option<f64>,
    /// Plan the run that --gpus devices compute in this time
    #[arg(long, value_name = "H", value_parser = quantity)]
    hours: Option<f64>,
    /// Scaling law: the fit.json of `scaling fit` [default: Chinchilla's, as Besiroglu et al. 2024 fitted it]
    #[arg(long, value_name = "FILE", requires = "budget")]
    law: Option<PathBuf>,
    /// Price of a device for an hour, in any currency
    #[arg(long, value_name = "X", requires = "budget", value_parser = quantity)]
    price: Option<f64>,
    /// Power of a device in watts [default: the maximum power of its kind]
    #[arg(long, value_name = "X", requires = "budget", value_parser = quantity)]
    watts: Option<f64>,
    /// Power usage effectiveness (PUE): energy of the data center divided by that of its computers
    #[arg(long, value_name = "X", requires = "budget", value_parser = quantity, default_value_t = OVERHEAD)]
    pue: f64,
    /// Write the run's settings to this file, for `train --config`
    #[arg(long, value_name = "FILE", requires = "budget")]
    write: Option<PathBuf>,
}

/// Values of the other options of `plan`.
pub struct Setup {
    pub config: RunConfig,
    pub given: Vec<GivenSettings>,
    pub hardware: Hardware,
    pub program: Program,
    pub search: Search,
    pub global_batch: Option<usize>,
    pub tokens: Option<u64>,
    pub json: bool,
}

/// A planned run.
struct Planned {
    recipe: Recipe,
    plan: Plan,
    law: Law,
    expense: Expense,
    hours: f64,
    checkpoint_bytes: u64,
    disk: f64,
    is_sized: bool,
}

impl BudgetArgs {
    /// Returns true if a budget is given.
    pub fn is_given(&self) -> bool {
        self.budget_flops.is_some() || self.hours.is_some()
    }
}

/// Plans a run and prints it.
pub fn run(args: &BudgetArgs, mut setup: Setup) -> CliResult<()> {
    let is_given = |key: &str| setup.given.iter().any(|given| given.train.contains_key(key));
    if is_given("steps") {
        let problem = "the budget decides it";
        return Err(usage(Error::config("steps", problem, "leave it out")));
    }
    if !is_given("precision") && !setup.hardware.shared {
        setup.config.train.precision = Precision::Bf16;
    }
    if let Some(watts) = args.watts {
        setup.hardware.watts = watts;
    }
    if setup.hardware.watts == 0.0 {
        let problem = format!("it is not known for `{}`", setup.hardware.name);
        return Err(usage(Error::config("watts", problem, "give the watts that a device draws")));
    }
    let law = args.law.as_deref().map_or(Ok(Law::BESIROGLU), read_law)?;
    let planned = planned(args, &setup, law).map_err(usage)?;
    let settings = settings(&setup, &planned);
    if let Some(path) = &args.write {
        let text = serde_json::to_vec_pretty(&settings).expect("plain data serializes");
        fs::write(path, text).map_err(|e| Error::io(path, e))?;
    }
    let Planned { recipe, plan, expense, hours, checkpoint_bytes, disk, .. } = &planned;
    let figures = Figures {
        recipe,
        plan,
        expense,
        hours: *hours,
        checkpoint_bytes: *checkpoint_bytes,
        disk: *disk,
        hardware: &setup.hardware,
        devices: setup.search.devices,
        seq_len: setup.config.data.seq_len,
        has_law: args.law.is_some(),
        has_tokens: setup.tokens.is_some(),
        is_sized: planned.is_sized,
    };
    let rows = figures.rows();
    if setup.json {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        return output::json(&json!({
            "rows": rows, "config": settings, "plan": planned.plan, "hardware": setup.hardware,
            "law": planned.law, "command": command(args, &setup, &planned),
        }));
    }
    for Row { label, text, source, .. } in &rows {
        output::line(format!("{label:16} {text:<48} {source}").trim_end())?;
    }
    output::line("")?;
    output::line(&format!("train with: {}", command(args, &setup, &planned)))
}

/// Plans the run. With hours, this iterates: compute depends on the speed, which depends on the model, which depends on compute.
fn planned(args: &BudgetArgs, setup: &Setup, law: Law) -> Result<Planned> {
    let train = &setup.config.train;
    let hardware = &setup.hardware;
    let devices = setup.search.devices;
    hardware.validate(train.precision, devices)?;
    let given: Vec<String> =
        setup.given.iter().flat_map(|given| given.train.keys().cloned()).collect();
    let is_sized = setup
        .given
        .iter()
        .any(|given| SIZE_SETTINGS.iter().any(|key| given.model.contains_key(*key)));
    let recipe_of = |flops: f64| {
        Recipe::new(&Wish {
            flops,
            tokens: setup.tokens.map(|tokens| tokens as f64),
            law: &law,
            model: &setup.config.model,
            is_sized,
            train,
            given: &given,
            seq_len: setup.config.data.seq_len,
            devices,
            global_batch: setup.global_batch,
        })
    };
    let (mut recipe, plan) = match (args.budget_flops, args.hours) {
        (Some(flops), _) => {
            let recipe = recipe_of(flops)?;
            let plan = best_plan(setup, &recipe)?;
            (recipe, plan)
        }
        (None, hours) => {
            let seconds = 3600.0 * hours.unwrap_or_default();
            let peak = hardware.peak(train.precision) * devices as f64;
            let mut mfu = hardware.efficiency;
            let mut round = 0;
            loop {
                let recipe = recipe_of(seconds * peak * mfu)?;
                let plan = best_plan(setup, &recipe)?;
                round += 1;
                let is_same = (plan.mfu / mfu - 1.0).abs() < 0.01;
                mfu = plan.mfu;
                if is_same || round == ROUNDS {
                    let steps = (seconds / plan.time.total()).floor() as u64;
                    if steps == 0 {
                        let problem = "not even one step ends in that time";
                        return Err(Error::config("hours", problem, "use more"));
                    }
                    let recipe = match setup.tokens {
                        None => recipe.with_steps(steps, &given),
                        Some(_) => recipe,
                    };
                    break (recipe, plan);
                }
            }
        }
    };
    let step = plan.time.total();
    let hours = recipe.train.steps as f64 * step / 3600.0;
    let often = ((SAVE_SECONDS / step).round() as u64).clamp(1, recipe.train.steps);
    let is_free = |key: &str| !given.iter().any(|given| given == key);
    if is_free("save_every") {
        recipe.train.checkpoints.save_every = often;
    }
    if is_free("eval_every") {
        recipe.train.eval_every = often;
    }
    recipe.train.batch_size = plan.layout.micro_batch;
    recipe.train.grad_accum = recipe.global_batch / plan.layout.micro_batch;
    recipe.train.gradient_checkpointing = plan.layout.recompute;
    if plan.layout.dp > 1 && is_free("accumulation") {
        recipe.train.accumulation = Accumulation::Tree;
    }
    recipe.train.validate()?;
    let estimate = Estimate::new(&recipe.model, &recipe.train, setup.config.data.seq_len);
    let keep = &recipe.train.checkpoints;
    // Those that are kept, the best, and the one that is being written; the model at the top is a link to the newest.
    let checkpoints = (keep.keep_last + keep.keep_spread + 2) as f64;
    let disk = checkpoints * estimate.checkpoint_bytes as f64;
    let expense = Expense::new(devices, hours, hardware.watts, args.pue, args.price);
    let checkpoint_bytes = estimate.checkpoint_bytes;
    Ok(Planned { recipe, plan, law, expense, hours, checkpoint_bytes, disk, is_sized })
}

/// Returns the fastest layout that fits and that can be trained today.
fn best_plan(setup: &Setup, recipe: &Recipe) -> Result<Plan> {
    let work = Work {
        model: &recipe.model,
        train: &recipe.train,
        seq_len: setup.config.data.seq_len,
        rows: 1,
        global_batch: recipe.global_batch,
    };
    let plans = plan(&work, &setup.hardware, &setup.program, &setup.search)?;
    let mut trainable = plans.into_iter().filter(|plan| plan.trainable);
    match trainable.next() {
        Some(plan) if plan.missing.is_none() => Ok(plan),
        Some(Plan { missing, .. }) => {
            let problem = format!(
                "{} parameters fit in no layout of {} devices: the best one lacks {} on each",
                short(recipe.params),
                setup.search.devices,
                bytes(missing.unwrap_or(0.0) as u64)
            );
            Err(Error::config("gpus", problem, "use more or larger devices, or more `tokens`"))
        }
        None => {
            let problem = "no layout of these devices can be trained today";
            Err(Error::config("gpus", problem, "use another number"))
        }
    }
}

/// Returns the settings of the run, as a settings file has them.
fn settings(setup: &Setup, planned: &Planned) -> Value {
    let RunConfig { data, tokenizer, .. } = &setup.config;
    let mut train = json!(planned.recipe.train);
    if let Value::Object(train) = &mut train {
        // Settings of other kinds of training, which are refused where they have no effect.
        let adapters = LoraConfig::settings().map(|setting| setting.key);
        let others: Vec<&str> = adapters.chain(["dpo_beta"]).collect();
        train.retain(|key, _| !others.contains(&key.as_str()));
    }
    json!({"model": planned.recipe.model, "train": train, "data": data, "tokenizer": tokenizer})
}

/// Returns the command that trains the run.
fn command(args: &BudgetArgs, setup: &Setup, planned: &Planned) -> String {
    let layout = planned.plan.layout;
    let file = args.write.as_ref().map_or("FILE".into(), |path| path.display().to_string());
    let device = if setup.hardware.shared { "" } else { " --device cuda" };
    let train = format!("blankslate train --config {file} --data DATA --out RUN{device}");
    if layout.devices() == 1 {
        return train;
    }
    format!(
        "mpirun -n {} --bind-to none {train} --parallel dp={},pp={},tp={} --zero {}",
        layout.devices(),
        layout.dp,
        layout.pp,
        layout.tp,
        layout.zero
    )
}
