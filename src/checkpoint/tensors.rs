//! Tensors on the host, and safetensors files.

use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::tensor::Tensor;
use safetensors::{Dtype, SafeTensors, View, tensor::TensorView};

use super::layout::{Architecture, Entry, layout};
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::model::{Decoder, Init, ParamSource, for_each_param, read_floats};

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Size of each dimension.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub values: Vec<f32>,
}

/// Tensors by name.
pub type HostTensors = BTreeMap<String, HostTensor>;

/// Returns the bytes that tensors take in memory.
pub fn bytes_of(tensors: &HostTensors) -> u64 {
    tensors.values().map(|tensor| size_of_val(&tensor.values[..]) as u64).sum()
}

/// Reads the weights of a safetensors file and converts f16, bf16 and f64 to f32.
///
/// # Errors
/// Returns an error if the file is truncated or inconsistent, or holds tensors of another dtype.
pub fn read_safetensors(file: &str, bytes: &[u8]) -> Result<HostTensors> {
    let mut tensors = HostTensors::new();
    for (name, view) in parse(file, bytes)?.iter().filter(|(name, _)| !is_buffer(name)) {
        let values = floats(&view).ok_or_else(|| {
            let problem =
                format!("tensor `{name}` has dtype {:?}, not a float dtype", view.dtype());
            Error::malformed(file, problem, "convert the weights to f32, f16 or bf16")
        })?;
        tensors.insert(name.into(), HostTensor { shape: view.shape().to_vec(), values });
    }
    Ok(tensors)
}

/// Reads the float tensors of a safetensors file and skips all others.
///
/// # Errors
/// Returns an error if the file is truncated or inconsistent.
pub fn read_float_tensors(file: &str, bytes: &[u8]) -> Result<HostTensors> {
    let tensor = |(name, view): (&str, TensorView<'_>)| {
        let values = floats(&view)?;
        Some((name.to_string(), HostTensor { shape: view.shape().to_vec(), values }))
    };
    Ok(parse(file, bytes)?.iter().filter_map(tensor).collect())
}

fn parse<'a>(file: &str, bytes: &'a [u8]) -> Result<SafeTensors<'a>> {
    let remedy = "the file is damaged or not a safetensors file: copy or download it again";
    SafeTensors::deserialize(bytes).map_err(|e| Error::malformed(file, e.to_string(), remedy))
}

/// Returns true for constants that some versions of transformers store among the weights.
fn is_buffer(name: &str) -> bool {
    [".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    Some(match view.dtype() {
        Dtype::F32 => {
            data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        }
        Dtype::F16 => {
            data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        Dtype::BF16 => {
            data.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        Dtype::F64 => data
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            .collect(),
        _ => return None,
    })
}

/// Reads the shape and values of a tensor of token ids (`I64` or `I32`), as golden files store them.
pub fn read_ids(file: &str, bytes: &[u8], name: &str) -> Result<(Vec<usize>, Vec<u32>)> {
    let broken =
        |problem: String| Error::malformed(file, problem, "generate the golden case again");
    let tensors = parse(file, bytes)?;
    let view = tensors
        .tensor(name)
        .map_err(|_| Error::MissingTensor { name: name.into(), file: file.into() })?;
    let data = view.data();
    let ids: Option<Vec<u32>> = match view.dtype() {
        Dtype::I64 => data
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
            .map(|id| u32::try_from(id).ok())
            .collect(),
        Dtype::I32 => data
            .chunks_exact(4)
            .map(|b| u32::try_from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])).ok())
            .collect(),
        _ => None,
    };
    let ids = ids.ok_or_else(|| broken(format!("`{name}` does not hold token ids")))?;
    Ok((view.shape().to_vec(), ids))
}

/// Writes a safetensors file with the metadata `format: pt`, which transformers requires. Needs the memory of the file and of one
/// tensor.
pub fn write_safetensors(tensors: &HostTensors) -> Result<Vec<u8>> {
    let mark = [("format".to_string(), "pt".to_string())].into();
    safetensors::serialize(tensors, Some(mark))
        .map_err(|e| Error::malformed("the weights", e.to_string(), "report this"))
}

impl View for &HostTensor {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        bytes.extend(self.values.iter().flat_map(|value| value.to_le_bytes()));
        bytes.into()
    }

    fn data_len(&self) -> usize {
        size_of_val(&self.values[..])
    }
}

/// Reads the model's parameters from the device.
pub async fn read_params(model: &Decoder) -> Result<HostTensors> {
    read_params_where(model, |_| true).await
}

