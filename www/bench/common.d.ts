// Helpers of the benchmark harness, which serves them at the root of its origin.

declare module '*/common.mjs' {
  /** Registers the functions of a peer with the harness. */
  export function expose(peer: object): void
}
