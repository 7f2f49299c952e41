// Attention matrices as the engine sends them: bytes of little-endian f32.

import type { Inspection } from '../types'

/** Views bytes as f32 values; copies only if they are not aligned. */
export function floats(bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 4 ? bytes.slice() : bytes
  return new Float32Array(buffer, byteOffset, byteLength / 4)
}

/** The attention weights of one head, `[T, T]`: row query, column key. */
export function headOf({ attention, heads, tokens }: Inspection, layer: number, head: number): Float32Array {
  const size = tokens.length ** 2
  const start = (layer * heads + head) * size
  return floats(attention).subarray(start, start + size)
}

/** Attention weights of one query over all keys, `[T]`. */
export function rowOf(seen: Inspection, layer: number, head: number, query: number): Float32Array {
  const size = seen.tokens.length
  return headOf(seen, layer, head).subarray(query * size, (query + 1) * size)
}
