//! `blankslate data prepare` and `inspect`: formats, layouts, filters, and refusals.

use std::fs;

use serde_json::json;

use crate::data_support::{
    document, end_of_text, files, json_lines, manifest, place_with_tokenizer, prepare, prepared,
    read_llmc, read_nanogpt, require_same, texts,
};
use crate::support::{Place, run, run_with};

/// Two frames with a skippable one between them, of `zstd -19 --check` and `zstd`.
const ZST: &str = "28b52ffd242b45010014027b2274657874223a20226f6e652066697368227d0a74776f5c6e66697368227d0a0100719b4cfb0d8ae7502a4d1804000000736b697028b52ffd242b45010014027b2274657874223a20227265642066697368227d0a626c75652066697368227d0a0100719b4c336dafc0";
/// Two streams of `xz -9e` and `xz`.
const XZ: &str = "fd377a585a000004e6d6b446020021011c00000010cf58cce0002a00235d003d888a86948813e0f38724b7683609827c818b9d3ff83bc5b68e5651e74ae28fb6294000007c06cdc03a33eaed00013f2b5766e4d41fb6f37d010000000004595afd377a585a000004e6d6b4460200210116000000742fe5a3e0002a00225d003d888a86948813e0f38724b8872a52320e16d39ae6cf2828363ef338c8fefaa27fe00000009eb7595e9aaa017700013e2b1657ffcd1fb6f37d010000000004595a";
/// Two members of `gzip`.
const GZ: &str = "1f8b0800000000000003ab562a49ad2851b25250cacf4b5548cb2cce50aae5aa860b9694e7c7e441450119f06b162b0000001f8b0800000000000003ab562a49ad2851b252502a4a4d5148cb2cce50aae5aa860b26e594a6c2440193c96a8a2b000000";

/// Contents of [`ZST`], [`XZ`] and [`GZ`].
const FISH: &str = "{\"text\": \"one fish\"}\n{\"text\": \"two\\nfish\"}\n{\"text\": \"red fish\"}\n{\"text\": \"blue fish\"}\n";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// The training tokens of prepared data, whose shards have llm.c's header.
fn tokens(place: &Place, out: &str) -> Vec<u16> {
    let shards = manifest(place, out)["train"]["shards"].as_array().unwrap().clone();
    let read = |shard: &serde_json::Value| {
        read_llmc(&place.read(&format!("{out}/{}", shard["file"].as_str().unwrap())))
    };
    shards.iter().flat_map(read).collect()
}

#[test]
fn every_format_and_compression_gives_the_same_tokens() {
    let place = place_with_tokenizer();
    place.write("a.jsonl", FISH);
    place.write("a.jsonl.zst", bytes(ZST));
    place.write("a.jsonl.xz", bytes(XZ));
    place.write("a.ndjson.gz", bytes(GZ));
    place.write(
        "a.txt",
        "one fish<|endoftext|>\ntwo\nfish\n<|endoftext|>red fish<|endoftext|>blue fish\n",
    );
    place.write("a.csv", "id,text\r\n1,one fish\r\n2,\"two\nfish\"\r\n3,red fish\r\n4,blue fish");
    place.write("a.tsv", "text\tid\none fish\t1\n\"two\nfish\"\t2\nred fish\t3\nblue fish\t4\n");
    let inputs = ["a.jsonl", "a.jsonl.zst", "a.jsonl.xz", "a.ndjson.gz", "a.txt", "a.csv", "a.tsv"];
    for input in inputs {
        let more = format!("--val-fraction 0 --separator <|endoftext|> {}", place.at(input));
        let out = format!("out-{input}");
        let report = &run(&prepare(&place, &out, &format!("{more} --json"))).json()[0];
        assert_eq!(report["train"]["documents"], 4, "{input}");
        let found = texts(&place, &tokens(&place, &out));
        assert_eq!(found, ["one fish", "two\nfish", "red fish", "blue fish"], "{input}");
        let source = &manifest(&place, &out)["sources"][0];
        assert_eq!(source["bytes"], fs::metadata(place.path(input)).unwrap().len());
        assert_eq!(source["documents"], 4);
    }
    let stdin = prepare(&place, "stdin", "--val-fraction 0 --format jsonl -");
    run_with(&stdin, FISH.as_bytes()).ok();
    assert_eq!(tokens(&place, "stdin"), tokens(&place, "out-a.jsonl"));
    // A folder has its files in the order of their names, without those of other formats.
    fs::create_dir(place.path("folder")).unwrap();
    place.write("folder/2.jsonl", FISH);
    place.write("folder/1.md", "zero fish");
    place.write("folder/script.py", "no fish");
    let folder = run(&prepare(&place, "both", &format!("--val-fraction 0 {}", place.at("folder"))));
    assert!(folder.stderr.contains("1 files in"), "{}", folder.stderr);
    folder.ok();
    let found = texts(&place, &tokens(&place, "both"));
    assert_eq!(found.join("|"), "zero fish|one fish|two\nfish|red fish|blue fish");
}

