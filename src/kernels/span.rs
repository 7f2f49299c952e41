//! Timing of the CPU operations. GPU operations are timed by the device itself.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Calls and milliseconds of each operation. The caller provides the clock, since the core has none.
struct Watch {
    now_ms: fn() -> f64,
    operations: BTreeMap<&'static str, (u64, f64)>,
}

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Measures the time until it is dropped, if timing is on.
pub(super) struct Span {
    name: &'static str,
    start_ms: Option<f64>,
}

/// Starts timing a call of the operation `name`.
pub(super) fn span(name: &'static str) -> Span {
    Span { name, start_ms: WATCH.with_borrow(|watch| watch.as_ref().map(|w| (w.now_ms)())) }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(start_ms) = self.start_ms else { return };
        WATCH.with_borrow_mut(|watch| {
            if let Some(watch) = watch {
                let (calls, ms) = watch.operations.entry(self.name).or_default();
                *calls += 1;
                *ms += (watch.now_ms)() - start_ms;
            }
        });
    }
}

/// Starts timing this thread's CPU operations with `now_ms`, a clock of milliseconds.
pub fn watch(now_ms: fn() -> f64) {
    WATCH.set(Some(Watch { now_ms, operations: BTreeMap::new() }));
}

/// Ends [`watch`]; returns name, calls and milliseconds of every operation that was called.
pub fn watched() -> Vec<(&'static str, u64, f64)> {
    let operations = WATCH.take().map(|watch| watch.operations).unwrap_or_default();
    operations.into_iter().map(|(name, (calls, ms))| (name, calls, ms)).collect()
}
