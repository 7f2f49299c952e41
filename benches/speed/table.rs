//! Rows of the table of kernels: how one is measured, and what is printed of it.

use crate::common::{Outcome, spread};
use crate::device::Place;
use crate::output::{Output, spread_json};
use crate::peaks::Peaks;
use crate::timing::{Timed, time, wait};
use blankslate::kernels::cost::{Cost, Costs};
use blankslate::kernels::precision;
use burn::tensor::{Tensor, TensorData};
use serde_json::{Value, json};

/// Heads of the columns in text.
pub const HEADER: &str = "      ms    floor  share   GB/s  TFLOP/s  kernel";

/// A row before it is measured.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    name: &'a str,
    pass: &'a str,
    cost: Cost,
    /// Seconds of the work that do not count.
    extra: f64,
    /// True if its products are in f32 at every precision.
    in_f32: bool,
    /// Kernels that get rows of their own: how their names end.
    kernels: &'a [(&'a str, Cost)],
}

impl<'a> Row<'a> {
    pub fn new(name: &'a str, pass: &'a str, cost: Cost) -> Self {
        Self { name, pass, cost, extra: 0.0, in_f32: false, kernels: &[] }
    }

    /// Sets whether it is computed in f32 whatever the precision.
    pub fn in_f32(self, in_f32: bool) -> Self {
        Self { in_f32, ..self }
    }

    /// Adds rows of single kernels, with how their names end.
    pub fn with_kernels(self, kernels: &'a [(&'a str, Cost)]) -> Self {
        Self { kernels, ..self }
    }
}

/// Measures kernels and prints them as rows of a table.
pub struct Table {
    pub place: Place,
    pub peaks: Peaks,
    pub output: Output,
    /// Measurements of each kernel.
    pub rounds: usize,
    /// Numbers that are copied before each measurement, so that inputs come from memory and not from a cache.
    pub flush: Tensor<1>,
}

impl Table {
    /// Bytes of a number in the precision of the table.
    pub fn size(&self) -> usize {
        self.place.precision.bytes() as usize
    }

    /// Returns a matrix of numbers around 0 in the precision of the table.
    pub fn draw(&self, [rows, columns]: [usize; 2]) -> Tensor<2> {
        // A period that is prime to all powers of two, so that rows differ.
        let value = |i: usize| ((i * 7919) % 10_007) as f32 / 10_007.0 - 0.5;
        let values: Vec<f32> = (0..rows * columns).map(value).collect();
        let data = TensorData::new(values, [rows, columns]);
        let drawn = Tensor::<2>::from_data(data, &self.place.device);
        drawn.cast(precision::dtype(self.place.precision))
    }

    pub fn leaves(&self, inputs: Vec<Tensor<2>>) -> Vec<Tensor<2>> {
        inputs.into_iter().map(|input| Tensor::from_inner(input).require_grad()).collect()
    }

    /// Measures both passes of an operation.
    pub fn passes(
        &self,
        name: &str,
        inputs: Vec<Tensor<2>>,
        costs: Costs,
        operation: &dyn Fn(&[Tensor<2>]) -> Tensor<2>,
    ) -> Outcome<()> {
        let rows = [("forward", costs.forward), ("backward", costs.backward)];
        self.both(rows.map(|(pass, cost)| Row::new(name, pass, cost)), inputs, operation)
    }

