import { expect, test } from 'vitest'
import type { TensorStats } from '../../types'
import { activationFlags, flags } from './flags'

const SOUND: TensorStats = {
  mean: 0,
  std: 0.02,
  min: -0.1,
  max: 0.1,
  zeros: 0,
  finite: true,
  low: -0.1,
  high: 0.1,
  bins: [],
}

const kinds = (weights: Partial<TensorStats>, gradients: Partial<TensorStats> | null = {}): string[] =>
  flags({
    name: '',
    shape: [],
    weights: { ...SOUND, ...weights },
    gradients: gradients && { ...SOUND, ...gradients },
  }).map(({ kind }) => kind)

test('a sound tensor has no flag', () => {
  expect(kinds({})).toEqual([])
  expect(kinds({}, null)).toEqual([])
})

test.each([
  [{ zeros: 0.995 }, {}, 'dead'],
  [{ std: 0 }, {}, 'dead'],
  [{ finite: false }, {}, 'exploding'],
  [{ min: -2000 }, {}, 'exploding'],
  [{}, { max: 1e4 }, 'exploding'],
  [{}, { std: 1e-9 }, 'vanishing'],
])('weights %j with gradients %j are %s', (weights, gradients, kind) => {
  expect(kinds(weights, gradients)).toEqual([kind])
})

test.each([
  [{}, []],
  [{ zeros: 1 }, ['dead']],
  [{ max: 1e4 }, ['exploding']],
  [{ finite: false }, ['exploding']],
  [{ std: 1e-7 }, ['vanishing']],
])('activations %j are %j', (stats, expected) => {
  expect(activationFlags({ ...SOUND, ...stats }).map(({ kind }) => kind)).toEqual(expected)
})
