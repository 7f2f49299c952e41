//! Passes of one rank in a step: its part of the model over its micro-batches, in the order of a schedule.

use std::collections::VecDeque;

use burn::tensor::{Device, FloatDType, Tensor};

use crate::data::Batch;
use crate::error::Result;
use crate::kernels::precision;
use crate::model::{Decoder, Kept, NamedGradients, Part, TOKEN_TABLE, Upstream};
use crate::objective::{DeviceValues, GradientOptions, MicroBatch, Objective};
use crate::optim::put;
use crate::parallel::{Mesh, Pass, Pending};

/// The passes of one step.
pub(super) struct Passes<'a> {
    /// The part of the model that this rank trains.
    pub part: &'a Part,
    /// Groups of ranks, whose pipeline has the other parts.
    pub mesh: &'a Mesh,
    pub objective: &'a dyn Objective,
    pub model: &'a Decoder,
    pub batches: &'a [Batch],
    /// Options of each micro-batch.
    pub options: &'a [GradientOptions],
    /// Number of the step, for errors.
    pub step: u64,
}

/// Tensors from other stages that a pass starts with.
#[derive(Default)]
struct Inputs {
    /// The residual stream, or its gradient.
    residual: Option<Pending>,
    /// The gradient of a tied embedding table from its use as the head.
    table: Option<Pending>,
}

/// The results of the passes of a step.
#[derive(Default)]
pub(super) struct Passed {
    /// Loss and metrics of each micro-batch; empty on all stages but the last.
    pub values: Vec<DeviceValues>,
    /// Maximum number of micro-batches whose activations were kept.
    pub most_kept: usize,
}

