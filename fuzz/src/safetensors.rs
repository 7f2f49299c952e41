//! Weights in safetensors files.

use std::collections::BTreeMap;

use blankslate::checkpoint::{
    HostTensor, HostTensors, read_float_tensors, read_ids, read_safetensors, write_safetensors,
};
use blankslate::error::Result;
use serde_json::{Value, json};

use super::{Target, memory_limit};

pub const TARGET: Target = Target { name: "safetensors", seeds, check, memory_limit };

const FILE: &str = "model.safetensors";

fn seeds() -> Vec<Vec<u8>> {
    let tensor = |shape: &[usize]| HostTensor {
        shape: shape.to_vec(),
        values: (0..shape.iter().product()).map(|value| value as f32).collect(),
    };
    let tensors = [("a.weight", tensor(&[2, 3])), ("b.bias", tensor(&[3])), ("c", tensor(&[]))];
    let tensors: HostTensors =
        tensors.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect();
    let halves = json!({
        "h": { "dtype": "F16", "shape": [2], "data_offsets": [0, 4] },
        "b": { "dtype": "BF16", "shape": [1, 2], "data_offsets": [4, 8] },
        "d": { "dtype": "F64", "shape": [1], "data_offsets": [8, 16] },
        "input_ids": { "dtype": "I64", "shape": [1, 1], "data_offsets": [16, 24] },
    });
    vec![write_safetensors(&tensors).expect("consistent tensors"), file(&halves, &[0; 24])]
}

/// Writes a safetensors file with any header.
fn file(header: &Value, body: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), body].concat()
}

fn check(input: &[u8]) -> Result<()> {
    // Golden files of the comparison with PyTorch.
    if let Ok((shape, ids)) = read_ids(FILE, input, "input_ids") {
        assert_eq!(ids.len(), shape.iter().product::<usize>());
    }
    let tensors = read_float_tensors(FILE, input)?;
    for tensor in tensors.values() {
        assert_eq!(tensor.values.len(), tensor.shape.iter().product::<usize>());
    }
    let written = write_safetensors(&tensors)?;
    let again = read_float_tensors(FILE, &written).expect("written weights can be read");
    assert_eq!(bits(&again), bits(&tensors));
    // The weights of a model, where other dtypes are refused and buffers are left out.
    if let Ok(weights) = read_safetensors(FILE, input) {
        assert!(weights.keys().all(|name| tensors.contains_key(name)));
    }
    Ok(())
}

/// Returns shapes and bits by name, since NaN differs from itself.
fn bits(tensors: &HostTensors) -> BTreeMap<&str, (&[usize], Vec<u32>)> {
    let of = |tensor: &HostTensor| tensor.values.iter().map(|value| value.to_bits()).collect();
    tensors.iter().map(|(name, tensor)| (&**name, (&*tensor.shape, of(tensor)))).collect()
}
