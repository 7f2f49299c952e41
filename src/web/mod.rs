//! The wasm edge: one handle for the worker. Converts, and does nothing else.

mod bench;

use std::rc::Rc;

use js_sys::{Function, Promise};
use serde::{Serialize, de::DeserializeOwned};
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::prelude::*;

use crate::config::{Estimate, PRESETS, SampleConfig, preset, wrong_setting};
use crate::data;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::platform::DeviceInfo;
use crate::protocol::{
    self, Event, ExampleInfo, FormSettings, FoundText, PresetInfo, page_message,
};
use crate::run::{RunConfig, source};

/// wasm-bindgen writes the path of this folder's `package.json` into the wasm. Naming the variable here makes cargo compile
/// the crate again when the folder has moved but the target folder has not.
const _: &str = env!("CARGO_MANIFEST_DIR");

unsafe extern "C" {
    /// Made by the linker: registers cubecl's kernels and types.
    fn __wasm_call_ctors();
}

/// Runs once, when the module is loaded.
#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
    // Called here by hand, once: otherwise the linker wraps every exported function to call it again and
    // again, which costs seconds per training step.
    //
    // SAFETY: the function exists in every module with constructors and is meant to be called first.
    unsafe { __wasm_call_ctors() };
}

/// The worker's handle.
#[wasm_bindgen]
pub struct Handle {
    engine: Rc<Engine>,
}

#[wasm_bindgen]
impl Handle {
    /// `emit` is called with every event.
    #[wasm_bindgen(constructor)]
    pub fn new(emit: Function) -> Self {
        let emit = move |event: Event| {
            let event = to_js(&event);
            if let Err(error) = emit.call1(&JsValue::NULL, &event) {
                web_sys::console::error_1(&error);
            }
        };
        Self { engine: Engine::new("blankslate-runs", emit) }
    }

    /// Carries out a command. Results and failures are emitted as events before the promise resolves.
    pub fn send(&self, command: JsValue) -> Promise {
        let engine = self.engine.clone();
        wasm_bindgen_futures::future_to_promise(async move {
            match from_js("command", command) {
                Ok(command) => engine.handle(command).await,
                Err(error) => engine.fail(&error),
            }
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Answers a query about the current model. The promise resolves to the answer or is rejected with an `Error` of one
    /// line.
    pub fn ask(&self, query: JsValue) -> Promise {
        let engine = self.engine.clone();
        wasm_bindgen_futures::future_to_promise(async move {
            let found = match from_js("query", query) {
                Ok(query) => engine.ask(query).await,
                Err(error) => Err(error),
            };
            Ok(answer(found)?)
        })
    }
}

/// Lists the presets.
#[wasm_bindgen]
pub fn presets() -> JsValue {
    let presets: Vec<PresetInfo> =
        PRESETS.iter().filter_map(|name| preset(name).ok()).map(PresetInfo::from).collect();
    to_js(&presets)
}

/// Lists the synthetic datasets.
#[wasm_bindgen]
pub fn examples() -> JsValue {
    to_js(&data::SYNTHETIC_DATASETS.iter().map(ExampleInfo::from).collect::<Vec<_>>())
}

/// Generates the synthetic dataset `name`.
#[wasm_bindgen]
pub fn example(name: &str) -> std::result::Result<String, JsError> {
    data::generate_dataset(name).map_err(|error| JsError::new(&page_message(&error)))
}

/// Estimates the costs of a run.
#[wasm_bindgen]
pub fn estimate(config: JsValue) -> std::result::Result<JsValue, JsError> {
    let config = from_js("config", config);
    answer(
        config.map(|RunConfig { model, train, data, .. }| Estimate::of_run(&model, &train, &data)),
    )
}

/// Fills in the page's form: see [`FormSettings::new`].
#[wasm_bindgen]
pub fn form(
    base: JsValue,
    given: JsValue,
    preset: &str,
    kind: JsValue,
    vocab_size: usize,
    device: JsValue,
) -> std::result::Result<JsValue, JsError> {
    let fill_in = || -> Result<FormSettings> {
        let base = from_js("config", base)?;
        let given = from_js("settings", given)?;
        let kind = from_js("kind", kind)?;
        let device: Option<DeviceInfo> = from_js("device", device)?;
        FormSettings::new(&base, &given, preset, kind, vocab_size, device.as_ref())
    };
    answer(fill_in())
}

/// Returns the settings for fine-tuning the model of the run `base` on data of `kind`: see [`RunConfig::tuning_form`].
#[wasm_bindgen]
pub fn tuning(
    base: JsValue,
    kind: JsValue,
    chats: bool,
    given: JsValue,
) -> std::result::Result<JsValue, JsError> {
    let fill_in = || -> Result<RunConfig> {
        let base: RunConfig = from_js("config", base)?;
        base.tuning_form(from_js("kind", kind)?, chats, &from_js("settings", given)?)
    };
    answer(fill_in())
}

/// Returns the kind of data in a text, of which only the beginning may be given: see [`source::kind_of`].
#[wasm_bindgen]
pub fn kind_of(beginning: &str) -> std::result::Result<JsValue, JsError> {
    answer(source::kind_of("the text", beginning))
}

/// Returns the contents of files, given as `[name, text]`, as one text and a description: see [`FoundText::read`].
#[wasm_bindgen]
pub fn text_of_files(files: JsValue) -> std::result::Result<JsValue, JsError> {
    let read = || FoundText::read(from_js("files", files)?);
    answer(read())
}

/// Explains the settings, by label.
#[wasm_bindgen]
pub fn explanations() -> JsValue {
    to_js(&protocol::explanations())
}

/// Settings to begin sampling with.
#[wasm_bindgen]
pub fn default_sample() -> JsValue {
    to_js(&SampleConfig::default())
}

/// The value of a result, or its error as one line in the page's terms.
fn answer<T: Serialize>(result: Result<T>) -> std::result::Result<JsValue, JsError> {
    result.map(|value| to_js(&value)).map_err(|error| JsError::new(&page_message(&error)))
}

fn to_js<T: Serialize>(value: &T) -> JsValue {
    // As JSON would have it: null for none, plain objects, numbers; but bytes stay bytes.
    let serializer = Serializer::json_compatible().serialize_bytes_as_arrays(false);
    value.serialize(&serializer).expect("plain data converts")
}

fn from_js<T: DeserializeOwned>(what: &str, value: JsValue) -> Result<T> {
    serde_wasm_bindgen::from_value(value.clone()).map_err(|problem| {
        let json = serde_wasm_bindgen::from_value(value).ok();
        json.as_ref().and_then(wrong_setting).unwrap_or_else(|| {
            web_sys::console::warn_1(&problem.into());
            let problem = "the page and its engine are of different versions";
            Error::malformed(format!("the page's {what}"), problem, "reload the page")
        })
    })
}