impl Passes<'_> {
    /// Runs all passes. `ready` receives gradients of a micro-batch as soon as they are complete, those of earlier
    /// micro-batches first.
    ///
    /// # Errors
    /// As [`MicroBatch::forward`] and [`MicroBatch::backward_from_loss`]; a rank does not answer.
    pub fn run(&self, ready: &mut dyn FnMut(usize, NamedGradients)) -> Result<Passed> {
        let Mesh { pipeline, schedule, .. } = self.mesh;
        let passes = schedule.passes(pipeline.rank(), pipeline.size(), self.batches.len());
        let mut inputs = passes.iter().map(|pass| self.ask(*pass));
        // The inputs of a pass are received during the pass before.
        let mut asked: VecDeque<Inputs> = inputs.by_ref().take(1).collect();
        let mut kept: VecDeque<Kept> = VecDeque::new();
        let mut sent = Vec::new();
        let mut passed = Passed::default();
        for pass in &passes {
            asked.extend(inputs.next());
            let input = asked.pop_front().unwrap_or_default();
            match *pass {
                Pass::Forward(micro) => {
                    let forward = self.forward(micro, input)?;
                    sent.extend(self.send_forward(micro, &forward));
                    kept.push_back(forward);
                    passed.most_kept = passed.most_kept.max(kept.len());
                }
                Pass::Backward(micro) => {
                    let forward = kept.pop_front().expect("the forward pass comes first");
                    let mut ready = |found| ready(micro, found);
                    let (values, upstream) = self.backward(micro, forward, input, &mut ready)?;
                    passed.values.extend(values);
                    if let Some(upstream) = upstream.filter(|_| !self.part.has_entry()) {
                        sent.extend(self.send_backward(micro, upstream));
                    }
                }
            }
        }
        sent.into_iter().try_for_each(|pending| pending.wait().map(drop))?;
        Ok(passed)
    }

    fn forward(&self, micro: usize, input: Inputs) -> Result<Kept> {
        let residual = input.residual.map(|pending| self.residual(micro, pending)).transpose()?;
        self.micro(micro).forward(self.part, residual)
    }

    fn backward(
        &self,
        micro: usize,
        forward: Kept,
        input: Inputs,
        ready: &mut dyn FnMut(NamedGradients),
    ) -> Result<(Option<DeviceValues>, Option<Upstream>)> {
        let (false, Some(residual)) = (self.part.has_head(), input.residual) else {
            let (values, upstream) = self.micro(micro).backward_from_loss(forward, ready)?;
            return Ok((Some(values), upstream));
        };
        let residual = self.residual(micro, residual)?;
        let table = input.table.map(|pending| pending.wait()).transpose()?;
        let table = table.map(|mut found| found.remove(0));
        let upstream = Upstream { residual, table };
        Ok((None, self.model.differentiate_part(forward, upstream, ready)?))
    }

    /// Starts to receive the inputs of a pass.
    fn ask(&self, pass: Pass) -> Inputs {
        let (part, pipeline) = (self.part, &self.mesh.pipeline);
        let receive = |from: usize, what: &str, micro: usize, len: usize| {
            pipeline.receive(&self.label(micro, what), from, vec![len], &self.device())
        };
        let (rank, width) = (pipeline.rank(), self.model.config().hidden_size);
        let len = |micro: usize| self.batches[micro].inputs.len() * width;
        match pass {
            Pass::Forward(_) if part.has_entry() => Inputs::default(),
            Pass::Forward(micro) => {
                let residual = receive(rank - 1, "the activations", micro, len(micro));
                Inputs { residual: Some(residual), table: None }
            }
            Pass::Backward(_) if part.has_head() => Inputs::default(),
            Pass::Backward(micro) => {
                let table = part.lends_table().then(|| {
                    let len = self.model.token_embeddings().shape().num_elements();
                    receive(pipeline.size() - 1, "the gradient of the tied table", micro, len)
                });
                let residual =
                    receive(rank + 1, "the gradient of the activations", micro, len(micro));
                Inputs { residual: Some(residual), table }
            }
        }
    }

    /// Sends the residual stream to the next stage.
    fn send_forward(&self, micro: usize, forward: &Kept) -> Option<Pending> {
        let (part, pipeline) = (self.part, &self.mesh.pipeline);
        let send = || {
            let tensors = vec![flat(forward.residual())];
            pipeline.send(&self.label(micro, "the activations"), pipeline.rank() + 1, tensors)
        };
        (!part.has_head()).then(send)
    }

    /// Sends gradients to the previous stage, and that of a tied table to the first.
    fn send_backward(&self, micro: usize, upstream: Upstream) -> Vec<Pending> {
        let pipeline = &self.mesh.pipeline;
        let Upstream { residual, table } = upstream;
        let table = table.map(|table| {
            pipeline.send(&self.label(micro, "the gradient of the tied table"), 0, vec![table])
        });
        let label = self.label(micro, "the gradient of the activations");
        let residual = pipeline.send(&label, pipeline.rank() - 1, vec![flat(residual)]);
        table.into_iter().chain([residual]).collect()
    }

    /// Waits for a residual stream `[B T, C]` or its gradient.
    fn residual(&self, micro: usize, pending: Pending) -> Result<Tensor<2>> {
        let width = self.model.config().hidden_size;
        let found = pending.wait()?.remove(0).reshape([self.batches[micro].inputs.len(), width]);
        Ok(found.cast(precision::dtype(self.options[micro].pass.precision)))
    }

    fn micro(&self, micro: usize) -> MicroBatch<'_> {
        MicroBatch {
            objective: self.objective,
            model: self.model,
            batch: &self.batches[micro],
            options: &self.options[micro],
        }
    }

    fn label(&self, micro: usize, what: &str) -> String {
        format!("step {}: {what} of micro-batch {micro}", self.step)
    }

    fn device(&self) -> Device {
        self.model.device().inner()
    }
}

/// Sends a tied embedding table from the first stage, which updates it, to the last. `part` is that of this rank.
///
/// # Errors
/// A rank does not answer.
pub(super) fn share_table(model: Decoder, part: &Part, mesh: &Mesh, step: u64) -> Result<Decoder> {
    let (label, pipeline) = (format!("step {step}: the tied table"), &mesh.pipeline);
    if part.lends_table() {
        let table = flat(model.token_embeddings().without_autodiff());
        pipeline.send(&label, pipeline.size() - 1, vec![table]).wait()?;
    } else if part.borrows_table() {
        let shape = model.token_embeddings().dims();
        let device = model.device().inner();
        let table = pipeline.receive(&label, 0, vec![shape.iter().product()], &device);
        let table = (table.wait()?.remove(0), shape.to_vec());
        return Ok(put(model, [(TOKEN_TABLE.to_string(), table)].into()));
    }
    Ok(model)
}

/// Converts a tensor for communication: flat and in f32.
fn flat(tensor: Tensor<2>) -> Tensor<1> {
    let len = tensor.shape().num_elements();
    tensor.cast(FloatDType::F32).reshape([len])
}
