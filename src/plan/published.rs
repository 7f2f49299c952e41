//! Published runs, and the planner's error on each. Every row comes from the source that it names. Tests compare the rows with
//! those of docs/plan.md.

use super::{Hardware, Layout, Program, StepTime, Work};
use crate::config::{Costs, ModelConfig, Precision, TrainConfig};

/// Megatron-LM in 2021: scores in memory, all-reduces after the backward pass. It trains in f16.
const MEGATRON: Program = Program {
    gradient_bytes: 2.0,
    weight_bytes: 2.0,
    gathers_at_level_1: false,
    writes_scores: true,
    activation_bytes: None,
    scatters: true,
    overlap: 0.0,
};

/// llm.c, and PyTorch's FSDP in llm-foundry, whose gathers of weights are hidden behind computation: flash attention, gradients
/// reduced in bf16 during the backward pass.
const BF16: Program = Program { writes_scores: false, scatters: false, overlap: 1.0, ..MEGATRON };

/// A published run.
struct Run {
    name: &'static str,
    device: &'static str,
    /// Width, blocks and heads.
    shape: [usize; 3],
    vocab: usize,
    seq_len: usize,
    layout: Layout,
    global_batch: usize,
    program: Program,
    published: Figure,
}

/// A published figure.
#[derive(Clone, Copy)]
enum Figure {
    /// TFLOP/s per GPU with recomputation, by equation (3) of Narayanan et al. 2021.
    Teraflops(f64),
    /// Seconds of a step.
    Seconds(f64),
    /// Tokens per second of a GPU.
    Tokens(f64),
}

impl Run {
    fn model(&self) -> ModelConfig {
        let [width, layers, heads] = self.shape;
        let model = ModelConfig::gpt2(self.vocab).with_context(self.seq_len);
        model.with_hidden_size(width).with_layers(layers).with_heads(heads)
    }

    /// Published and predicted value of the figure. `efficiency` replaces that of the device, for fitting.
    fn values(&self, efficiency: Option<f64>) -> [f64; 2] {
        let model = self.model();
        let train = TrainConfig { precision: Precision::Bf16, ..TrainConfig::default() };
        let Self { seq_len, global_batch, layout, .. } = *self;
        let work = Work { model: &model, train: &train, seq_len, rows: 1, global_batch };
        let mut hardware = Hardware::named(self.device).unwrap();
        hardware.efficiency = efficiency.unwrap_or(hardware.efficiency);
        let seconds = StepTime::new(&work, &layout, &hardware, &self.program).total();
        let devices = layout.devices() as f64;
        match self.published {
            Figure::Teraflops(published) => {
                let costs = Costs::new(&model, seq_len);
                let flops = 4.0 * costs.layers * costs.block_flops + 3.0 * costs.head_flops;
                [published, flops * work.tokens() / devices / seconds / 1e12]
            }
            Figure::Seconds(published) => [published, seconds],
            Figure::Tokens(published) => [published, work.tokens() / seconds / devices],
        }
    }

    /// Relative error of the predicted speed: positive where the planner is too optimistic.
    fn error(&self, efficiency: Option<f64>) -> f64 {
        let [published, predicted] = self.values(efficiency);
        match self.published {
            Figure::Seconds(_) => published / predicted - 1.0,
            Figure::Teraflops(_) | Figure::Tokens(_) => predicted / published - 1.0,
        }
    }

    /// The row of docs/plan.md.
    fn row(&self) -> String {
        let Layout { dp, tp, pp, .. } = self.layout;
        let [published, predicted] = self.values(None);
        let format = |value: f64| match self.published {
            Figure::Teraflops(_) => format!("{value:.0} TFLOP/s"),
            Figure::Seconds(_) => format!("{value:.2} s"),
            Figure::Tokens(_) => format!("{value:.0} tokens/s"),
        };
        format!(
            "| {} | {} x {} | {dp}, {tp}, {pp} | {} | {} | {:+.0} % |",
            self.name,
            self.layout.devices(),
            self.device,
            format(published),
            format(predicted),
            100.0 * self.error(None),
        )
    }
}

