//! Times of the CPU's operations. A GPU's are taken by the device itself.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Calls and milliseconds of each operation, by a clock that is given: this module knows none.
struct Watch {
    now_ms: fn() -> f64,
    operations: BTreeMap<&'static str, (u64, f64)>,
}

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Takes the time until it is dropped, if somebody watches.
pub(super) struct Span {
    name: &'static str,
    start_ms: Option<f64>,
}

/// One call of the operation `name`, from now on.
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

/// From now on, this thread's CPU operations are timed by a clock of milliseconds.
pub fn watch(now_ms: fn() -> f64) {
    WATCH.set(Some(Watch { now_ms, operations: BTreeMap::new() }));
}

/// Ends [`watch`]: calls and milliseconds of every operation that was called.
pub fn watched() -> Vec<(&'static str, u64, f64)> {
    let operations = WATCH.take().map(|watch| watch.operations).unwrap_or_default();
    operations.into_iter().map(|(name, (calls, ms))| (name, calls, ms)).collect()
}
