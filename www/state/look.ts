// Statistics of a text, computed in slices so that the page stays responsive.

export interface Look {
  bytes: number
  characters: number
  /** Number of distinct characters: the vocabulary size of the character tokenizer. */
  different: number
  lines: number
  /** Number of words, separated by whitespace. */
  words: number
}

/** Milliseconds of reading before yielding to the page. A time, not a length: a phone reads a tenth as fast as a desktop. */
const LONG = 8
/** Characters read between two checks of the clock. */
const BETWEEN = 25_000
/** Bytes of a file read before yielding to the page. */
const READ_SLICE = 4_000_000
/** Yields to the page. */
export const turn = (): Promise<void> => new Promise((done) => setTimeout(done))

const CODE_POINTS = 0x110000
const isHigh = (code: number): boolean => code >= 0xd800 && code < 0xdc00

/** The first characters of a text, without splitting a surrogate pair. */
export const beginning = (text: string, characters: number): string =>
  text.slice(0, isHigh(text.charCodeAt(characters - 1)) ? characters - 1 : characters)

/** The first non-empty lines, for a preview. */
export function opening(text: string): string {
  const lines = text
    .slice(0, 2000)
    .trim()
    .replace(/\n\s*\n/g, '\n')
  return lines.length > 280 ? `${lines.slice(0, 280)} …` : lines
}

/** Characters searched for the first line. */
const FIRST = 5000

/** The beginning of the first message of conversations or preference pairs in JSON. */
const MESSAGE = /^\s*\{.*?"(?:content|value|prompt)":\s*"([^"\\]+)/

/** As many words as fit into `most` characters, from the first line with at least `least` characters; shorter lines are mostly titles. */
export function firstWords(text: string, most: number, least = most): string {
  const lines = (MESSAGE.exec(text.slice(0, FIRST))?.[1] ?? text)
    .slice(0, FIRST)
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
  const line = lines.find(({ length }) => length >= least) ?? lines[0] ?? ''
  return line.length > most ? beginning(line.slice(0, most + 1).replace(/\s+\S*$/, ''), most) : line
}

/** Computes the statistics of a text; null if `stopped` returns true meanwhile. */
export async function measure(text: string, stopped: () => boolean): Promise<Look | null> {
  const known = new Uint8Array(CODE_POINTS)
  const look: Look = { bytes: 0, characters: 0, different: 0, lines: text && !text.endsWith('\n') ? 1 : 0, words: 0 }
  let end = 0
  for (let start = 0; start < text.length;) {
    if (performance.now() >= end) {
      await turn()
      if (stopped()) return null
      end = performance.now() + LONG
    }
    const slice = beginning(text.slice(start, start + BETWEEN), BETWEEN)
    look.words += slice.match(/\S+/g)?.length ?? 0
    // A word across the slice boundary was counted twice.
    if (start > 0 && /^\S/.test(slice) && /\S/.test(text[start - 1] ?? '')) look.words -= 1
    for (let i = 0; i < slice.length; i += 1) {
      const code = slice.codePointAt(i) ?? 0
      if (code > 0xffff) i += 1
      look.characters += 1
      look.bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
      if (code === 10) look.lines += 1
      if (!known[code]) look.different += known[code] = 1
    }
    start += slice.length
  }
  return look
}

/** Reads a file as UTF-8. The error for another encoding says how to convert it. */
export async function readText(file: File): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const reader = file.stream().getReader()
  const parts: string[] = []
  let sinceTurn = 0
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      parts.push(decoder.decode(next.value, { stream: true }))
      // Buffered data arrives without a new task, so yield to the page after every slice.
      sinceTurn += next.value.length
      if (sinceTurn < READ_SLICE) continue
      await turn()
      sinceTurn = 0
    }
    parts.push(decoder.decode())
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    const [first = 0, second = 0] = new Uint8Array(await file.slice(0, 2).arrayBuffer())
    // The byte order mark of UTF-16, in either order.
    const encoding = first + second === 0xff + 0xfe ? 'UTF-16' : 'not UTF-8'
    throw new Error(`${file.name} is ${encoding} text. Open it in an editor and save it as UTF-8.`, { cause: error })
  }
  return parts.join('')
}
