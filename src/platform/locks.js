// Locks by name, shared by all tabs of the page. The browser releases the locks of a tab or worker that ends, however it ends.

/** Milliseconds to wait for a lock: a worker that was just replaced may still hold it. */
const PATIENCE = 1000

/** Takes a lock. Resolves to a function that releases it, or to null if another tab holds it. */
export function take(name) {
  return new Promise((done) => {
    const signal = AbortSignal.timeout(PATIENCE)
    const hold = () => new Promise((release) => done(release))
    // Browsers offer no locks to pages opened over http: every name is free there.
    const failed = () => done(signal.aborted ? null : () => {})
    if (navigator.locks) navigator.locks.request(name, { signal }, hold).catch(failed)
    else failed()
  })
}
