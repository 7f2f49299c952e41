//! Devices, clock and files in a browser's dedicated worker.

mod name_lock;
mod store;

use std::cell::RefCell;

use burn::tensor::{Device, DeviceKind};
use cubecl::dry_run::DryRun;
use js_sys::{Date, Promise, Reflect};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::MessageChannel;

use super::{DeviceInfo, Room, probe};
use crate::error::{Error, Result};
use crate::kernels::prefer_serial;
use store::wait;

pub use name_lock::NameLock;
pub use store::Store;

/// Returns the milliseconds since 1970-01-01 UTC.
pub fn now_ms() -> f64 {
    Date::now()
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// Returns a time in milliseconds for measuring short durations, with a higher resolution than [`now_ms`].
pub fn tick_ms() -> f64 {
    performance_now()
}

/// Yields so that the worker handles pending messages.
pub async fn yield_now() {
    // A message to itself arrives at once, whereas a timeout takes at least 4 ms.
    let channel = MessageChannel::new().expect("workers have channels");
    let turn = Promise::new(&mut |resolve, _| {
        channel.port1().set_onmessage(Some(&resolve));
        channel.port2().post_message(&JsValue::NULL).expect("null can be posted");
    });
    let _ = JsFuture::from(turn).await;
    channel.port1().close();
}

/// Owner of [`free_memory`], in messages.
pub const MEMORY_OWNER: &str = "this tab";

/// Returns the bytes of memory that this program can have for models: the 4 GiB that 32-bit WebAssembly can address, `held`
/// bytes of them or not.
pub fn free_memory(_held: u64) -> u64 {
    1 << 32
}

/// Returns all `free` bytes: a tab is a single rank.
pub fn memory_of_rank(free: u64) -> u64 {
    free
}

/// Opens `auto`, `webgpu` or `cpu`. Opening the same choice again returns the same device.
///
/// # Errors
/// Returns an error if WebGPU is not available or lacks a required feature.
pub async fn open_device(choice: &str) -> Result<(Device, DeviceInfo)> {
    let (device, mut info) = choose(choice).await?;
    info.room = Some(Room::of(&device, 0));
    Ok((device, info))
}

async fn choose(choice: &str) -> Result<(Device, DeviceInfo)> {
    // burn registers its WebGPU runtime once per worker.
    thread_local! {
        static OPEN: RefCell<Option<(Device, DeviceInfo)>> = const { RefCell::new(None) };
        static AUTO: RefCell<Option<(Device, DeviceInfo)>> = const { RefCell::new(None) };
    }
    let cpu = |reason| {
        let adapter = "WebAssembly with SIMD, one thread".to_string();
        (
            Device::flex(),
            DeviceInfo { name: "cpu".into(), adapter, software: false, reason, room: None },
        )
    };
    match choice {
        "cpu" => return Ok(cpu(None)),
        "auto" | "webgpu" => {}
        _ => return Err(lost(choice, "the device is unknown", "use auto, webgpu or cpu")),
    }
    let chosen = AUTO.with_borrow(Option::clone).filter(|_| choice == "auto");
    if let Some(chosen) = chosen {
        return Ok(chosen);
    }
    let gpu = match OPEN.with_borrow(Option::clone) {
        Some(open) => Ok(open),
        None => webgpu().await.inspect(|open| OPEN.set(Some(open.clone()))),
    };
    let (gpu, mut info) = match gpu {
        Err(error) if choice == "auto" => return Ok(cpu(Some(error.to_string()))),
        gpu => gpu?,
    };
    if choice == "webgpu" {
        return Ok((gpu, info));
    }
    let theirs = probe::gflops(&Device::flex()).await.unwrap_or(0.0);
    let ours = probe::gflops(&gpu).await.unwrap_or(0.0);
    let chosen = if ours >= theirs {
        info.reason = Some(probe::explain_choice(ours, "the CPU", theirs));
        (gpu, info)
    } else {
        cpu(Some(probe::explain_choice(theirs, &info.adapter, ours)))
    };
    AUTO.set(Some(chosen.clone()));
    Ok(chosen)
}

async fn webgpu() -> Result<(Device, DeviceInfo)> {
    let enable = "enable WebGPU, use another browser, or choose the CPU";
    let adapter = request_adapter()
        .await
        .filter(|adapter| !adapter.is_null())
        .ok_or_else(|| lost("webgpu", "the browser has no WebGPU adapter", enable))?;
    // cubecl times kernels with timestamps and panics if the adapter has none.
    let timestamps = get(&adapter, "features")
        .and_then(|features| call(&features, "has", &"timestamp-query".into()))
        .is_some_and(|has| has.is_truthy());
    if !timestamps {
        return Err(lost("webgpu", "the adapter lacks timestamp-query", enable));
    }
    let device = Device::wgpu_options()
        .device_kind(DeviceKind::DefaultDevice)
        .init_async()
        .await
        .map_err(|e| lost("webgpu", &e.to_string(), enable))?;
    let info = get(&adapter, "info").unwrap_or_default();
    let parts = ["vendor", "architecture", "device", "description"];
    let parts = parts.into_iter().filter_map(|part| get(&info, part)?.as_string());
    let adapter = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let fallback = get(&info, "isFallbackAdapter").is_some_and(|flag| flag.is_truthy());
    let software = fallback || ["swiftshader", "llvmpipe"].iter().any(|n| adapter.contains(n));
    let adapter = if adapter.is_empty() { "unnamed adapter".into() } else { adapter };
    prefer_serial(&device, software);
    Ok((device, DeviceInfo { name: "webgpu".into(), adapter, software, reason: None, room: None }))
}

/// Calls `navigator.gpu.requestAdapter()`; none without WebGPU. Calls the browser directly because wgpu does not expose the
/// adapter's name.
async fn request_adapter() -> Option<JsValue> {
    let gpu = get(&get(&js_sys::global(), "navigator")?, "gpu")?;
    let options = js_sys::Object::new();
    Reflect::set(&options, &"powerPreference".into(), &"high-performance".into()).ok()?;
    let promise: Promise = call(&gpu, "requestAdapter", &options)?.dyn_into().ok()?;
    JsFuture::from(promise).await.ok()
}

fn get(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into()).ok().filter(|value| !value.is_undefined())
}

fn call(object: &JsValue, name: &str, argument: &JsValue) -> Option<JsValue> {
    get(object, name)?.dyn_into::<js_sys::Function>().ok()?.call1(object, argument).ok()
}

fn lost(device: &str, problem: &str, remedy: &str) -> Error {
    Error::Device { device: device.into(), problem: problem.into(), remedy: remedy.into() }
}

#[wasm_bindgen(module = "/src/platform/pipelines.js")]
extern "C" {
    fn begin();
    fn end();
    fn begun() -> u32;
    fn next() -> Promise;
}

/// Compiles the pipelines of all kernels that `rehearsal` launches in parallel, without running them. Calls `progress` with
/// the number of compiled pipelines and their total.
///
/// # Errors
/// Returns the errors of `rehearsal`.
pub async fn compile_ahead(
    rehearsal: impl FnOnce() -> Result<()>,
    progress: impl Fn(u64, u64),
) -> Result<()> {
    begin();
    let dry = DryRun::new();
    let rehearsed = rehearsal();
    drop(dry);
    end();
    rehearsed?;
    let total = begun();
    let mut left = total;
    while left > 0 {
        progress(u64::from(total - left), u64::from(total));
        let now: Option<JsValue> = wait(next()).await.ok();
        left = now.and_then(|left| left.as_f64()).map_or(0, |left| left as u32);
    }
    Ok(())
}
