// An excerpt of the Rust sources, as extracted by `excerpt.plugin.ts`, and its syntax highlighting.

export interface Excerpt {
  path: string
  /** Name of the function. */
  name: string
  /** First and last line in the file, counted from 1. */
  lines: [first: number, last: number]
  /** URL of the whole file. */
  whole: string
}

/** Loads the code of an excerpt, without attributes and common indentation. */
export async function codeOf({ whole, lines: [first, last] }: Excerpt): Promise<string> {
  const response = await fetch(whole)
  if (!response.ok) throw new Error(`${whole}: ${response.status}`)
  const all = (await response.text()).split('\n').slice(first - 1, last)
  const kept = all.filter((line) => !line.trim().startsWith('#['))
  const margin = Math.min(...kept.filter((line) => line.trim()).map((line) => line.search(/\S/)))
  return kept.map((line) => line.slice(margin)).join('\n')
}

export type Kind = 'comment' | 'keyword' | 'plain'

const WORDS =
  'as|break|const|else|false|fn|for|if|impl|in|let|loop|match|move|mut|None|pub|return|self|Self|Some|true|while'
const PARTS = new RegExp(`(?<comment>//[^\\n]*)|(?<keyword>\\b(?:${WORDS})\\b)`, 'g')

/** Splits code into pieces of one kind each. */
export function coloured(code: string): [kind: Kind, text: string][] {
  const pieces: [Kind, string][] = []
  let done = 0
  for (const found of code.matchAll(PARTS)) {
    if (found.index > done) pieces.push(['plain', code.slice(done, found.index)])
    pieces.push([found.groups?.['comment'] ? 'comment' : 'keyword', found[0]])
    done = found.index + found[0].length
  }
  if (done < code.length) pieces.push(['plain', code.slice(done)])
  return pieces
}
