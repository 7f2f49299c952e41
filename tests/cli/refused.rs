//! Invalid input: messages and exit status.

use crate::support::{Place, SMALL, TEXT, run, run_with};

fn sample(place: &Place, model: &str) -> crate::support::Outcome {
    run(&format!("sample --device cpu --max-new-tokens 2 --model {}", place.at(model)))
}

#[test]
fn usage_errors_exit_with_2() {
    let help = run("");
    assert_eq!(help.code, Some(2));
    assert!(help.stderr.contains("Usage"), "{}", help.stderr);
    for (arguments, word) in [
        ("trian", "unrecognized subcommand 'trian' tip: a similar subcommand exists: 'train'"),
        ("train", "--out <DIR>"),
        ("train --steps many --out x", "invalid value 'many' for '--steps <N>'"),
        ("train --optimizer sgd --out x", "[possible values: adamw, muon]"),
        ("logits --model x", "--ids"),
        ("info", "--preset"),
    ] {
        run(arguments).refuses(2, &[word, "see --help"]);
    }
    let place = Place::new();
    for (flags, words) in [
        ("--steps 1 --batch-size 0", ["--batch-size must be at least 1", "not 0"]),
        ("--lr=-1", ["--lr must be at least 0", "not -1"]),
        ("--lr nan", ["nan", "it is not finite"]),
        ("--profile=0", ["--profile", "0 is not in 1.."]),
        ("--dropout 1.5", ["--dropout must be below 1", "not 1.5"]),
        ("--kv-heads 3", ["--kv-heads", "use a divisor of --heads"]),
        ("--tokenizer bpe", ["needs a vocabulary size", "bpe:N"]),
        ("--seq-len 0", ["--seq-len must be at least 1", "not 0"]),
        ("--document-boundaries", ["--document-boundaries", "end-of-text"]),
    ] {
        place.train("run", flags).refuses(2, &words);
    }
    run(&format!("train --data example:primes --out {}", place.at("run")))
        .refuses(2, &["`primes` is not a synthetic dataset", "stories, sums, sorting, reversing"]);
    run(&format!("train --preset huge --out {}", place.at("run"))).refuses(2, &["huge", "gpt2-xl"]);
    run(&format!("sample --model {} --temperature -1", place.at("run")))
        .refuses(2, &["--temperature must be at least 0, not -1"]);
}

#[test]
fn sizes_beyond_memory_are_refused_with_their_estimate() {
    let place = Place::new();
    for flags in [
        "--batch-size 1000000000",
        "--batch-size 18446744073709551615",
        "--layers 1000000",
        "--intermediate-size 1000000000",
        "--layers 1073741824 --intermediate-size 1073741824",
    ] {
        let words =
            ["the run needs about", "for activations), but this machine has", "lower --batch-size"];
        place.train("run", flags).refuses(2, &words);
    }
    for (flags, words) in [
        ("--grad-accum 1000000000", ["--grad-accum must be", "at most 2^16"]),
        ("--lr 1e300", ["--lr must be at most 3.4028235e38", "not 1e300"]),
        ("--lr inf", ["inf", "it is not finite"]),
        ("--heads 1073741824 --head-dim 512", ["--heads", "out of range together"]),
    ] {
        place.train("run", flags).refuses(2, &words);
    }
    let printed = run("info --preset llama-7b --batch-size 18446744073709551615").ok();
    assert!(printed.contains("EB for 18446744073709551615 x"), "{printed}");
}

