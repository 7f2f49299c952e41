// A piece of the Rust sources, as `excerpt.plugin.ts` cuts it, and its words by kind.

export interface Excerpt {
  path: string
  /** The function it is of. */
  name: string
  /** Where it begins in the file. */
  line: number
  code: string
  /** The address of the whole file. */
  whole: string
}

export type Kind = 'comment' | 'keyword' | 'plain'

const WORDS =
  'as|break|const|else|false|fn|for|if|impl|in|let|loop|match|move|mut|None|pub|return|self|Self|Some|true|while'
const PARTS = new RegExp(`(?<comment>//[^\\n]*)|(?<keyword>\\b(?:${WORDS})\\b)`, 'g')

/** The code in pieces, each of one kind. */
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