    /// Measures both passes of an operation, each with its row.
    pub fn both(
        &self,
        [forward, backward]: [Row<'_>; 2],
        inputs: Vec<Tensor<2>>,
        operation: &dyn Fn(&[Tensor<2>]) -> Tensor<2>,
    ) -> Outcome<()> {
        let leaves = self.leaves(inputs);
        self.measure(forward, &mut || Ok(()), &mut |()| {
            operation(&leaves);
            Ok(())
        })?;
        // The backward pass begins with a gradient of ones, which is not part of it.
        let result = operation(&leaves).inner();
        let ones = || Ok(result.ones_like());
        time(&self.place.device, ones)?;
        let ones = time(&self.place.device, ones)?.seconds;
        drop(result);
        let mut prepare = || {
            let result = operation(&leaves);
            wait(&self.place.device)?;
            Ok(result)
        };
        self.measure(Row { extra: ones, ..backward }, &mut prepare, &mut |result| {
            result.backward();
            Ok(())
        })
    }

    /// Measures `work` on what `prepare` returns, and prints a row.
    pub fn measure<T>(
        &self,
        row: Row<'_>,
        prepare: &mut dyn FnMut() -> Outcome<T>,
        work: &mut dyn FnMut(T) -> Outcome<()>,
    ) -> Outcome<()> {
        let device = &self.place.device;
        // Compiles and tunes.
        work(prepare()?)?;
        let mut rounds: Vec<Timed> = Vec::new();
        for _ in 0..self.rounds.max(1) {
            let prepared = prepare()?;
            self.flush.clone().mul_scalar(1.0);
            rounds.push(time(device, || work(prepared))?);
        }
        let seconds = rounds.iter().map(|round| (round.seconds - row.extra).max(0.0)).collect();
        let elapsed = spread(rounds.iter().map(|round| 1e3 * round.elapsed).collect());
        let launched = rounds.last().map(|round| &round.kernels);
        let more = json!({"elapsed_ms": spread_json(elapsed), "launched": launched});
        self.print(row, seconds, more);
        for (end, cost) in row.kernels {
            let times = rounds.iter().filter_map(|round| {
                let mut found = round.kernels.iter().filter(|one| one.kernel.ends_with(end));
                found.find_map(|one| Some((one.kernel.rsplit("::").next()?, one.ms? / 1e3)))
            });
            let (names, seconds): (Vec<&str>, Vec<f64>) = times.unzip();
            // The CPU has no kernels, and some GPUs do not time theirs.
            if let Some(kernel) = names.last() {
                let pass = format!("kernel {kernel}");
                self.print(Row { pass: &pass, cost: *cost, ..row }, seconds, json!({}));
            }
        }
        Ok(())
    }

    /// Prints a row, and as JSON also the values of the object `more`.
    fn print(&self, Row { name, pass, cost, in_f32, .. }: Row<'_>, seconds: Vec<f64>, more: Value) {
        let [low, middle, high] = spread(seconds);
        let flops = match in_f32 {
            true => self.peaks.f32_flops_per_second,
            false => self.peaks.flops_per_second,
        };
        // Without a known peak, arithmetic counts as free.
        let by_arithmetic = flops.map_or(0.0, |peak| cost.flops / peak);
        let floor = cost.floor(self.peaks.bytes_per_second, flops.unwrap_or(f64::INFINITY));
        let bound = if by_arithmetic == floor { "arithmetic" } else { "memory" };
        let share = floor / middle;
        let per_second = |work: f64| work / middle;
        let ms = [low, middle, high].map(|seconds| 1e3 * seconds);
        let mut event = json!({
            "type": "kernel", "kernel": name, "pass": pass, "ms": spread_json(ms),
            "floor_ms": 1e3 * floor, "bound": bound, "share": share,
            "bytes": cost.bytes, "flops": cost.flops,
            "bytes_per_second": per_second(cost.bytes), "flops_per_second": per_second(cost.flops),
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            event[key] = value.clone();
        }
        // Too short beside what is subtracted from it: null in JSON.
        let shown = |value: f64, digits: usize| match value.is_finite() {
            true => format!("{value:.digits$}"),
            false => "-".into(),
        };
        let text = format!(
            "{:8.3} {:8.3} {:>5} % {:>6} {:>8}  {name}, {pass}",
            1e3 * middle,
            1e3 * floor,
            shown(100.0 * share, 0),
            shown(per_second(cost.bytes) / 1e9, 0),
            shown(per_second(cost.flops) / 1e12, 1),
        );
        self.output.print(&event, &text);
    }
}
