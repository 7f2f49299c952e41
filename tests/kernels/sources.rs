//! Rules for GPU kernels that only CUDA would show to be broken, checked in the sources.

use std::fs;
use std::path::{Path, PathBuf};

fn gpu_sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernels"), &mut paths);
    let is_gpu = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "gpu");
    paths.retain(|path| path.ends_with("gpu.rs") || is_gpu(path));
    assert!(paths.len() > 10, "{paths:?}");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("UTF-8");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// Inside a kernel, the length of a slice is that of its allocation, which CUDA pads.
#[test]
fn kernels_take_lengths_as_arguments() {
    let mut kernels = 0;
    for (path, text) in gpu_sources() {
        for item in text.split("#[cube").skip(1) {
            // rustfmt ends an item at the beginning of a line.
            let body = item.split("\n}\n").next().expect("an item");
            kernels += 1;
            assert!(!body.contains(".len()"), "{}: {body}", path.display());
        }
    }
    assert!(kernels > 30, "{kernels} kernels and their parts");
}

/// burn's tensors may have gaps between rows: `gpu::input` and `gpu::output` are the only ways into a kernel.
#[test]
fn tensors_become_arguments_in_one_place() {
    for (path, text) in gpu_sources() {
        let shared = path.ends_with("kernels/gpu.rs");
        assert_eq!(text.contains("into_buffer_arg"), shared, "{}", path.display());
    }
}