/// Narayanan et al. 2021 ("Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM"), table 1: vocabulary
/// 51,200, sequences of 2,048 tokens, activations recomputed, interleaved schedule, scatter/gather optimization. The table gives
/// neither the size of a micro-batch, here 1, nor the chunks per stage, here the smallest number above 1 that divides the blocks.
fn table_1() -> Vec<Run> {
    [
        ("Megatron-LM 1.7B", [2304, 24, 24], 1, 1, 32, 512, 137.0),
        ("Megatron-LM 3.6B", [3072, 30, 32], 2, 1, 64, 512, 138.0),
        ("Megatron-LM 7.5B", [4096, 36, 32], 4, 1, 128, 512, 142.0),
        ("Megatron-LM 18.4B", [6144, 40, 48], 8, 1, 256, 1024, 135.0),
        ("Megatron-LM 39.1B", [8192, 48, 64], 8, 2, 512, 1536, 138.0),
        ("Megatron-LM 76.1B", [10_240, 60, 80], 8, 4, 1024, 1792, 140.0),
        ("Megatron-LM 145.6B", [12_288, 80, 96], 8, 8, 1536, 2304, 148.0),
        ("Megatron-LM 310.1B", [16_384, 96, 128], 8, 16, 1920, 2160, 155.0),
        ("Megatron-LM 529.6B", [20_480, 105, 128], 8, 35, 2520, 2520, 163.0),
        ("Megatron-LM 1008.0B", [25_600, 128, 160], 8, 64, 3072, 3072, 163.0),
    ]
    .map(megatron)
    .into()
}

/// The same paper's table 2, "PTD Parallelism": micro-batches of 1. Its model-parallel sizes of 96 and 280 are taken as tp 8 and
/// pp 12 and 35.
fn table_2() -> Vec<Run> {
    [
        ("Megatron-LM 174.6B", [12_288, 96, 96], 8, 12, 384, 1536, 153.0),
        ("Megatron-LM 174.6B", [12_288, 96, 96], 8, 12, 768, 1536, 149.0),
        ("Megatron-LM 174.6B", [12_288, 96, 96], 8, 12, 1536, 1536, 141.0),
        ("Megatron-LM 529.6B", [20_480, 105, 128], 8, 35, 560, 2240, 171.0),
        ("Megatron-LM 529.6B", [20_480, 105, 128], 8, 35, 1120, 2240, 167.0),
        ("Megatron-LM 529.6B", [20_480, 105, 128], 8, 35, 2240, 2240, 159.0),
    ]
    .map(megatron)
    .into()
}

type MegatronRow = (&'static str, [usize; 3], usize, usize, usize, usize, f64);

fn megatron((name, shape, tp, pp, devices, global_batch, published): MegatronRow) -> Run {
    let blocks = shape[1] / pp;
    let divisor = (2..=blocks).find(|chunks| blocks.is_multiple_of(*chunks)).unwrap_or(1);
    let chunks = if pp > 1 { divisor } else { 1 };
    let dp = devices / (tp * pp);
    Run {
        name,
        device: "a100",
        shape,
        vocab: 51_200,
        seq_len: 2048,
        layout: Layout { dp, tp, pp, zero: 0, micro_batch: 1, recompute: true, chunks },
        global_batch,
        program: MEGATRON,
        published: Figure::Teraflops(published),
    }
}

/// llm.c, `scripts/run_gpt2_{124M,350M,774M,1558M}.sh`: flags, and the time of a step in the comments.
fn llm_c() -> Vec<Run> {
    [
        ("llm.c GPT-2 124M", "a100", [768, 12, 12], 64, 512, 0.300),
        ("llm.c GPT-2 350M", "a100", [1024, 24, 16], 64, 512, 0.820),
        ("llm.c GPT-2 774M", "a100", [1280, 36, 20], 32, 512, 1.7),
        ("llm.c GPT-2 1558M", "h100", [1600, 48, 25], 16, 1024, 2.80),
    ]
    .map(|(name, device, shape, micro_batch, global_batch, seconds)| Run {
        name,
        device,
        shape,
        vocab: 50_257,
        seq_len: 1024,
        layout: Layout { dp: 8, tp: 1, pp: 1, zero: 1, micro_batch, recompute: false, chunks: 1 },
        global_batch,
        program: BF16,
        published: Figure::Seconds(seconds),
    })
    .into()
}

/// llm-foundry, `scripts/train/benchmarking/README.md`: rows with 8 GPUs of 80 GB and sequences of 2,048 tokens (1,024 for 3b on
/// H100, which has no such row). Shapes follow from the numbers of parameters, which a test compares.
fn llm_foundry() -> Vec<Run> {
    let shapes = |name: &str| match name {
        "125m" => [768, 12, 12],
        "350m" => [1024, 24, 16],
        "760m" => [1536, 24, 12],
        "1b" => [2048, 24, 16],
        "3b" => [2560, 32, 20],
        "7b" => [4096, 32, 32],
        "13b" => [5120, 40, 40],
        _ => [7168, 48, 56],
    };
    [
        ("MPT 125m", "a100", 2048, 40, 640, false, 142_830.0),
        ("MPT 350m", "a100", 2048, 32, 512, false, 58_782.0),
        ("MPT 760m", "a100", 2048, 24, 384, false, 32_434.0),
        ("MPT 1b", "a100", 2048, 14, 448, false, 20_513.0),
        ("MPT 3b", "a100", 2048, 10, 160, false, 10_811.0),
        ("MPT 7b", "a100", 2048, 6, 96, false, 4641.0),
        ("MPT 13b", "a100", 2048, 2, 48, false, 2262.0),
        ("MPT 30b", "a100", 2048, 3, 504, true, 916.0),
        ("MPT 760m", "h100", 2048, 24, 384, false, 63_147.0),
        ("MPT 1b", "h100", 2048, 14, 112, false, 45_455.0),
        ("MPT 3b", "h100", 1024, 20, 960, false, 27_046.0),
        ("MPT 7b", "h100", 2048, 6, 48, false, 10_643.0),
        ("MPT 13b", "h100", 2048, 2, 16, false, 4792.0),
        ("MPT 30b", "h100", 2048, 3, 504, true, 2002.0),
    ]
    .map(|(name, device, seq_len, micro_batch, global_batch, recompute, tokens)| Run {
        name,
        device,
        shape: shapes(&name["MPT ".len()..]),
        vocab: 50_368,
        seq_len,
        layout: Layout { dp: 8, tp: 1, pp: 1, zero: 2, micro_batch, recompute, chunks: 1 },
        global_batch,
        program: BF16,
        published: Figure::Tokens(tokens),
    })
    .into()
}

/// The efficiency with which the mean error of `runs` is 0.
fn fitted(runs: &[&Run]) -> f64 {
    let mean = |efficiency: f64| {
        runs.iter().map(|run| run.error(Some(efficiency))).sum::<f64>() / runs.len() as f64
    };
    let [mut low, mut high] = [0.1, 1.0];
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if mean(middle) > 0.0 { high = middle } else { low = middle }
    }
    low
}

