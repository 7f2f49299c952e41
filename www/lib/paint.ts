// Pictures on canvases: drawn a few at a time, so that the page stays quick.

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

/** A colour or a font of the style sheet, so that there is one place for them. */
export const styled = (name: `--${string}`): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** How strongly a weight is inked, 0 to 1: the square root, so that small weights are seen too. */
export const ink = (weight: number): number => Math.sqrt(Math.max(0, Math.min(1, weight)))

/** A colour as the four bytes of a pixel without its fourth. */
function pixel(colour: string): number {
  const [r = 0, g = 0, b = 0] = (colour.match(/[0-9a-f]{2}/gi) ?? []).map((hex) => parseInt(hex, 16))
  return r | (g << 8) | (b << 16)
}

/**
 * A table of `size` × `size` numbers, one pixel for each: positive ones in the accent's colour, negative ones in the
 * warm one, as strong as `strength` says, from 0 to 1. If `causal`, what comes later in the text is left blank.
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
