//! `blankslate plan --budget-flops` and `--hours`: a run that uses a budget, from its parameters to its price.

use std::fs;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::failure::{CliResult, usage};
use super::output::{self, bytes, grouped, short};
use super::plan_report::seconds;
use super::quantity::quantity;
use super::scaling::read_law;
use crate::config::{Accumulation, Estimate, Precision};
use crate::error::{Error, Result};
use crate::plan::{
    Expense, Hardware, Plan, Program, Recipe, SIZE_SETTINGS, Search, Wish, Work, plan,
};
use crate::run::{GivenSettings, RunConfig};
use crate::scaling::Law;

/// Preset of a budget, if none is given: its tokenizer, context and kind of model suit large runs.
pub const PRESET: &str = "llama-130m";
/// Energy of a data center over that of its computers (Patterson et al. 2021, table 4).
const OVERHEAD: f64 = 1.1;
/// Rounds in which speed and size of a run that is given in hours are matched.
const ROUNDS: usize = 8;
/// Seconds between checkpoints and evaluations, about.
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
    /// Watts that a device draws [default: the most that its kind may draw]
    #[arg(long, value_name = "X", requires = "budget", value_parser = quantity)]
    watts: Option<f64>,
    /// Energy of the data center over that of its computers
    #[arg(long, value_name = "X", requires = "budget", value_parser = quantity, default_value_t = OVERHEAD)]
    pue: f64,
    /// Write the run's settings to this file, for `train --config`
    #[arg(long, value_name = "FILE", requires = "budget")]
    write: Option<PathBuf>,
}

/// What the other options of `plan` say.
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
    estimate: Estimate,
    disk: f64,
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
    let rows = rows(args, &setup, &planned);
    if setup.json {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        return output::json(&json!({
            "rows": rows, "config": settings, "plan": planned.plan, "hardware": setup.hardware,
            "law": planned.law, "command": command(args, &setup, &planned),
        }));
    }
    for Row { label, text, source, .. } in &rows {
        output::line(format!("{label:16} {text:<36} {source}").trim_end())?;
    }
    output::line("")?;
    output::line(&format!("train with: {}", command(args, &setup, &planned)))
}

/// Finds the run: with hours, compute follows from the speed, which follows from the model, which follows from compute.
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
    Ok(Planned { recipe, plan, law, expense, hours, estimate, disk })
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
    json!({
        "model": planned.recipe.model, "train": planned.recipe.train, "data": data,
        "tokenizer": tokenizer,
    })
}

/// Returns the command that trains the run.
fn command(args: &BudgetArgs, setup: &Setup, planned: &Planned) -> String {
    let layout = planned.plan.layout;
    let file = args.write.as_ref().map_or("FILE".into(), |path| path.display().to_string());
    let train = format!("blankslate train --config {file} --data DATA --out RUN");
    if layout.devices() == 1 {
        return train;
    }
    let device = if setup.hardware.shared { "" } else { " --device cuda" };
    format!(
        "mpirun -n {} --bind-to none {train}{device} --parallel dp={},pp={},tp={} --zero {}",
        layout.devices(),
        layout.dp,
        layout.pp,
        layout.tp,
        layout.zero
    )
}

/// A figure with its formula and source.
struct Row {
    label: &'static str,
    value: f64,
    text: String,
    source: &'static str,
}

impl Row {
    fn json(&self) -> Value {
        json!({"name": self.label, "value": self.value, "text": self.text, "source": self.source})
    }
}

