//! What several test files share: the golden folders, devices, and small models.

#![allow(dead_code, reason = "every test file uses its own part")]

use std::path::{Path, PathBuf};

use blankslate::check::GoldenCase;
use blankslate::platform::{block_on, open_device};
use burn::tensor::Device;

/// A file or folder beside the repository that tests may read; None, loudly, where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if !path.exists() {
        eprintln!("SKIPPED: {} is absent", path.display());
        return None;
    }
    Some(path)
}

/// A golden case that the project carries.
pub fn golden(name: &str) -> GoldenCase {
    read_golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden").join(name))
}

/// A golden case from any folder.
pub fn read_golden(folder: &Path) -> GoldenCase {
    let read = |file: &str| std::fs::read(folder.join(file)).expect(file);
    GoldenCase {
        name: folder.file_name().expect("a name").to_string_lossy().into(),
        config: read("config.json"),
        model: read("model.safetensors"),
        io: read("io.safetensors"),
        train: read("train.json"),
    }
}

/// The CPU device.
pub fn cpu() -> Device {
    block_on(open_device("cpu")).expect("the CPU is always there").0
}
