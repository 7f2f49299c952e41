//! `blankslate plan` with a budget of compute or of time.

use serde_json::Value;

use crate::support::{Place, run};

fn object(arguments: &str) -> Value {
    run(&format!("plan --json {arguments}")).json().remove(0)
}

/// The value of a row.
fn value(object: &Value, name: &str) -> f64 {
    let rows = object["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == name);
    row.unwrap_or_else(|| panic!("no {name} in {object}"))["value"].as_f64().unwrap()
}

#[test]
fn a_budget_becomes_a_run_with_sources() {
    let plan = "--budget-flops 1e21 --gpus 64 --kind h100 --price 2.5";
    let text = run(&format!("plan {plan}")).ok();
    for words in [
        "Hoffmann et al. 2022, eq. 4; Besiroglu et al. 2024",
        "Bi et al. 2024",
        "McCandlish et al. 2018",
        "Patterson et al. 2021",
        "hours on 64 x h100",
        "train with: mpirun -n 64 --bind-to none blankslate train --config FILE",
    ] {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
    let object = object(plan);
    let of = |name: &str| value(&object, name);
    assert!((of("compute") / 1e21 - 1.0).abs() < 0.02);
    assert!((of("steps") * of("batch") / of("tokens") - 1.0).abs() < 1e-9);
    assert!((of("steps") * of("step") / 3600.0 / of("time") - 1.0).abs() < 1e-9);
    assert!((of("energy") / (64.0 * of("time") * 0.7 * 1.1) - 1.0).abs() < 1e-9);
    assert!((of("cost") / (64.0 * of("time") * 2.5) - 1.0).abs() < 1e-9);
    assert!(of("memory") < 72e9 && of("batch") < 1.5 * of("critical batch"));
    let layout = &object["plan"]["layout"];
    let config = &object["config"]["train"];
    assert_eq!(config["precision"], "bf16");
    assert_eq!(layout["micro_batch"], config["batch_size"]);
    let examples = config["batch_size"].as_u64().unwrap() * config["grad_accum"].as_u64().unwrap();
    assert_eq!(examples as f64 * 1024.0, of("batch"));
}

#[test]
fn hours_are_filled_and_tokens_decide_the_size() {
    let day = object("--gpus 8 --kind a100 --hours 24");
    let time = value(&day, "time");
    assert!(time <= 24.0 && time > 23.5, "{time}");
    let week = object("--gpus 8 --kind a100 --hours 168");
    assert!(value(&week, "parameters") > 1.5 * value(&day, "parameters"));
    assert!(value(&week, "loss") < value(&day, "loss"));
    let long = object("--budget-flops 1e21 --gpus 8 --tokens 100000000000");
    assert!((value(&long, "tokens") / 1e11 - 1.0).abs() < 0.01);
    let params = value(&long, "parameters");
    assert!((params / (1e21 / 6e11) - 1.0).abs() < 0.3, "{params}");
}

#[test]
fn a_law_of_ones_own_decides_the_size() {
    let place = Place::new();
    let law = r#"{"E": 1.5, "A": 400, "B": 400, "alpha": 0.3, "beta": 0.3}"#;
    place.write("law.json", law);
    place.write("fit.json", format!(r#"{{"chinchilla": {{"law": {law}}}}}"#));
    let plan = "--budget-flops 3e19 --gpus 8 --law";
    let of_law = object(&format!("{plan} {}", place.at("law.json")));
    // A law with equal sides trains one token per parameter.
    let ratio = value(&of_law, "tokens/parameter");
    assert!((0.5..2.0).contains(&ratio), "{ratio}");
    assert_eq!(object(&format!("{plan} {}", place.at("fit.json")))["rows"], of_law["rows"]);
    run(&format!("plan {plan} {}", place.at("text.txt"))).refuses(1, &["text.txt", "fit.json"]);
}

#[test]
fn the_written_settings_are_those_that_train_takes() {
    let place = Place::new();
    let settings = place.at("run.json");
    let cpu = "--kind cpu --peak-flops 0.05 --memory 8 --memory-bandwidth 10 --watts 65";
    let plan = format!("--preset tiny --budget-flops 1e11 {cpu} --write {settings}");
    let planned = object(&plan);
    let written: Value = serde_json::from_slice(&place.read("run.json")).unwrap();
    assert_eq!(written, planned["config"]);
    let command = planned["command"].as_str().unwrap();
    assert!(command.starts_with(&format!("blankslate train --config {settings} ")), "{command}");
    let arguments = command
        .trim_start_matches("blankslate ")
        .replace("DATA", &place.at("text.txt"))
        .replace("RUN", &place.at("run"));
    let events = run(&format!("{arguments} --device cpu --stop-at 2 --json")).json();
    let train = &events[0]["train"];
    assert_eq!(train["steps"].as_f64().unwrap(), value(&planned, "steps"));
    assert_eq!(train["lr"].as_f64().unwrap(), value(&planned, "learning rate"));
    assert_eq!(events[0]["tokens_per_step"].as_f64().unwrap(), value(&planned, "batch"));
    assert_eq!(events[0]["model"]["hidden_size"], planned["config"]["model"]["hidden_size"]);
}

#[test]
fn budgets_that_make_no_sense_are_refused() {
    for (arguments, words) in [
        ("--budget-flops x", ["--budget-flops", "1e20"]),
        ("--budget-flops 1e20 --hours 3", ["--budget-flops", "cannot be used with"]),
        ("--price 3", ["--hours", "--budget-flops"]),
        ("--budget-flops 1e21 --steps 5", ["--steps", "the budget decides it"]),
        ("--budget-flops 1e10", ["parameters", "smaller vocabulary"]),
        ("--budget-flops 1e25 --gpus 1", ["--gpus", "lacks"]),
        (
            "--budget-flops 1e20 --kind cpu --peak-flops 1 --memory 8 --memory-bandwidth 9",
            ["--watts", "give the watts"],
        ),
        ("--budget-flops 1e20 --lora-rank 4", ["--lora-rank", "trained weights"]),
    ] {
        run(&format!("plan {arguments}")).refuses(2, &words);
    }
}