#[test]
fn readers_of_llmc_and_nanogpt_read_their_layouts() {
    let place = place_with_tokenizer();
    let end = end_of_text(&place);
    let expected: Vec<String> = (0..300).map(document).collect();
    let more = "--val-fraction 0.1 --shard-tokens 4000";
    prepared(&place, "fish", 0..300, &format!("{more} --layout llm.c")).ok();
    let names: Vec<String> = files(&place.path("fish")).into_keys().collect();
    let shards: Vec<&String> = names.iter().filter(|name| name.ends_with(".bin")).collect();
    assert!(shards.len() > 3 && shards.contains(&&"fish_train_000000.bin".to_string()));
    let mut found = Vec::new();
    for (index, name) in shards.iter().enumerate() {
        let tokens = read_llmc(&place.read(&format!("fish/{name}")));
        assert_eq!(tokens[0], end, "a document begins with its end-of-text token");
        assert!(tokens.len() <= 4000, "{index}");
        found.extend(texts(&place, &tokens));
    }
    found.sort();
    let mut sorted = expected.clone();
    sorted.sort();
    assert_eq!(found, sorted);

    prepared(&place, "nano", 0..300, "--val-fraction 0.1 --layout nanogpt").ok();
    let [train, val] = ["train", "val"].map(|split| {
        let tokens = read_nanogpt(&place.read(&format!("nano/{split}.bin")));
        assert_eq!(tokens.last(), Some(&end));
        texts(&place, &tokens)
    });
    assert!(val.len() > 10 && val.len() < 60, "{}", val.len());
    // In the order of the file, but for those that are in the other split.
    let rest: Vec<String> = expected.into_iter().filter(|text| !val.contains(text)).collect();
    assert_eq!(train, rest);
    place.write("x.jsonl", FISH);
    let input = place.at("x.jsonl");
    run(&prepare(&place, "no", &format!("--layout nanogpt --shard-tokens 10 {input}")))
        .refuses(2, &["--shard-tokens", "one file"]);
}

#[test]
fn the_number_of_workers_changes_no_byte() {
    let place = place_with_tokenizer();
    place.write("b.txt", json_lines(5000..9000));
    let more = |workers: usize| {
        let rules = "--dedup minhash --shuffle-documents --seed 3 --shard-tokens 20k";
        format!("{rules} --workers {workers} {}", place.at("b.txt"))
    };
    let run_with_workers = |out: &str, workers| {
        prepared(&place, out, 0..20_000, &more(workers)).ok();
        // The path of the source is in the manifest.
        let text = String::from_utf8(place.read(&format!("{out}/manifest.json"))).unwrap();
        place.write(&format!("{out}/manifest.json"), text.replace(&place.at(out), "x"));
    };
    run_with_workers("one", 1);
    run_with_workers("three", 3);
    assert!(files(&place.path("one")).len() > 30);
    require_same(&place, "one", "three");
}

#[test]
fn documents_are_shuffled_by_seed_and_none_is_lost() {
    let place = place_with_tokenizer();
    let order = |out: &str, more: &str| {
        prepared(&place, out, 0..60, &format!("--val-fraction 0 {more}")).ok();
        texts(&place, &tokens(&place, out))
    };
    let plain = order("plain", "");
    let one = order("one", "--shuffle-documents --seed 1");
    let two = order("two", "--shuffle-documents --seed 2");
    let again = order("again", "--shuffle-documents --seed 1 --shard-tokens 100");
    assert!(one != plain && one != two && one == again);
    for mut shuffled in [one, two] {
        shuffled.sort();
        let mut sorted = plain.clone();
        sorted.sort();
        assert_eq!(shuffled, sorted);
    }
}

