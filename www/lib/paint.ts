// Draws canvases in batches, so that the page stays responsive.

/** Maximum duration of one batch, in milliseconds. */
const SLICE = 8

const waiting = new Map<HTMLCanvasElement, () => void>()
let drawing = false

/** Schedules a drawing into a canvas; replaces one that is still waiting for the same canvas. */
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

/** The value of a CSS variable: a colour or a font. */
export const styled = (name: `--${string}`): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** Opacity of an attention weight, 0 to 1: the square root keeps small weights visible. */
export const ink = (weight: number): number => Math.sqrt(Math.max(0, Math.min(1, weight)))

/** A colour as pixel bytes (RGB, without alpha). */
function pixel(colour: string): number {
  const [r = 0, g = 0, b = 0] = (colour.match(/[0-9a-f]{2}/gi) ?? []).map((hex) => parseInt(hex, 16))
  return r | (g << 8) | (b << 16)
}

/**
 * Draws a `size` × `size` matrix with one pixel per entry: positive entries in the accent colour, negative ones in the
 * warm colour, with opacity `strength(|value|)`. If `causal`, entries above the diagonal stay blank.
 */
export function tableImage(
  values: Float32Array,
  size: number,
  strength: (value: number) => number,
  causal: boolean,
): ImageData {
  const image = new ImageData(size, size)
  const pixels = new Uint32Array(image.data.buffer)
  const [accent, warm] = [pixel(styled('--accent')), pixel(styled('--val'))]
  for (let row = 0; row < size; row += 1) {
    const end = causal ? row + 1 : size
    for (let at = row * size; at < row * size + end; at += 1) {
      const value = values[at] ?? 0
      pixels[at] = (value < 0 ? warm : accent) | (Math.round(255 * strength(Math.abs(value))) << 24)
    }
  }
  return image
}
