// What guesses ahead while the model writes, and how well it did.

import { percent } from '../lib/format'
import type { Knob } from '../knobs'
import type { Draft, Drawn, Guesses, RunInfo, RunSummary, Speculation, Token } from '../types'

export interface DraftChoice {
  /** As `drafts` names it; empty for nobody. */
  who: string
  /** Tokens that are guessed at a time. */
  length: number
}

export const noDraft = (): DraftChoice => ({ who: '', length: 4 })

/** Who can guess for the run at hand, each with words for people. */
export function drafts({
  run,
  runs,
  step,
}: {
  run: RunInfo | null
  runs: RunSummary[]
  step: number
}): [who: string, label: string][] {
  const own = run?.config
  const kept = runs.find(({ name }) => name === own?.name)?.kept ?? []
  const alike = runs.filter(
    ({ name, config }) =>
      name !== own?.name && config?.tokenizer === own?.tokenizer && config?.model.vocab_size === own?.model.vocab_size,
  )
  return [
    ['ngram', 'repeats in the text'],
    ...kept.filter((one) => one < step).map((one): [string, string] => [`step:${one}`, `earlier: step ${one}`]),
    ...alike.map(({ name }): [string, string] => [`run:${name}`, name]),
  ]
}

/** The choice in the engine's words. */
export function speculation({ who, length }: DraftChoice): { draft?: Speculation } {
  if (!who) return {}
  const name = who.slice(who.indexOf(':') + 1)
  const draft: Draft =
    who === 'ngram'
      ? { type: 'ngram' }
      : who.startsWith('step:')
        ? { type: 'step', step: Number(name) }
        : { type: 'run', run: name }
  return { draft: { draft, length } }
}

/** The knobs of a draft; `choices` is who can guess. */
export const draftKnobs = (choices: [string, string][]): (Omit<Knob, 'group'> & { name: keyof DraftChoice })[] => [
  {
    name: 'who',
    label: 'Draft',
    kind: 'choice',
    choices,
    tip: 'Guesses the next tokens, which the model checks in one pass: the same text in fewer passes (speculative decoding). Usually a model a tenth as large; repeats need none.',
    source: 'Leviathan et al. 2023; repeats: Saxena 2023',
  },
  {
    name: 'length',
    label: 'Guesses at a time',
    unit: 'tokens',
    kind: 'whole',
    min: 1,
    tip: 'Where guesses are right, more of them save more; where not, they cost more. 3–5 are usual, 10 for repeats.',
  },
]

/** Whether a token is what was guessed for its place. */
export const guessed = ({ token, guessed: [guess] }: Drawn): boolean => guess?.id === token.id

/** One pass of the model: what it was to check, and what it drew from it. */
export interface Pass {
  guesses: Token[]
  drawn: Token[]
  right: number
}

/** The passes that tokens came from: each ends with the first that was not guessed. */
export function passes(all: Drawn[]): Pass[] {
  const found: Pass[] = []
  let last: Pass | undefined
  for (const one of all) {
    if (!last) found.push((last = { guesses: one.guessed, drawn: [], right: 0 }))
    last.drawn.push(one.token)
    if (guessed(one)) last.right += 1
    else last = undefined
  }
  return found
}

/** How well a draft guessed, in one line. */
export const saidOf = ({ made, right, passes }: Guesses, tokens: number): string =>
  `${right} of ${made} guesses right${made ? ` (${percent(right / made)})` : ''}, ${(tokens / passes).toFixed(2)} tokens per pass`
