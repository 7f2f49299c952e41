// Moves of the arrow keys.

/** In a row of items, horizontal or vertical. */
export const ALONG: Record<string, number> = {
  ArrowRight: 1,
  ArrowDown: 1,
  ArrowLeft: -1,
  ArrowUp: -1,
  Home: -Infinity,
  End: Infinity,
}

/** In a table. */
export const ACROSS: Record<string, [down: number, right: number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
}

/** Clamps `at` to 0..last. */
export const within = (at: number, last: number): number => Math.max(0, Math.min(last, at))