#[test]
fn settings_files_must_be_settings() {
    let place = Place::new();
    for (json, words) in [
        (r#"{"train": {"learning_rate": 1}}"#, ["unknown key `learning_rate`", "lr"]),
        (r#"{"training": {}}"#, ["unknown key `training`", "model, train, data"]),
        (r#"{"model_type": "gpt2", "n_embd": 64}"#, ["config.json", r#"{"model": {"#]),
        (r#"{"train": {"steps": "many"}}"#, ["`train` of", "many"]),
        (r#"{"train": {"#, ["EOF", "it must be"]),
        ("[]", ["not an object", "it must be"]),
    ] {
        place.write("settings.json", json);
        let (config, out) = (place.at("settings.json"), place.at("run"));
        let code = if words[0].starts_with("unknown") { 2 } else { 1 };
        run(&format!("train --config {config} --out {out}")).refuses(code, &words);
    }
}

#[test]
fn data_must_be_enough_text() {
    let place = Place::new();
    let out = place.at("run");
    let train = |name: &str, bytes: &[u8], more: &str| {
        place.write(name, bytes);
        run(&format!("train {SMALL} --out {out} --data {} {more}", place.at(name)))
    };
    train("empty.txt", b"", "").refuses(1, &["empty.txt is empty", "non-empty"]);
    train("short.txt", b"too short", "")
        .refuses(1, &["8 tokens", "needs at least 17", "--seq-len"]);
    train("latin1.txt", b"caf\xe9 au lait", "")
        .refuses(1, &["latin1.txt is not UTF-8", "offset 3", "iconv"]);
    train("odd.bin", b"abc", "--tokenizer byte").refuses(1, &["3 bytes", "--token-width"]);
    let header = [20_240_520u32, 1, 1000].map(u32::to_le_bytes).concat();
    train("header.bin", &header, "--tokenizer byte")
        .refuses(1, &["its header ends after 12 bytes", "truncated"]);
    let whole = [header, vec![0; 1024 - 12]].concat();
    train("cut.bin", &whole, "--tokenizer byte")
        .refuses(1, &["header states 1000 tokens", "truncated"]);
    let strange: Vec<u8> = (0..500u16).flat_map(u16::to_le_bytes).collect();
    train("strange.bin", &strange, "--tokenizer byte --steps 9")
        .refuses(1, &["outside the vocabulary of 256"]);
    run(&format!("train {SMALL} --out {out} --data {}", place.at("nowhere")))
        .refuses(1, &["nowhere", "check the path"]);
    let stdin = format!("train {SMALL} --out {out} --steps 1 --data -");
    run_with(&stdin, b"\xff").refuses(1, &["standard input is not UTF-8"]);
    run_with(&stdin, TEXT.repeat(9).as_bytes()).ok();
}

#[test]
fn text_from_files_reaches_the_terminal_escaped_and_shortened() {
    let place = Place::new();
    place.train("model", "--steps 1 --tokenizer byte").ok();
    let is_safe = |text: &str| !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    let out = place.at("run");
    let refused = |name: &str, content: &str| {
        place.write(name, content);
        let outcome = run(&format!("train {SMALL} --out {out} --data {}", place.at(name)));
        assert!(is_safe(&outcome.stderr), "{:?}", outcome.stderr);
        assert!(outcome.stderr.len() < 10_000, "{} bytes", outcome.stderr.len());
        outcome
    };
    let escape = r#"{"\u001b]0;title\u0007\u009b31m": 1}"#;
    refused("a.jsonl", escape)
        .refuses(1, &[r"\u{1b}]0;title\u{7}\u{9b}31m", "line 1", "records may be"]);
    let endless = format!("{{\"{}\": 1}}", "k".repeat(5_000_000));
    refused("b.jsonl", &endless).refuses(1, &["more characters", "records may be"]);
    refused("c.jsonl", &format!("[{}]", "1,".repeat(1_000_000))).refuses(1, &["not JSON"]);

    // Keys that are not used are printed as they are found, on standard output.
    let unused =
        format!(r#"{{"text": "{}", "\u001b[2J_id": 1}}"#, "she sells sea shells ".repeat(20));
    place.write("d.jsonl", unused);
    let trained =
        run(&format!("train {SMALL} --steps 1 --out {out} --data {}", place.at("d.jsonl")));
    let printed = trained.ok();
    assert!(is_safe(&printed) && printed.contains(r"not used: \u{1b}[2J_id"), "{printed}");

    // Text that is written to a file or a program stays as it is, in JSON with escapes.
    let sample = |more: &str| {
        let model = place.at("model");
        run_with(
            &format!("sample --device cpu --max-new-tokens 1 --model {model} --prompt - {more}"),
            "she\u{9b}31m\u{1b}[0m".as_bytes(),
        )
    };
    assert!(sample("").ok().starts_with("she\u{9b}31m\u{1b}[0m"));
    let json = sample("--json").ok();
    assert!(is_safe(&json), "{json:?}");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["prompt"], "she\u{9b}31m\u{1b}[0m");
}

#[test]
fn text_in_another_encoding_is_refused_by_its_name() {
    let place = Place::new();
    let text: Vec<u16> = "she sells sea shells".repeat(40).encode_utf16().collect();
    let little = text.iter().flat_map(|unit| unit.to_le_bytes());
    let big = text.iter().flat_map(|unit| unit.to_be_bytes());
    for (mark, units) in
        [([0xff, 0xfe], little.collect::<Vec<u8>>()), ([0xfe, 0xff], big.collect())]
    {
        place.write("utf16.txt", [mark.to_vec(), units].concat());
        let (out, data) = (place.at("run"), place.at("utf16.txt"));
        run(&format!("train {SMALL} --out {out} --data {data}"))
            .refuses(1, &["utf16.txt is UTF-16 text", "`iconv -f UTF-16 -t utf-8`"]);
    }
}

#[test]
fn vocabularies_must_hold_their_alphabet() {
    let place = Place::new();
    place
        .train("run", "--tokenizer bpe:100")
        .refuses(1, &["vocabulary of 100 is too small", "256"]);
    let (out, text) = (place.at("t.json"), place.at("text.txt"));
    run(&format!("tokenizer train --kind char --vocab-size 3 --out {out} {text}"))
        .refuses(1, &["vocabulary of 3 is too small", "distinct characters"]);
}

#[test]
fn damaged_models_are_refused() {
    let place = Place::with_model();
    let weights = place.read("model/model.safetensors");
    place.copy_of_model("damaged");
    for (bytes, words) in [
        (&weights[..weights.len() / 2], ["model.safetensors cannot be read", "again"]),
        (&weights[..5], ["model.safetensors cannot be read", "again"]),
        (&[0xff; 64], ["model.safetensors cannot be read", "again"]),
        (b"\x02\0\0\0\0\0\0\0{}", ["tensor `transformer", "is missing from"]),
    ] {
        place.write("damaged/model.safetensors", bytes);
        sample(&place, "damaged").refuses(1, &words);
    }

    place.copy_of_model("wider");
    let config = String::from_utf8(place.read("model/config.json")).unwrap();
    place.write("wider/config.json", config.replace("\"n_embd\": 16", "\"n_embd\": 32"));
    sample(&place, "wider").refuses(1, &["has shape", "needs", "config.json"]);
    place.write("wider/config.json", config.replace("\"gpt2\"", "\"mamba\""));
    sample(&place, "wider").refuses(1, &["mamba", "GPT-2, Llama"]);
    place.write("wider/config.json", &config[..40]);
    sample(&place, "wider").refuses(1, &["config.json cannot be read"]);

    let tokenizer = place.read("model/tokenizer.json");
    let deep = "[".repeat(100_000);
    let huge =
        r#"{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 4000000000}, "merges": []}}"#;
    for bytes in [&tokenizer[..tokenizer.len() / 2], deep.as_bytes(), huge.as_bytes(), b"{}"] {
        place.copy_of_model("words");
        place.write("words/tokenizer.json", bytes);
        sample(&place, "words").refuses(1, &["tokenizer.json cannot be read"]);
    }
    std::fs::remove_file(place.path("words/tokenizer.json")).unwrap();
    sample(&place, "words").refuses(1, &["tokenizer.json is missing", "trained with"]);
    std::fs::create_dir(place.path("hollow")).unwrap();
    sample(&place, "hollow").refuses(1, &["config.json is missing", "checkpoint directory"]);
}

// Windows reports other errors for a file in the place of a directory, and the reverse.
#[cfg(unix)]
#[test]
fn a_wrong_path_is_named_with_what_was_expected() {
    let place = Place::with_model();
    place.write("README.md", "# A model, they say\n");
    place.write("empty.txt", "");
    std::fs::create_dir(place.path("hollow")).unwrap();
    let at = |words: &str| {
        let words = words.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => place.at(name),
            None => word.into(),
        });
        run(&words.collect::<Vec<_>>().join(" "))
    };
    // Every command that opens a model.
    for command in [
        "sample --device cpu --model",
        "sample --device cpu --model @model --draft",
        "chat --device cpu --model",
        "eval --device cpu --model",
        "logits --device cpu --ids 1 --model",
        "info --model",
        "train --device cpu --data @text.txt --out @out --from",
    ] {
        let model =
            |name: &str, words: &[&str]| at(&format!("{command} @{name}")).refuses(1, words);
        let forms = "give a run, a checkpoint, a transformers directory, a zip of one, or a .gguf";
        model("README.md", &["README.md", "this file is no model", forms]);
        model("empty.txt", &["empty.txt", "this file is no model", forms]);
        model("nowhere", &["nowhere", "there is no such file or folder", forms]);
        model("nowhere.zip", &["nowhere.zip", "there is no such file or folder", forms]);
        model("hollow", &["config.json is missing from", "hollow", "model.safetensors"]);
    }
    let train = "train --device cpu --steps 1 --data @text.txt --out";
    for (command, code, words) in [
        ("--tokenizer bep:300", 2, ["bep:300 is neither a file nor a kind", "bpe:N"]),
        ("--tokenizer @hollow", 1, ["hollow/tokenizer.json", "check the path"]),
        ("--tokenizer @model/config.json", 1, ["model/config.json cannot be read", "tokenizers"]),
        ("--config @hollow", 1, ["hollow", "expected a file but found a directory"]),
        ("--val-data @nowhere", 1, ["nowhere", "check the path"]),
    ] {
        at(&format!("{train} @out {command}")).refuses(code, &words);
    }
    at(&format!("{train} @README.md"))
        .refuses(1, &["README.md", "expected a directory but found a file"]);
    let resume = "train --resume --device cpu --data @text.txt --out";
    at(&format!("{resume} @README.md"))
        .refuses(1, &["README.md", "expected a directory but found a file"]);
    at(&format!("{resume} @hollow")).refuses(1, &["training_state.json is missing", "hollow"]);
    let encode = "tokenizer encode --tokenizer";
    at(&format!("{encode} @README.md")).refuses(1, &["README.md cannot be read", "--pattern"]);
    at(&format!("{encode} @README.md --pattern gpt2")).refuses(1, &["README.md cannot", "line 1"]);
    at(&format!("{encode} @empty.txt --pattern gpt2"))
        .refuses(1, &["empty.txt cannot", "no tokens"]);
    at(&format!("{encode} @nowhere")).refuses(1, &["nowhere", "check the path"]);
    at("tokenizer train --vocab-size 300 --out @hollow @text.txt")
        .refuses(1, &["hollow", "expected a file but found a directory"]);
    for golden in ["README.md", "hollow", "nowhere"] {
        at(&format!("check --device cpu --golden @{golden}"))
            .refuses(1, &["config.json is missing from", golden, "make_golden.py"]);
    }
    // The message about a damaged file includes its folder.
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        place.copy_of_model("damaged");
        place.write(&format!("damaged/{file}"), &place.read(&format!("model/{file}"))[..60]);
        sample(&place, "damaged").refuses(1, &[&format!("damaged/{file} cannot be read")]);
    }
    place.copy_of_model("cut");
    place.write("cut/training_state.json", "{");
    at(&format!("{resume} @cut"))
        .refuses(1, &["cut/training_state.json cannot be read", "it ends too early"]);
}

#[test]
fn ids_and_prompts_must_fit_the_model() {
    let place = Place::with_model();
    let model = place.at("model");
    let logits = |ids: &str| run(&format!("logits --device cpu --model {model} --ids {ids}"));
    logits("1,999").refuses(1, &["token id 999", "outside the vocabulary"]);
    logits("99999999999").refuses(1, &["token id 99999999999"]);
    logits(&["1"; 33].join(",")).refuses(1, &["33 tokens", "context of 16"]);
    let prompt = format!("sample --device cpu --model {model} --prompt -");
    run_with(&prompt, TEXT.as_bytes()).refuses(1, &["do not fit", "context of 16", "shorten"]);
    run_with(&prompt, b"\xc3").refuses(1, &["standard input is not UTF-8", "offset 0"]);
    run_with(&prompt, "snow: \u{2603}".as_bytes()).refuses(1, &["no token for", "byte-level"]);
    let tokenizer = place.at("model/tokenizer.json");
    let decode = format!("tokenizer decode --tokenizer {tokenizer}");
    run_with(&decode, b"1 two 3").refuses(1, &["`two` is not a token id"]);
    run_with(&decode, b"1 999").refuses(1, &["token id 999"]);
}

#[test]
fn devices_must_exist() {
    let place = Place::new();
    let train = |device| {
        let (out, data) = (place.at("run"), place.at("text.txt"));
        run(&format!("train --preset tiny --device {device} --out {out} --data {data} --steps 1"))
    };
    train("tpu").refuses(1, &["device tpu", "use auto, cpu, wgpu"]);
    train("cuda:x").refuses(1, &["device cuda:x"]);
    if !cfg!(feature = "cuda") {
        train("cuda").refuses(1, &["built without CUDA", "--features cuda"]);
    }
}

#[test]
fn runs_are_not_overwritten_nor_mixed_up() {
    let place = Place::with_model();
    place.train("model", "--steps 4").refuses(2, &["already holds a run", "--resume"]);
    place.resume("nothing", "").refuses(1, &["training_state.json is missing", "--out"]);
    place.resume("model", "--steps 3").refuses(2, &["--steps", "has done 4 steps"]);
    place.resume("model", "--steps 9 --hidden-size 32").refuses(2, &["cannot be changed", "--out"]);
    place.write("text.txt", TEXT.to_uppercase().repeat(40));
    place.resume("model", "--steps 9").refuses(1, &["no token for"]);
    place.write("text.txt", TEXT.repeat(41));
    place
        .resume("model", "--steps 9")
        .refuses(2, &["is not what this run was trained on", "same data"]);
}

/// With the feature, `tests/mpi/refused.rs` tests what is refused.
#[cfg(not(feature = "mpi"))]
#[test]
fn several_ranks_need_a_build_with_mpi() {
    let place = Place::new();
    let words = ["--parallel: 2 processes", "built without MPI", "--features mpi"];
    place.train("run", "--parallel dp=2").refuses(2, &words);
    let arguments = place.train_arguments("run", "--steps 1");
    let launched = crate::support::command(&arguments).env("OMPI_COMM_WORLD_SIZE", "2").output();
    crate::support::outcome(launched.unwrap()).refuses(2, &words);
    place.train("run", "--parallel pp=2").refuses(2, &words);
    place.train("run", "--parallel dp=2,pp=2").refuses(2, &["--parallel: 4 processes"]);
    for form in ["2", "dp=0", "pp=2,pp=2", "tp=2"] {
        place.train("run", &format!("--parallel {form}")).refuses(2, &["--parallel", "use dp=N"]);
    }
    let other = place.train("run", "--pipeline-schedule interleaved");
    other.refuses(2, &["--pipeline-schedule", "gpipe, 1f1b"]);
    place.train("run", "--parallel dp=1 --steps 1").ok();
}
