// Example sentences from the user's own text, so that its tokenizer knows their characters.

import { firstWords } from '../../state/look'

const FALLBACK = ['To be, or not to be', 'The rest is silence']

/** The first two lines that look like sentences and fit into a small context. */
export function sentencesOf(text: string): [shown: string, asked: string] {
  const lines = text
    .slice(0, 40_000)
    .split('\n')
    .map((line) => line.trim())
    .filter(
      (line) => line.length >= 16 && line.length <= 30 && /\p{Ll}.* .*\p{Ll}/u.test(line) && !/[[\]<>{}]/.test(line),
    )
  const [shown, asked] = [...new Set(lines)]
  if (shown && asked) return [shown, asked]
  const beginning = firstWords(text, 24, 1)
  return beginning ? [shown ?? beginning, firstWords(text, 16, 1)] : [FALLBACK[0] ?? '', FALLBACK[1] ?? '']
}
