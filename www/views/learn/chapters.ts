// The chapters in order.

import type { Component } from 'svelte'
import Attention from './chapters/Attention.svelte'
import Blocks from './chapters/Blocks.svelte'
import Embeddings from './chapters/Embeddings.svelte'
import Guessing from './chapters/Guessing.svelte'
import Loss from './chapters/Loss.svelte'
import Sampling from './chapters/Sampling.svelte'
import Scaling from './chapters/Scaling.svelte'
import Tokens from './chapters/Tokens.svelte'
import Training from './chapters/Training.svelte'
import Tuning from './chapters/Tuning.svelte'

export interface Chapter {
  /** Counted from 1; the URL is #/learn/1. */
  number: number
  title: string
  component: Component
}

const LIST: [title: string, component: Component][] = [
  ['Text becomes tokens', Tokens],
  ['Embeddings and positions', Embeddings],
  ['Attention and the causal mask', Attention],
  ['MLP, normalization, residual stream', Blocks],
  ['Logits, softmax, loss', Loss],
  ['Backpropagation and AdamW', Training],
  ['Scaling laws', Scaling],
  ['Sampling', Sampling],
  ['Fine-tuning and alignment', Tuning],
  ['Speculative decoding', Guessing],
]

export const CHAPTERS: Chapter[] = LIST.map(([title, component], i) => ({ number: i + 1, title, component }))

/** A page of the course: the number of a chapter, or the glossary. */
export type Place = number | 'glossary'

/** The page in a URL; null for none. */
export function placeOf(hash: string): Place | null {
  const [, place] = /^#\/learn\/(\d+|glossary)$/.exec(hash) ?? []
  if (place === 'glossary') return place
  const number = Number(place)
  return number >= 1 && number <= CHAPTERS.length ? number : null
}
