// Makes a token's text visible: spaces, line breaks, control characters, and bytes that are not text on their own.

export interface Glyph {
  text: string
  kind: 'text' | 'mark' | 'byte'
}

/** Symbols and names of invisible characters. */
const MARKS: Record<string, [sign: string, name: string]> = {
  ' ': ['·', 'space'],
  '\n': ['↵', 'line break'],
  '\t': ['⇥', 'tab'],
  '\r': ['␍', 'carriage return'],
  '\u00a0': ['⍽', 'no-break space'],
}
/** Matches a run of text, one invisible character, or one byte as the engine writes bytes that are not text on their own. */
const GLYPHS = /\\x([89A-F][0-9A-F])|[\s\p{Cc}]|(?:(?!\\x[89A-F][0-9A-F])[^\s\p{Cc}])+/gu

/** Other control characters are shown by their code point. */
const mark = (character: string): [sign: string, name: string] => {
  const code = `U+${character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}`
  return MARKS[character] ?? [code, code]
}

/** Splits a token's text into parts to display. */
export function visible(text: string): Glyph[] {
  if (text === '') return [{ text: '∅', kind: 'mark' }]
  return [...text.matchAll(GLYPHS)].map(([piece, byte]): Glyph => {
    if (byte) return { text: byte, kind: 'byte' }
    return /^[\s\p{Cc}]$/u.test(piece) ? { text: mark(piece)[0], kind: 'mark' } : { text: piece, kind: 'text' }
  })
}

/** The same as plain text, for labels on canvases. */
export const shown = (text: string): string =>
  visible(text)
    .map((glyph) => glyph.text)
    .join('')

/** A token's text for screen readers: invisible characters are named. */
export function spoken(text: string): string {
  if (text === '') return 'nothing'
  const glyphs = [...text.matchAll(GLYPHS)]
  if (glyphs.some(([piece, byte]) => !byte && !/^[\s\p{Cc}]$/u.test(piece))) return text
  return glyphs.map(([piece, byte]) => (byte ? `byte ${byte}` : mark(piece)[1])).join(', ')
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The text of two merged tokens; their bytes may now form a character. */
export const together = (left: string, right: string): string =>
  (left + right).replace(/(?:\\x[89A-F][0-9A-F])+/g, (run) => {
    try {
      return utf8.decode(Uint8Array.from(run.slice(2).split('\\x'), (byte) => parseInt(byte, 16)))
    } catch {
      return run
    }
  })

/** Length of a token's text in bytes of UTF-8. */
export function byteLength(text: string): number {
  let bytes = 0
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i)
    if (code === 0x5c && /^\\x[89A-F][0-9A-F]/.test(text.slice(i, i + 4))) {
      bytes += 1
      i += 3
    } else if (code < 0x80) bytes += 1
    // Half of a surrogate pair, which makes four bytes.
    else if (code < 0x800 || (code >= 0xd800 && code < 0xe000)) bytes += 2
    else bytes += 3
  }
  return bytes
}
