// What is wrong with a tensor, in words.

import type { Spread, TensorReport } from '../../types'

export interface Flag {
  /** For tests, and for those who know the words. */
  kind: 'dead' | 'exploding' | 'vanishing'
  text: string
}

/** Nearly all: a tensor with more zeros than this does nothing. */
const ZEROS = 0.99
/** Weights and gradients of a sound model stay far below this. */
const HUGE = 1e3
/** Gradients this small change nothing any more. */
const TINY = 1e-8
/** Of activations this small nothing is left after a norm's ε. */
const FAINT = 1e-5

export function flags({ weights, gradients }: TensorReport): Flag[] {
  const found: Flag[] = []
  const add = (kind: Flag['kind'], text: string): void => void found.push({ kind, text })
  if (weights.zeros > ZEROS) add('dead', 'dead: nearly all of its numbers are zero')
  else if (weights.std === 0) add('dead', 'dead: all of its numbers are the same')
  const parts = [
    ['its weights', weights],
    ['its gradient', gradients],
  ] as const
  for (const [what, spread] of parts) {
    if (!spread) continue
    if (!spread.finite) add('exploding', `exploding: some of ${what} are not numbers any more`)
    else if (Math.max(-spread.min, spread.max) > HUGE) add('exploding', `exploding: ${what} reach beyond 1,000`)
  }
  if (gradients?.finite && gradients.std < TINY)
    add('vanishing', 'vanishing: its gradient is so small that it no longer learns')
  return found
}

export function activationFlags({ zeros, std, finite, min, max }: Spread): Flag[] {
  if (!finite) return [{ kind: 'exploding', text: 'exploding: some are not numbers any more' }]
  if (zeros > ZEROS) return [{ kind: 'dead', text: 'dead: nearly all are zero' }]
  if (Math.max(-min, max) > HUGE) return [{ kind: 'exploding', text: 'exploding: they reach beyond 1,000' }]
  return std < FAINT ? [{ kind: 'vanishing', text: 'vanishing: hardly anything comes through' }] : []
}
