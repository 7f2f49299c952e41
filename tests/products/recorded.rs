//! Recorded calls of the libraries of `tests/fakes/cublaslt`, read from the files that they write.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;
use serde_json::Value;

/// A product.
#[derive(Debug)]
pub struct Call(Value);

impl Call {
    /// Returns a number of the product.
    pub fn number(&self, name: &str) -> i64 {
        number(&self.0[name])
    }

    /// Returns a number of `a`, `b`, `c` or `d`.
    pub fn of(&self, operand: &str, name: &str) -> i64 {
        number(&self.0[operand][name])
    }

    /// Checks types and how they are multiplied.
    pub fn is_in(&self, dtype: i64, compute: i64) {
        assert_eq!(self.number("compute"), compute, "{self:?}");
        ["a", "b", "c", "d"]
            .iter()
            .for_each(|name| assert_eq!(self.of(name, "type"), dtype, "{self:?}"));
    }

    /// Checks which factors are transposed, and rows and columns of all four matrices as they are in memory.
    pub fn computes(&self, transposes: [i64; 2], shapes: [[usize; 2]; 4]) {
        let found = [0, 1].map(|place| number(&self.0["transposes"][place]));
        assert_eq!(found, transposes, "{self:?}");
        for (name, shape) in ["a", "b", "c", "d"].iter().zip(shapes) {
            let found = ["rows", "columns"].map(|side| self.of(name, side) as usize);
            assert_eq!(found, shape, "{name} of {self:?}");
        }
    }
}

fn number(value: &Value) -> i64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number")) as i64
}

/// The tests of a process write to the same files.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs `work` on the GPU, and returns the recorded products; none with the real library.
pub fn calls_of<T>(gpu: &Device, work: impl FnOnce() -> T) -> (T, Option<Vec<Call>>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = lines("FAKE_CUBLASLT_LOG");
    let result = work();
    gpu.clone().inner().sync().expect("the device works");
    (result, calls())
}

/// Runs `work` on the GPU, and returns the calls that order it with other work, and the products; none with the real libraries.
pub fn order_of<T>(
    gpu: &Device,
    work: impl FnOnce() -> T,
) -> (Option<Vec<String>>, Option<Vec<Call>>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = (lines("FAKE_CONTEXT_LOG"), lines("FAKE_CUBLASLT_LOG"));
    let _result = work();
    gpu.clone().inner().sync().expect("the device works");
    (lines("FAKE_CONTEXT_LOG"), calls())
}

fn calls() -> Option<Vec<Call>> {
    let parse = |line: &String| Call(serde_json::from_str(line).expect("a line of JSON"));
    Some(lines("FAKE_CUBLASLT_LOG")?.iter().map(parse).collect())
}

/// Returns and removes the lines of the file that a variable names; none without the variable.
fn lines(variable: &str) -> Option<Vec<String>> {
    let path = PathBuf::from(std::env::var_os(variable)?);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    Some(text.lines().map(String::from).collect())
}