/// Checks that docs/plan.md has the rows of `runs`, and that their errors are at most `limit`.
#[track_caller]
fn agree(runs: &[Run], limit: f64) {
    let doc = include_str!("../../docs/plan.md");
    let rows: Vec<String> = runs.iter().map(Run::row).collect();
    let missing: Vec<&String> = rows.iter().filter(|row| !doc.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/plan.md lacks\n{}", rows.join("\n"));
    for run in runs {
        let error = run.error(None);
        assert!(error.abs() <= limit, "{}: {:+.1} %", run.name, 100.0 * error);
    }
}

#[test]
fn operations_are_those_of_the_papers_equation() {
    for run in table_1() {
        let costs = Costs::new(&run.model(), run.seq_len);
        let [h, l, _] = run.shape.map(|size| size as f64);
        let [b, s, v] = [run.global_batch, run.seq_len, run.vocab].map(|size| size as f64);
        let ours = b * s * (4.0 * l * costs.block_flops + 3.0 * costs.head_flops);
        let theirs = 96.0 * b * s * l * h * h * (1.0 + s / (6.0 * h) + v / (16.0 * l * h));
        assert!((ours / theirs - 1.0).abs() < 1e-12, "{}", run.name);
        // Equation (2) leaves out the final norm and one bias of each block.
        let theirs = 12.0 * l * h * h * (1.0 + 13.0 / (12.0 * h) + (v + s) / (12.0 * l * h));
        assert!((costs.parameters() / theirs - 1.0).abs() < 1e-4, "{}", run.name);
    }
}

#[test]
fn efficiencies_are_fitted_to_the_rows_that_the_documentation_names() {
    let megatron = table_1();
    let half: Vec<&Run> = megatron.iter().step_by(2).collect();
    let a100 = Hardware::named("a100").unwrap().efficiency;
    assert!((a100 - fitted(&half)).abs() <= 0.005, "{}", fitted(&half));
    let foundry = llm_foundry();
    let of_h100 = |run: &&Run| run.device == "h100" && ["MPT 1b", "MPT 7b"].contains(&run.name);
    let two: Vec<&Run> = foundry.iter().filter(of_h100).collect();
    let h100 = Hardware::named("h100").unwrap().efficiency;
    assert!((h100 - fitted(&two)).abs() <= 0.005, "{}", fitted(&two));
}

#[test]
fn the_speed_of_megatron_lm_is_predicted() {
    agree(&table_1(), 0.08);
    agree(&table_2(), 0.08);
}

#[test]
fn the_speed_of_llm_c_is_predicted() {
    agree(&llm_c(), 0.15);
}

#[test]
fn the_speed_of_llm_foundry_is_predicted() {
    let parameters = [
        125_311_488.0,
        355_985_408.0,
        760_470_528.0,
        1_315_950_592.0,
        2_651_837_440.0,
        6_658_859_008.0,
        12_853_954_560.0,
        29_975_214_080.0,
    ];
    for (run, parameters) in llm_foundry().iter().zip(parameters) {
        assert_eq!(Costs::new(&run.model(), run.seq_len).parameters(), parameters, "{}", run.name);
    }
    agree(&llm_foundry(), 0.33);
}
