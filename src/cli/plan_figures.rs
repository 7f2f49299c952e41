//! The figures of a run for a budget, with their formulas and sources (docs/plan.md).

use serde_json::{Value, json};

use super::output::{bytes, grouped, short};
use super::plan_report::seconds;
use crate::plan::{Expense, Hardware, Plan, Recipe};

/// Inputs of the figures.
pub struct Figures<'a> {
    pub recipe: &'a Recipe,
    pub plan: &'a Plan,
    pub expense: &'a Expense,
    pub hours: f64,
    pub checkpoint_bytes: u64,
    /// Bytes of all checkpoints.
    pub disk: f64,
    pub hardware: &'a Hardware,
    pub devices: usize,
    pub seq_len: usize,
    /// True if the scaling law is the user's own.
    pub has_law: bool,
    /// True if the tokens are given.
    pub has_tokens: bool,
    /// True if the sizes of the model are given.
    pub is_sized: bool,
}

/// A figure with its formula and source.
pub struct Row {
    pub label: &'static str,
    value: f64,
    pub text: String,
    pub source: &'static str,
}

impl Row {
    /// Returns the figure as JSON.
    pub fn json(&self) -> Value {
        json!({"name": self.label, "value": self.value, "text": self.text, "source": self.source})
    }
}

impl Figures<'_> {
    /// Returns the figures in the order in which they are printed.
    pub fn rows(&self) -> Vec<Row> {
        let Self { recipe, plan, expense, hours, checkpoint_bytes, disk, hardware, .. } = self;
        let row = |label, value: f64, text: String, source| Row { label, value, text, source };
        let per_cent = |part: f64| format!("{:.1} %", 100.0 * part);
        let train = &recipe.train;
        let layout = plan.layout;
        let of_law = match (self.has_law, self.has_tokens) {
            _ if self.is_sized => "the sizes are given",
            (_, true) => "C / 6D: --tokens is given",
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
                    "{} sequences of {}: {} tokens",
                    grouped(recipe.global_batch as u64),
                    self.seq_len,
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
                    bytes(hardware.room() as u64)
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
                format!("{hours:.2} hours on {} x {}", self.devices, hardware.name),
                "steps · step",
            ),
            row(
                "checkpoint",
                *checkpoint_bytes as f64,
                bytes(*checkpoint_bytes),
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
}
