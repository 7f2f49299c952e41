//! `blankslate plan`: what it prints and refuses. Its figures are compared with published runs in `src/plan/published.rs`.

use serde_json::Value;

use crate::support::{Place, run};

fn object(arguments: &str) -> Value {
    run(&format!("plan --json {arguments}")).json().remove(0)
}

#[test]
fn plans_are_printed_with_what_they_assume() {
    let plan = "plan --preset llama-7b --precision bf16 --gpus 64 --gpu h100 --global-batch 512";
    let outcome = run(&format!("{plan} --tokens 140000000000"));
    let notes = outcome.stderr.clone();
    let text = outcome.ok();
    for words in [
        "6.74 G parameters",
        "512 sequences of 2,048 tokens: 1,048,576 tokens, bf16",
        "h100 at 989 TFLOP/s",
        "3.35 TB/s",
        "450 GB/s within a node of 8, 50.0 GB/s per device between nodes",
        "tokens/s    MFU       days",
        "fastest: dp ",
        "memory of a step",
        "products",
    ] {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
    let all = run(&format!("{plan} --all")).ok();
    assert!(all.contains("does not fit:") && all.contains("lacks"), "{all}");
    assert!(!all.contains("planned"), "{all}");
    assert!(notes.contains("through the memory of the host"), "{notes}");
    // Muon needs whole matrices.
    let apart = plan.replace("h100 --global-batch 512", "h200 --global-batch 32");
    let long = "--seq-len 8192 --max-position-embeddings 8192";
    let apart = run(&format!("{apart} --optimizer muon {long}"));
    assert!(apart.stderr.contains("muon with tp, are planned"), "{}", apart.stderr);
    let apart = apart.ok();
    assert!(apart.contains("planned") && apart.contains("fastest: dp 32, tp 2, pp 1"), "{apart}");
    assert!(apart.contains("fastest that can be trained today: dp 32, tp 1, pp 2"), "{apart}");
    let slow = run("plan --preset gpt2 --gpus 1");
    assert!(slow.stderr.contains("--precision bf16 has 14.8 times"), "{}", slow.stderr);
}

#[test]
fn json_has_every_part_and_its_sums() {
    let object =
        object("--preset gpt2 --precision bf16 --gpus 8 --gpu a100 --tokens 10000000000 --all");
    assert_eq!(object["tokens_per_step"], 524_288);
    assert_eq!(object["hardware"]["peak_16"], 312e12);
    assert_eq!(object["program"]["gradient_bytes"], 4.0);
    let plans = object["plans"].as_array().unwrap();
    let sum = |parts: &Value| -> f64 {
        let parts = parts.as_object().unwrap().iter().filter(|(name, _)| *name != "total");
        parts.map(|(_, value)| value.as_f64().unwrap()).sum()
    };
    let mut last = 0.0;
    for plan in plans.iter().filter(|plan| plan["missing"].is_null()) {
        for parts in ["memory", "time"] {
            let total = plan[parts]["total"].as_f64().unwrap();
            assert!((sum(&plan[parts]) / total - 1.0).abs() < 1e-9, "{plan}");
        }
        let seconds = plan["time"]["total"].as_f64().unwrap();
        assert!(seconds > 0.999 * last, "the fastest first");
        last = seconds;
        let days = plan["days"].as_f64().unwrap();
        assert!((days * 86_400.0 / (1e10 / 524_288.0 * seconds) - 1.0).abs() < 1e-9, "{plan}");
        assert_eq!(plan["trainable"], true);
    }
    assert!(plans.len() > object_of_best(&object), "--all prints more");
}

/// Number of plans without `--all`, of the same run.
fn object_of_best(all: &Value) -> usize {
    let best = object("--preset gpt2 --precision bf16 --gpus 8 --gpu a100");
    assert_eq!(best["plans"][0]["layout"], all["plans"][0]["layout"]);
    best["plans"].as_array().unwrap().len()
}

#[test]
fn flags_restrict_the_layouts_and_change_the_device() {
    let given = object(
        "--preset gpt2 --gpus 8 --parallel dp=4,tp=2 --zero 1 --batch-size 16 --gradient-checkpointing --all",
    );
    let plans = given["plans"].as_array().unwrap();
    assert_eq!(plans.len(), 1, "{plans:#?}");
    let layout = &plans[0]["layout"];
    assert_eq!((&layout["dp"], &layout["tp"], &layout["zero"]), (&4.into(), &2.into(), &1.into()));
    assert_eq!((&layout["micro_batch"], &layout["recompute"]), (&16.into(), &true.into()));

    let seconds = |more: &str| {
        let object =
            object(&format!("--preset gpt2 --precision bf16 --gpus 8 --parallel dp=8 {more}"));
        object["plans"][0]["time"]["total"].as_f64().unwrap()
    };
    assert!(seconds("--peak-flops 500") > 1.3 * seconds(""));
    assert!(seconds("--efficiency 0.9") < seconds(""));
    let slow_links = "--link-bandwidth 20";
    assert!(seconds(&format!("{slow_links} --overlap 0")) > seconds(slow_links) + 0.01);
    let little = object("--preset gpt2 --gpus 1 --memory 1");
    assert!(little["plans"][0]["missing"].as_f64().unwrap() > 1e9, "{little}");
}

#[test]
fn a_config_json_is_planned_without_weights() {
    let place = Place::new();
    let config = r#"{"model_type": "llama", "vocab_size": 128256, "hidden_size": 8192,
        "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
        "num_key_value_heads": 8, "max_position_embeddings": 8192, "tie_word_embeddings": false}"#;
    place.write("config.json", config);
    for model in [place.at("config.json"), place.at("")] {
        let plan = format!("--model {model} --precision bf16 --gpus 1024 --global-batch 2048");
        let large = object(&format!("{plan} --memory 500"));
        assert!(large["plans"][0]["missing"].is_null(), "it fits on 1,024 larger devices");
        let object = object(&plan);
        // Llama 3 70B.
        assert_eq!(object["parameters"], 70_553_706_496_u64);
        assert_eq!(object["seq_len"], 8192);
        // To save, rank 0 gathers 4 bytes a parameter, which no device of 80 GB has room for.
        let best = &object["plans"][0];
        assert!(best["saving"].as_f64().unwrap() > 4.0 * 70e9, "{best}");
        assert!(best["missing"].as_f64().unwrap() > 200e9, "{best}");
    }
    let lora =
        format!("--model {} --lora-rank 8 --precision bf16 --gpus 8", place.at("config.json"));
    let adapted = object(&format!("{lora} --global-batch 8"));
    assert!(adapted["plans"][0]["memory"]["optimizer"].as_f64().unwrap() < 1e9, "{adapted}");
    for plan in adapted["plans"].as_array().unwrap() {
        let layout = &plan["layout"];
        assert_eq!(plan["trainable"], layout["tp"] == 1 && layout["pp"] == 1, "{plan}");
    }
    run(&format!("plan --model {}", place.at("nothing"))).refuses(1, &["nothing"]);
    place.write("config.json", "{");
    run(&format!("plan --model {}", place.at("config.json"))).refuses(1, &["config.json"]);
}