fn rows(args: &BudgetArgs, setup: &Setup, planned: &Planned) -> Vec<Row> {
    let Planned { recipe, plan, expense, hours, estimate, disk, .. } = planned;
    let row = |label, value: f64, text: String, source| Row { label, value, text, source };
    let per_cent = |part: f64| format!("{:.1} %", 100.0 * part);
    let train = &recipe.train;
    let layout = plan.layout;
    let seq_len = setup.config.data.seq_len;
    let of_law = match (args.law.is_some(), setup.tokens.is_some()) {
        (_, true) => "C / 6D: `tokens` is given",
        (true, _) => "G (C/6)^(β/(α+β)): Hoffmann et al. 2022, eq. 4, with the law of --law",
        (false, _) => "G (C/6)^(β/(α+β)): Hoffmann et al. 2022, eq. 4; Besiroglu et al. 2024",
    };
    let model = &recipe.model;
    let mut rows = vec![
        row(
            "compute",
            recipe.flops(),
            format!("{:.3e} FLOPs", recipe.flops()),
            "tokens · FLOPs per token, attention included: docs/plan.md",
        ),
        row("parameters", recipe.params, short(recipe.params), of_law),
        row(
            "shape",
            model.hidden_size as f64,
            format!(
                "{} layers, {} wide, {} heads",
                model.num_hidden_layers, model.hidden_size, model.num_attention_heads
            ),
            "width/layers 32 to 128: the presets; Kaplan et al. 2020, fig. 5",
        ),
        row("tokens", recipe.tokens(), short(recipe.tokens()), "C / FLOPs per token"),
        row(
            "tokens/parameter",
            recipe.tokens() / recipe.params,
            format!("{:.1}", recipe.tokens() / recipe.params),
            "",
        ),
        row(
            "loss",
            recipe.loss,
            format!("{:.3} nats per token", recipe.loss),
            "E + A/N^α + B/D^β, of the law's data and tokenizer",
        ),
        row(
            "suggested batch",
            recipe.suggested_batch,
            format!("{} tokens", short(recipe.suggested_batch)),
            "0.2920 C^0.3271: Bi et al. 2024, eq. 1",
        ),
        row(
            "critical batch",
            recipe.critical_batch,
            format!("{} tokens", short(recipe.critical_batch)),
            "2e8 · loss^(-1/0.21): McCandlish et al. 2018; Kaplan et al. 2020, eq. 5.3",
        ),
        row(
            "batch",
            recipe.tokens_per_step,
            format!(
                "{} sequences of {seq_len}: {} tokens",
                grouped(recipe.global_batch as u64),
                short(recipe.tokens_per_step)
            ),
            "the smaller of the two, as a power of two or a multiple of the devices",
        ),
        row("steps", train.steps as f64, grouped(train.steps), "tokens / batch"),
        row(
            "learning rate",
            train.optimizer.lr,
            format!("{:.2e} to {:.2e}", train.optimizer.lr, train.schedule.min_lr),
            "0.3118 C^-0.125: Bi et al. 2024, eq. 1; a tenth at the end: Hoffmann et al. 2022",
        ),
        row(
            "warm-up",
            train.schedule.warmup_steps as f64,
            format!("{} steps", grouped(train.schedule.warmup_steps)),
            "1 % of the steps, at least 100: Biderman et al. 2023",
        ),
        row(
            "layout",
            layout.devices() as f64,
            format!(
                "dp {}, tp {}, pp {}, ZeRO {}, micro-batch {}",
                layout.dp, layout.tp, layout.pp, layout.zero, layout.micro_batch
            ),
            "the fastest that fits: docs/plan.md",
        ),
        row(
            "memory",
            plan.peak(),
            format!(
                "{} of {} per device",
                bytes(plan.peak() as u64),
                bytes(setup.hardware.room() as u64)
            ),
            "weights, gradients, state, activations, saving: docs/plan.md",
        ),
        row(
            "step",
            plan.time.total(),
            format!("{}, MFU {}", seconds(plan.time.total()), per_cent(plan.mfu)),
            "products, memory, transfers, bubble: docs/plan.md",
        ),
        row(
            "time",
            *hours,
            format!("{hours:.2} hours on {} x {}", setup.search.devices, setup.hardware.name),
            "steps · step",
        ),
        row(
            "checkpoint",
            estimate.checkpoint_bytes as f64,
            bytes(estimate.checkpoint_bytes),
            "4 bytes per weight and number of the optimizer's state",
        ),
        row(
            "disk",
            *disk,
            bytes(*disk as u64),
            "checkpoints kept, the best, and one that is being written",
        ),
        row(
            "energy",
            expense.kilowatt_hours,
            format!("{:.4} kWh", expense.kilowatt_hours),
            "devices · watts · hours · PUE: Patterson et al. 2021",
        ),
    ];
    if let Some(cost) = expense.cost {
        rows.push(row("cost", cost, format!("{cost:.2}"), "devices · hours · --price"));
    }
    rows
}
