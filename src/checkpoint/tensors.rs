//! Safetensors in and out, by name, as f32 on the host.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::layout::{Entry, Format, layout};
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::model::{Init, ParamSource};

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers, row by row.
    pub values: Vec<f32>,
}

/// Tensors by name.
pub type HostTensors = BTreeMap<String, HostTensor>;

/// Reads the weights of a safetensors file; f16, bf16 and f64 are converted, integers refused.
///
/// # Errors
/// A file that is truncated, hostile, or holds other types.
pub fn read_safetensors(file: &str, bytes: &[u8]) -> Result<HostTensors> {
    let mut tensors = HostTensors::new();
    for (name, view) in parse(file, bytes)?.iter().filter(|(name, _)| !is_buffer(name)) {
        let values = floats(&view).ok_or_else(|| {
            let problem = format!("tensor `{name}` has type {:?}, not a float", view.dtype());
            Error::malformed(file, problem, "convert the weights to f32, f16 or bf16")
        })?;
        tensors.insert(name.into(), HostTensor { shape: view.shape().to_vec(), values });
    }
    Ok(tensors)
}

/// Reads the float tensors of a safetensors file and passes over all others.
///
/// # Errors
/// A file that is truncated or hostile.
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

/// Constants that some versions of transformers store among the weights.
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

/// Reads integers (`I64` or `I32`) of one tensor, as golden files store token ids.
pub fn read_ids(file: &str, bytes: &[u8], name: &str) -> Result<(Vec<usize>, Vec<u32>)> {
    let broken = |problem: String| Error::malformed(file, problem, "write the golden case anew");
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

/// Writes a safetensors file with PyTorch's format mark, which transformers asks for.
pub fn write_safetensors(tensors: &HostTensors) -> Result<Vec<u8>> {
    let failed = |e: safetensors::SafeTensorError| {
        Error::malformed("the weights", e.to_string(), "report this")
    };
    let bytes: BTreeMap<&String, (&[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, (tensor.shape.as_slice(), bytes))
        })
        .collect();
    let views: Vec<(&String, TensorView<'_>)> = bytes
        .iter()
        .map(|(name, (shape, bytes))| {
            TensorView::new(Dtype::F32, shape.to_vec(), bytes).map(|view| (*name, view))
        })
        .collect::<std::result::Result<_, _>>()
        .map_err(failed)?;
    let mark = [("format".to_string(), "pt".to_string())].into();
    safetensors::serialize(views, Some(mark)).map_err(failed)
}

/// Our parameters (or their gradients) under the file's names and in its layout.
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
    layout(c, Format::of(c)).iter().map(stack).collect()
}

/// Our parameters from a file's tensors.
///
/// # Errors
/// A tensor that is missing, has another shape, or belongs to nothing.
pub fn from_file_layout(
    c: &ModelConfig,
    file: &str,
    mut theirs: HostTensors,
) -> Result<HostTensors> {
    let mut ours: BTreeMap<String, BTreeMap<usize, Vec<f32>>> = BTreeMap::new();
    // A file lacks something of a layer before the layers outnumber its tensors: no need to list a billion.
    let listed = c.num_hidden_layers.min(theirs.len() + 1);
    let listed = ModelConfig { num_hidden_layers: listed, ..c.clone() };
    for entry in layout(&listed, Format::of(c)) {
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
        let values = match entry.transposed {
            true => transpose(&tensor.values, columns, rows),
            false => tensor.values,
        };
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
            format!("tensor `{name}` belongs to no part of the configured model"),
            "check that config.json belongs to these weights",
        ));
    }
    let join = |(name, pieces): (String, BTreeMap<usize, Vec<f32>>)| {
        let values: Vec<f32> = pieces.into_values().flatten().collect();
        (name, HostTensor { shape: vec![values.len()], values })
    };
    Ok(ours.into_iter().map(join).collect())
}

/// A tensor by its full name, or as older checkpoints without the language-model wrapper name it.
fn take(tensors: &mut HostTensors, name: &str) -> Option<HostTensor> {
    tensors.remove(name).or_else(|| {
        let bare = name.strip_prefix("transformer.").or_else(|| name.strip_prefix("model."))?;
        tensors.remove(bare)
    })
}

/// A source that gives [`crate::model::Decoder::new`] its parameters from `ours`.
pub fn tensor_source(mut ours: HostTensors, file: String) -> Box<ParamSource<'static>> {
    Box::new(move |name: &str, shape: &[usize], _: Init| {
        let missing = || Error::MissingTensor { name: name.into(), file: file.clone() };
        let tensor = ours.remove(name).ok_or_else(missing)?;
        if tensor.values.len() != shape.iter().product::<usize>() {
            let (expected, found) = (shape.to_vec(), tensor.shape);
            return Err(Error::Shape { name: name.into(), file: file.clone(), expected, found });
        }
        Ok(tensor.values)
    })
}

fn rows_of(entry: &Entry) -> usize {
    entry.parts.iter().map(|part| part.rows).sum()
}

/// `[rows, columns]` to `[columns, rows]`.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| values[row * columns + column]));
    }
    out
}
