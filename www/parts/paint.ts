// Pictures of attention on canvases: drawn a few at a time, so that the page stays quick.

/** How long pictures may be drawn at a stretch, milliseconds. */
const SLICE = 8

const waiting = new Map<HTMLCanvasElement, () => void>()
let drawing = false

/** Draws into a canvas soon; what was to be drawn into it before is forgotten. */
export function paint(canvas: HTMLCanvasElement, draw: () => void): void {
  waiting.set(canvas, draw)
  if (drawing) return
  drawing = true
  requestAnimationFrame(slice)
}

function slice(): void {
  const end = performance.now() + SLICE
  for (const [canvas, draw] of waiting) {
    waiting.delete(canvas)
    if (canvas.isConnected) draw()
    if (performance.now() > end) break
  }
  drawing = waiting.size > 0
  if (drawing) requestAnimationFrame(slice)
}

/** How strongly a weight is inked, 0 to 1: the square root, so that small weights are seen too. */
export const ink = (weight: number): number => Math.sqrt(Math.max(0, Math.min(1, weight)))

export interface Colours {
  /** As the four bytes of an opaque pixel without its fourth. */
  accent: number
  text: string
  quiet: string
  line: string
  warm: string
  serif: string
}

/** The colours of the style sheet, as they are now. */
export function colours(): Colours {
  const style = getComputedStyle(document.documentElement)
  const of = (name: string): string => style.getPropertyValue(name).trim()
  const [r = 0, g = 0, b = 0] = (of('--accent').match(/[0-9a-f]{2}/gi) ?? []).map((hex) => parseInt(hex, 16))
  return {
    accent: r | (g << 8) | (b << 16),
    text: of('--ink'),
    quiet: of('--quiet'),
    line: of('--line'),
    warm: of('--val'),
    serif: of('--serif'),
  }
}

/** A map of `size` × `size` weights, one pixel for each; what comes later in the text is left blank. */
export function attentionImage(weights: Float32Array, start: number, size: number): ImageData {
  const image = new ImageData(size, size)
  const pixels = new Uint32Array(image.data.buffer)
  const { accent } = colours()
  for (let query = 0; query < size; query += 1) {
    for (let key = 0; key <= query; key += 1) {
      const at = query * size + key
      pixels[at] = accent | (Math.round(255 * ink(weights[start + at] ?? 0)) << 24)
    }
  }
  return image
}
