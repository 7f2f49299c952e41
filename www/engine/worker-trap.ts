// Ends the use of the WebAssembly package at its first trap. A trap unwinds nothing: what was borrowed stays borrowed, and what was being
// changed stays half changed.

let trapped = false
export const hasTrapped = (): boolean => trapped

type Export = (...args: unknown[]) => unknown

/** The function, which after a trap does nothing. Callbacks of timers and promises call the package, too. */
const guarded =
  (run: Export, tell: (error: unknown) => void): Export =>
  (...args) => {
    // The generated code reads what a function returned, and whether it is an error, from a list.
    if (trapped) return []
    try {
      return run(...args)
    } catch (error) {
      // Failures are returned, never thrown.
      if (!trapped) tell(error)
      trapped = true
      throw error
    }
  }

/** Calls `tell` with the first trap. Must be called before the package is loaded. */
export function watchTraps(tell: (error: unknown) => void): void {
  const { instantiateStreaming } = WebAssembly
  WebAssembly.instantiateStreaming = async (source, imports) => {
    const { module, instance } = await instantiateStreaming(source, imports)
    const exports = Object.entries(instance.exports).map(([name, one]) => [
      name,
      typeof one === 'function' ? guarded(one as Export, tell) : one,
    ])
    return { module, instance: { exports: Object.fromEntries(exports) as WebAssembly.Exports } }
  }
}
