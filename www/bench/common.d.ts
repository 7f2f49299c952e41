// The helpers of the benchmark's harness, which serves them at its root.

declare module '*/common.mjs' {
  /** Offers the functions of a peer to the harness, which calls them. */
  export function expose(peer: object): void
}