#[test]
fn duplicates_and_short_documents_are_left_out() {
    let place = place_with_tokenizer();
    let near = |text: &str| json!({"text": format!("{}!", text.to_uppercase())}).to_string() + "\n";
    let mut lines = json_lines(0..200);
    lines += &json_lines(0..50);
    lines += &(100..130).map(|number| near(&document(number))).collect::<String>();
    lines += "{\"text\": \"short\"}\n{\"text\": null}\n{\"text\": \"\"}\n";
    place.write("d.jsonl", lines);
    let count = |out: &str, more: &str| {
        let more = format!("--json {more} {}", place.at("d.jsonl"));
        let report = run(&prepare(&place, out, &more)).json().remove(0);
        let [train, val] =
            ["train", "val"].map(|split| report[split]["documents"].as_u64().unwrap());
        let left_out = &report["left_out"];
        (train + val, left_out["short"].as_u64().unwrap(), left_out["duplicates"].as_u64().unwrap())
    };
    assert_eq!(count("all", ""), (281, 2, 0));
    assert_eq!(count("min", "--min-chars 6"), (280, 3, 0));
    assert_eq!(count("exact", "--dedup exact --min-chars 6"), (230, 3, 50));
    assert_eq!(count("minhash", "--dedup minhash --min-chars 6"), (200, 3, 80));
}

#[test]
fn inspection_counts_documents_and_finds_damage() {
    let place = place_with_tokenizer();
    for layout in ["blankslate", "llm.c", "nanogpt"] {
        let license = "--license CC-BY-4.0 --val-fraction 0.2";
        prepared(&place, layout, 0..500, &format!("--layout {layout} {license}")).ok();
        let found = run(&format!("data inspect {} --json --samples 4", place.at(layout))).json();
        let manifest = manifest(&place, layout);
        for split in ["train", "val"] {
            let (found, recorded) = (&found[0][split], &manifest[split]);
            assert_eq!(found["documents"], recorded["documents"], "{layout} {split}");
            assert_eq!(found["tokens"], recorded["tokens"]);
            let histogram = found["histogram"].as_object().unwrap();
            let documents: u64 = histogram.values().map(|count| count.as_u64().unwrap()).sum();
            assert_eq!(documents, recorded["documents"].as_u64().unwrap());
            let mean = found["mean"].as_f64().unwrap();
            let without_ends = (mean + 1.0) * documents as f64;
            assert!(
                (without_ends - recorded["tokens"].as_f64().unwrap()).abs() < 1e-6 * without_ends
            );
        }
        assert_eq!(
            (&found[0]["license"], &found[0]["checksums"]),
            (&json!("CC-BY-4.0"), &json!("verified"))
        );
        let samples = found[0]["samples"].as_array().unwrap();
        assert!(
            samples.len() == 4
                && samples.iter().all(|text| text.as_str().unwrap().starts_with("Number "))
        );
    }
    let text = run(&format!("data inspect {}", place.at("llm.c"))).ok();
    for words in ["CC-BY-4.0", "training: ", "validation: ", "sample: Number ", "50 % ", "####"] {
        assert!(text.contains(words), "`{words}` is not in {text}");
    }
    let shard = "blankslate/train-000000.bin";
    let whole = place.read(shard);
    let mut damaged = whole.clone();
    damaged[2000] ^= 1;
    place.write(shard, &damaged);
    let inspect = format!("data inspect {}", place.at("blankslate"));
    run(&inspect).refuses(1, &["train-000000.bin", "SHA-256", "copy it again"]);
    place.write(shard, &whole[..whole.len() - 2]);
    run(&inspect).refuses(1, &["train-000000.bin", "bytes, but the manifest records"]);
    fs::remove_file(place.path(shard)).unwrap();
    run(&inspect).refuses(1, &["train-000000.bin", "check the path"]);
    run(&format!("data inspect {}", place.at("."))).refuses(1, &["manifest.json is missing"]);
}

