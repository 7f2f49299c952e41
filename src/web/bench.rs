//! The trainer as the peer benchmark drives it: given weights, given batches, one step at a time.

use std::cell::RefCell;
use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use wasm_bindgen::prelude::*;

use super::from_js;
use crate::checkpoint::{
    HostTensor, HostTensors, from_file_layout, read_params, tensor_source, to_file_layout,
};
use crate::config::{DataConfig, ModelConfig, TrainConfig};
use crate::data::{Batch, Corpus, Tokens, Windows};
use crate::error::Result;
use crate::kernels::linear::linear;
use crate::model::Decoder;
use crate::platform::{DeviceInfo, compile_ahead, open_device};
use crate::train::{StepReport, Trainer};

type JsResult<T> = std::result::Result<T, JsError>;

/// A trainer without a corpus.
#[wasm_bindgen]
pub struct Bench {
    trainer: RefCell<Trainer>,
    device: Device,
    info: DeviceInfo,
    reports: RefCell<BTreeMap<u64, StepReport>>,
}

#[wasm_bindgen]
impl Bench {
    /// A GPT-2 on `device` with the tensors named in `names` (as transformers names them), their `shapes`
    /// and `values`.
    pub async fn create(
        device: String,
        model: JsValue,
        train: JsValue,
        names: Vec<String>,
        shapes: JsValue,
        values: Vec<js_sys::Float32Array>,
    ) -> JsResult<Bench> {
        let (device, info) = open_device(&device).await?;
        let model: ModelConfig = from_js("model", model)?;
        let train: TrainConfig = from_js("train", train)?;
        let shapes: Vec<Vec<usize>> = from_js("shapes", shapes)?;
        let tensors = names.into_iter().zip(shapes).zip(values);
        let tensors: HostTensors = tensors
            .map(|((name, shape), values)| (name, HostTensor { shape, values: values.to_vec() }))
            .collect();
        let trainer = new_trainer(&device, &model, &train, tensors)?;
        if info.is_gpu() {
            compile_ahead(|| trainer.rehearse(), |_, _| ()).await?;
        }
        Ok(Self { trainer: RefCell::new(trainer), device, info, reports: RefCell::default() })
    }

    /// The adapter in use, and why where it was chosen.
    pub fn adapter(&self) -> String {
        let DeviceInfo { adapter, reason, .. } = &self.info;
        reason.as_ref().map_or(adapter.clone(), |reason| format!("{adapter}: {reason}"))
    }

    /// Makes a step on `rows` sequences; returns the number to ask its loss by.
    pub fn step(&self, inputs: Vec<u32>, targets: Vec<u32>, rows: usize) -> JsResult<u64> {
        let batch = Batch::new(inputs, targets, rows);
        let report = self.trainer.borrow_mut().step_on(&[batch])?;
        let step = report.step;
        self.reports.borrow_mut().insert(step, report);
        Ok(step)
    }

    /// The loss of a step.
    pub async fn loss(&self, step: u64) -> JsResult<f32> {
        let report = self.reports.borrow_mut().remove(&step);
        let report = report.ok_or_else(|| JsError::new("no such step"))?;
        Ok(report.read("this benchmark saves nothing").await?.loss)
    }

    /// A weight's values now.
    pub async fn param(&self, name: String) -> JsResult<Vec<f32>> {
        let model = self.trainer.borrow().model();
        let tensors = to_file_layout(model.config(), &read_params(&model).await?);
        let tensor = tensors.get(&name).ok_or_else(|| JsError::new("no such parameter"))?;
        Ok(tensor.values.clone())
    }

    /// Prepares the product of two square matrices.
    pub fn matmul(&self, size: usize, a: Vec<f32>, b: Vec<f32>) -> Product {
        Product::new(&self.device, &self.info, [size; 3], a, b)
    }
}

/// A matrix product to be timed: the projection that training uses.
#[wasm_bindgen]
pub struct Product {
    /// `[rows, depth]`.
    x: Tensor<2>,
    /// `[columns, depth]`, as the model keeps its weights.
    weight: Tensor<2>,
    adapter: String,
}

impl Product {
    /// Multiplies `a [rows, depth]` and `b [depth, columns]`.
    fn new(
        device: &Device,
        info: &DeviceInfo,
        [rows, depth, columns]: [usize; 3],
        a: Vec<f32>,
        b: Vec<f32>,
    ) -> Self {
        let matrix =
            |values, shape: [usize; 2]| Tensor::from_data(TensorData::new(values, shape), device);
        let transposed = (0..b.len()).map(|i| b[i % depth * columns + i / depth]).collect();
        Self {
            x: matrix(a, [rows, depth]),
            weight: matrix(transposed, [columns, depth]),
            adapter: info.adapter.clone(),
        }
    }

    fn compute(&self) -> Tensor<2> {
        linear(self.x.clone(), self.weight.clone(), None, None)
    }
}

#[wasm_bindgen]
impl Product {
    /// Prepares `a [rows, depth]` times `b [depth, columns]` on WebGPU.
    pub async fn create(
        rows: usize,
        depth: usize,
        columns: usize,
        a: Vec<f32>,
        b: Vec<f32>,
    ) -> JsResult<Product> {
        let (device, info) = open_device("webgpu").await?;
        Ok(Self::new(&device, &info, [rows, depth, columns], a, b))
    }

    /// The adapter in use.
    pub fn adapter(&self) -> String {
        self.adapter.clone()
    }

    /// Computes it and waits until it is there.
    pub async fn run(&self) -> JsResult<()> {
        let corner = self.compute().slice([0..1, 0..1]);
        crate::model::read_floats(corner.reshape([1])).await?;
        Ok(())
    }

    /// Values of the matrix.
    pub async fn read(&self) -> JsResult<Vec<f32>> {
        let product = self.compute();
        let count = product.shape().num_elements();
        Ok(crate::model::read_floats(product.reshape([count])).await?)
    }
}

fn new_trainer(
    device: &Device,
    model: &ModelConfig,
    train: &TrainConfig,
    tensors: HostTensors,
) -> Result<Trainer> {
    let file = "the benchmark's weights";
    let weights = from_file_layout(model, file, tensors)?;
    let source = &mut *tensor_source(weights, file.into());
    let decoder = Decoder::new(model, &device.clone().autodiff(), source)?;
    // Batches are given; the corpus is there for the rehearsal.
    let seq_len = model.max_position_embeddings;
    let corpus = Corpus::new(Tokens::from_ids(vec![0; seq_len + 1]));
    let data = DataConfig { seq_len, ..Default::default() };
    Trainer::new(decoder, train, Windows::new(corpus, &data, train.batch_size, 0)?)
}