#[test]
fn what_cannot_be_planned_is_refused() {
    for (arguments, words) in [
        ("--gpu v100", ["invalid value 'v100' for '--gpu <NAME>'", "a100, h100, h200, b200, cpu"]),
        ("--gpu cpu", ["--peak-flops", "give the TFLOP/s of a device"]),
        ("--gpu cpu --peak-flops 0.1", ["--memory", "give the GB of a device's memory"]),
        ("--gpus 0", ["--gpus", "1.."]),
        ("--parallel cp=2", ["--parallel", "use some of dp=N,tp=N,pp=N"]),
        ("--preset gpt2 --gpus 7", ["--global-batch", "multiple of the number of devices"]),
        ("--gpus 8 --parallel dp=3", ["--parallel", "3 devices or a multiple, and there are 8"]),
        ("--gpus 2 --parallel pp=2 --layers 1", ["--parallel", "use at most pp=1"]),
        ("--gpus 2 --batch-size 7 --global-batch 64", ["--batch-size", "batches of 7"]),
        ("--efficiency 2", ["--efficiency", "2 is not a share"]),
        ("--overlap -1", ["--overlap", "-1 is not a share"]),
        ("--latency nan", ["--latency", "out of range"]),
        ("--batch-size 18446744073709551615", ["--batch-size", "2^30"]),
        ("--lora-rank 8", ["--lora-rank", "trained weights"]),
    ] {
        run(&format!("plan {arguments}")).refuses(2, &words);
    }
}
