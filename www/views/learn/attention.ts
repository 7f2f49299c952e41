// Attention weights as the engine sends them: little-endian f32, `[L, H, T, T]`.

import type { Inspection } from '../../types'

type Weights = Pick<Inspection, 'attention' | 'tokens' | 'heads' | 'layers'>

/** What the token at `query` takes from each token of the text; later ones give nothing. */
export function attentionRow({ attention, tokens, heads }: Weights, layer: number, head: number, query: number): number[] {
  const view = new DataView(attention.buffer, attention.byteOffset, attention.byteLength)
  const size = tokens.length
  const start = ((layer * heads + head) * size + query) * size
  return tokens.map((_, key) => view.getFloat32(4 * (start + key), true))
}

/** The place of the largest. */
export const largest = (values: number[]): number => values.indexOf(Math.max(...values))