/// Reads the parameters whose name is `wanted` from the device.
pub(super) async fn read_params_where(
    model: &Decoder,
    wanted: impl Fn(&str) -> bool,
) -> Result<HostTensors> {
    let mut params: Vec<(String, Vec<usize>, Tensor<1>)> = Vec::new();
    for_each_param(model, &mut |name, shape, value| {
        if wanted(name) {
            params.push((name.into(), shape.to_vec(), value));
        }
    });
    let mut tensors = HostTensors::new();
    for (name, shape, value) in params {
        tensors.insert(name, HostTensor { shape, values: read_floats(value).await? });
    }
    Ok(tensors)
}

/// Converts parameters (or their gradients) to the names and layout of the model's file format.
pub fn to_file_layout(c: &ModelConfig, ours: &HostTensors) -> HostTensors {
    let stack = |entry: &Entry| {
        let columns = entry.shape.iter().product::<usize>() / rows_of(entry);
        let mut values: Vec<f32> = Vec::with_capacity(rows_of(entry) * columns);
        for part in &entry.parts {
            let from = &ours[&part.param].values;
            values.extend(&from[part.start * columns..(part.start + part.rows) * columns]);
        }
        if entry.transposed {
            values = transpose(&values, rows_of(entry), columns);
        }
        (entry.name.clone(), HostTensor { shape: entry.shape.clone(), values })
    };
    layout(c, Architecture::of(c)).iter().map(stack).collect()
}

/// Converts a file's tensors to flattened parameters.
///
/// # Errors
/// Returns an error if a tensor is missing, has the wrong shape or does not belong to the model.
pub fn from_file_layout(
    c: &ModelConfig,
    file: &str,
    mut theirs: HostTensors,
) -> Result<HostTensors> {
    let mut ours: BTreeMap<String, BTreeMap<usize, Vec<f32>>> = BTreeMap::new();
    // Each layer has at least one tensor, so a hostile number of layers need not be listed in full.
    let listed = c.num_hidden_layers.min(theirs.len() + 1);
    let listed = ModelConfig { num_hidden_layers: listed, ..c.clone() };
    for entry in layout(&listed, Architecture::of(c)) {
        let tensor = take(&mut theirs, &entry.name)
            .ok_or_else(|| Error::MissingTensor { name: entry.name.clone(), file: file.into() })?;
        if tensor.shape != entry.shape {
            return Err(Error::Shape {
                name: entry.name,
                file: file.into(),
                expected: entry.shape,
                found: tensor.shape,
            });
        }
        let rows = rows_of(&entry);
        let columns = tensor.values.len() / rows;
        let values =
            if entry.transposed { transpose(&tensor.values, columns, rows) } else { tensor.values };
        let mut rest = values.as_slice();
        for part in entry.parts {
            let (rows, tail) = rest.split_at(part.rows * columns);
            ours.entry(part.param).or_default().insert(part.start, rows.to_vec());
            rest = tail;
        }
    }
    if c.tie_word_embeddings {
        take(&mut theirs, "lm_head.weight");
    }
    if let Some(name) = theirs.keys().next() {
        return Err(Error::malformed(
            file,
            format!("tensor `{name}` does not belong to the configured model"),
            "check that config.json belongs to these weights",
        ));
    }
    let join = |(name, pieces): (String, BTreeMap<usize, Vec<f32>>)| {
        let values: Vec<f32> = pieces.into_values().flatten().collect();
        (name, HostTensor { shape: vec![values.len()], values })
    };
    Ok(ours.into_iter().map(join).collect())
}

/// Takes a tensor by its full name, or by its name in checkpoints without the language-model head's wrapper.
fn take(tensors: &mut HostTensors, name: &str) -> Option<HostTensor> {
    tensors.remove(name).or_else(|| {
        let bare = name.strip_prefix("transformer.").or_else(|| name.strip_prefix("model."))?;
        tensors.remove(bare)
    })
}

/// Returns a source that provides the parameters in `ours` to [`Decoder::new`].
pub fn tensor_source(mut ours: HostTensors, file: String) -> Box<ParamSource<'static>> {
    Box::new(move |name: &str, shape: &[usize], _: Init| {
        let missing = || Error::MissingTensor { name: name.into(), file: file.clone() };
        let tensor = ours.remove(name).ok_or_else(missing)?;
        if tensor.values.len() != shape.iter().product::<usize>() {
            let expected = shape.to_vec();
            let found = tensor.shape;
            return Err(Error::Shape { name: name.into(), file: file.clone(), expected, found });
        }
        Ok(tensor.values)
    })
}

fn rows_of(entry: &Entry) -> usize {
    entry.parts.iter().map(|part| part.rows).sum()
}

/// Transposes `[rows, columns]` to `[columns, rows]`.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| values[row * columns + column]));
    }
    out
}
