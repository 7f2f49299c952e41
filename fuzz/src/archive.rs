//! Zips of checkpoints.

use blankslate::checkpoint::{CONFIG, Files, TOKENIZER, WEIGHTS, pack_zip, unpack, unpack_zip};
use blankslate::error::Result;

use super::{Target, archive_memory_limit, directory};

pub const TARGET: Target = Target { name: "zip", seeds, check, memory_limit: archive_memory_limit };

const NAME: &str = "run.zip";

fn seeds() -> Vec<Vec<u8>> {
    let model = directory::model();
    let named = |name: &str, file: &str| (name.to_string(), model[file].clone());
    let flat: Files = model.clone();
    let inside = Files::from([
        named("run/config.json", CONFIG),
        named("run/model.safetensors", WEIGHTS),
        named("run/step-1/config.json", CONFIG),
        named("__MACOSX/run/._config.json", TOKENIZER),
    ]);
    [flat, inside].map(|files| pack_zip(&files).expect("names are unique")).into()
}

fn check(input: &[u8]) -> Result<()> {
    let files = unpack_zip(NAME, input)?;
    let packed = pack_zip(&files)?;
    let again = unpack_zip(NAME, &packed).expect("a packed zip can be unpacked");
    assert_eq!(again, files);
    unpack(files, NAME).map(drop)
}
