//! The floors of attention's kernels that comments and docs state.

use blankslate::config::{Precision, preset};
use blankslate::kernels::attention::Options;
use blankslate::kernels::cost::Cost;
use blankslate::plan::Hardware;

/// Attention of GPT-2 124M on 16 sequences.
fn gpt2() -> Options {
    let preset = preset("gpt2").unwrap();
    let model = preset.model;
    Options {
        batch: 16,
        tokens: preset.data.seq_len,
        heads: model.num_attention_heads,
        kv_heads: model.num_key_value_heads,
        head_dim: model.head_dim,
        causal: true,
        scale: 1.0,
        soft_cap: None,
        window: None,
        dropout: None,
    }
}

/// Microseconds by arithmetic and by memory.
fn floors(cost: Cost, device: &str, precision: Precision) -> [f64; 2] {
    let hardware = Hardware::named(device).unwrap();
    let seconds = [cost.flops / hardware.peak(precision), cost.bytes / hardware.memory_bandwidth];
    seconds.map(|seconds| 1e6 * seconds)
}

/// Names and costs of the kernels.
fn kernels(size: usize) -> [(&'static str, Cost); 3] {
    let costs = gpt2().kernel_costs(size);
    [("forward", costs.forward), ("queries", costs.queries), ("keys", costs.keys)]
}

#[test]
fn the_comment_has_the_floors_of_the_kernels_for_tensor_cores() {
    let comment = include_str!("../../src/kernels/attention/gpu/tensor_cores.rs");
    for (kernel, cost) in kernels(2) {
        let [arithmetic, memory] = floors(cost, "h100", Precision::Bf16);
        let row = comment.lines().find(|line| line.contains(&format!("| `flash_{kernel}` |")));
        let end = format!("| {arithmetic:.0} us | {memory:.0} us |");
        assert!(row.is_some_and(|row| row.ends_with(&end)), "flash_{kernel}: {end}");
    }
}

#[test]
fn the_docs_have_the_floors_of_both_kinds_of_kernels() {
    let doc = include_str!("../../docs/cuda.md");
    let mut lines = Vec::new();
    for (prefix, size, precision) in [("flash_", 2, Precision::Bf16), ("", 4, Precision::F32)] {
        for (kernel, cost) in kernels(size) {
            let floor = |device| {
                let [arithmetic, memory] = floors(cost, device, precision);
                let bound = if arithmetic > memory { "arithmetic" } else { "memory" };
                format!("{:.0} us, {bound}", arithmetic.max(memory))
            };
            lines.push(format!(
                "| `{prefix}{kernel}` | {:.1} | {:.0} | {} | {} |",
                cost.flops / 1e9,
                cost.bytes / 1e6,
                floor("h100"),
                floor("h200"),
            ));
        }
    }
    let missing = lines.iter().any(|line| !doc.contains(line));
    assert!(!missing, "docs/cuda.md lacks\n{}", lines.join("\n"));
}

#[test]
fn two_kernels_share_the_backward_pass() {
    let options = gpt2();
    let (both, costs) = (options.costs(2), options.kernel_costs(2));
    assert_eq!(costs.forward, both.forward);
    // Scores and gradients of weights are computed twice.
    assert_eq!(costs.queries.flops + costs.keys.flops, 7.0 / 5.0 * both.backward.flops);
    // Grouped queries: every byte, counted by the lists of what each kernel reads and writes.
    let options = Options { kv_heads: 3, ..options };
    let rows = (options.batch * options.tokens) as f64;
    let [heads, pairs, dim] = [12.0, 3.0, 64.0];
    let (qkv, result) = ((heads + 2.0 * pairs) * dim, heads * dim);
    let costs = options.kernel_costs(2);
    // qkv, result and its gradient, gradient of queries; normalizer and sum.
    let queries = 2.0 * (qkv + 2.0 * result + result) + 4.0 * 2.0 * heads;
    assert_eq!(costs.queries.bytes, rows * queries);
    // qkv, gradient of the result, gradients of keys and values; normalizer and sum.
    let keys = 2.0 * (qkv + result + 2.0 * pairs * dim) + 4.0 * 2.0 * heads;
    assert_eq!(costs.keys.bytes, rows * keys);
}