#[test]
fn damaged_inputs_are_named_and_what_came_before_is_kept() {
    let place = place_with_tokenizer();
    let refused = |name: &str, content: &[u8], words: &[&str]| {
        place.write(name, content);
        let out = format!("out-{name}");
        let more = format!("--val-fraction 0 {}", place.at(name));
        run(&prepare(&place, &out, &more)).refuses(1, &[&[name][..], words].concat());
    };
    let (gz, xz, zst) = (bytes(GZ), bytes(XZ), bytes(ZST));
    refused("cut.jsonl.gz", &gz[..gz.len() - 3], &["damaged or incomplete"]);
    refused("cut.jsonl.xz", &xz[..xz.len() - 30], &["damaged or incomplete"]);
    refused("cut.jsonl.zst", &zst[..zst.len() - 3], &["damaged or incomplete"]);
    for (name, mut bytes) in [("bad.jsonl.gz", gz), ("bad.jsonl.xz", xz), ("bad.jsonl.zst", zst)] {
        bytes[30] ^= 4;
        refused(name, &bytes, &[]);
    }
    refused("a.jsonl", b"{\"text\": \"a\"}\n\n{\"text\": 5}\n", &["line 3", "correct or remove"]);
    refused("b.jsonl", b"{\"content\": \"a\"}\n", &["line 1", "`content`", "--text-field"]);
    refused("c.csv", b"id,body\n1,a\n", &["no column `text`, but id, body", "--text-field"]);
    refused("d.txt", b"good\xff", &["not UTF-8", "offset 4"]);
    // A repaired file is another input.
    let input = place.at("e.jsonl");
    let broken = json_lines(0..9000) + "{broken\n";
    place.write("e.jsonl", &broken);
    let command = prepare(&place, "e", &input);
    run(&command).refuses(1, &["e.jsonl", "line 9001"]);
    run(&command).refuses(1, &["e.jsonl", "line 9001"]);
    assert!(place.path("e/.prepare/journal.jsonl").exists());
    run(&format!("train --preset tiny --data {} --out {}", place.at("e"), place.at("run")))
        .refuses(1, &["was not finished", "the same command"]);
    place.write("e.jsonl", json_lines(0..9000));
    run(&command).refuses(2, &["e.jsonl was another input or has changed"]);
    fs::remove_dir_all(place.path("e")).unwrap();
    run(&command).ok();
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let place = place_with_tokenizer();
    place.write("a.jsonl", FISH);
    let input = place.at("a.jsonl");
    let refuses = |more: &str, words: &[&str]| {
        run(&prepare(&place, "out", more)).refuses(2, words);
        assert!(!place.path("out").exists());
    };
    place.write("a.json", "[]");
    refuses(&place.at("a.json"), &["a.json", "jq"]);
    place.write("a.parquet", "");
    refuses(&place.at("a.parquet"), &["a.parquet", "DuckDB"]);
    place.write("a.pdf", "");
    refuses(&place.at("a.pdf"), &["a.pdf", "--format"]);
    refuses(&format!("--memory 1M {input}"), &["at least 256M"]);
    refuses(&format!("--val-fraction 1 {input}"), &["--val-fraction", "below 1"]);
    refuses("- -", &["standard input", "once"]);
    let bytes = place.at("bytes.json");
    run(&format!("tokenizer train --kind byte --out {bytes} {}", place.at("text.txt"))).ok();
    run(&format!("data prepare --tokenizer {bytes} --out {} {input}", place.at("out")))
        .refuses(2, &["--tokenizer", "no end-of-text token", "--special-token"]);
    run(&prepare(&place, "out", &input)).ok();
    // Repeating the command finds complete data; a different command changes nothing.
    let again = run(&prepare(&place, "out", &input)).ok();
    assert!(again.contains("complete already"), "{again}");
    run(&prepare(&place, "out", &format!("--seed 2 {input}")))
        .refuses(2, &["holds other prepared data"]);
    fs::create_dir(place.path("full")).unwrap();
    place.write("full/thesis.tex", "");
    run(&prepare(&place, "full", &input)).refuses(2, &["not empty", "thesis.tex"]);
}
