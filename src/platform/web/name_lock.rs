//! Locks on names, by the browser's Web Locks.

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::store::wait;
use crate::error::Result;

#[wasm_bindgen(module = "/src/platform/locks.js")]
extern "C" {
    fn take(name: &str) -> Promise;
}

/// Lock on a name in storage, held until it is dropped or its tab ends, however it ends. A browser offers no locks to a page
/// opened over http; every name is free there.
#[derive(Debug)]
pub struct NameLock {
    release: Function,
}

impl NameLock {
    /// Locks `name` below the directory `root`; none if another tab holds the lock.
    ///
    /// # Errors
    /// None in the browser.
    pub async fn take(root: &str, name: &str) -> Result<Option<Self>> {
        let taken: JsValue = wait(take(&format!("{root}/{name}"))).await.unwrap_or(JsValue::NULL);
        Ok(taken.dyn_into().ok().map(|release| Self { release }))
    }
}

impl Drop for NameLock {
    fn drop(&mut self) {
        let _ = self.release.call0(&JsValue::NULL);
    }
}
