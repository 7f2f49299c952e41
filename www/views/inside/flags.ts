// Warnings about tensors and activations.

import type { TensorStats, TensorReport } from '../../types'

export interface Flag {
  /** The kind of problem, as an attribute for tests. */
  kind: 'dead' | 'exploding' | 'vanishing'
  text: string
}

/** Share of zeros above which a tensor counts as dead. */
const ZEROS = 0.99
/** Weights and gradients of a healthy model stay far below this. */
const HUGE = 1e3
/** Standard deviation below which a gradient no longer changes the weights. */
const TINY = 1e-8
/** Standard deviation below which activations are dominated by a norm's ε. */
const FAINT = 1e-5

export function flags({ weights, gradients }: TensorReport): Flag[] {
  const found: Flag[] = []
  const add = (kind: Flag['kind'], text: string): void => void found.push({ kind, text })
  if (weights.zeros > ZEROS) add('dead', 'dead: nearly all values are zero')
  else if (weights.std === 0) add('dead', 'dead: all values are equal')
  const parts = [
    ['weights', weights],
    ['gradients', gradients],
  ] as const
  for (const [what, stats] of parts) {
    if (!stats) continue
    if (!stats.finite) add('exploding', `exploding: some ${what} are NaN or infinite`)
    else if (Math.max(-stats.min, stats.max) > HUGE) add('exploding', `exploding: some ${what} exceed 1,000`)
  }
  if (gradients?.finite && gradients.std < TINY)
    add('vanishing', 'vanishing: the gradients are too small to learn from')
  return found
}

export function activationFlags({ zeros, std, finite, min, max }: TensorStats): Flag[] {
  if (!finite) return [{ kind: 'exploding', text: 'exploding: some values are NaN or infinite' }]
  if (zeros > ZEROS) return [{ kind: 'dead', text: 'dead: nearly all values are zero' }]
  if (Math.max(-min, max) > HUGE) return [{ kind: 'exploding', text: 'exploding: some values exceed 1,000' }]
  return std < FAINT ? [{ kind: 'vanishing', text: 'vanishing: the values are close to zero' }] : []
}
