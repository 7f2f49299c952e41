// Speculative decoding: the choice of a draft, and how many of its tokens were accepted.

import { percent } from '../lib/format'
import type { Setting } from './settings'
import type { Draft, DraftStats, Drawn, Explanation, RunInfo, RunSummary, Speculation, Token } from '../types'

export interface DraftChoice {
  /** Key of a draft as in `drafts`; empty for none. */
  who: string
  /** Tokens proposed per pass of the model. */
  length: number
}

export const noDraft = (): DraftChoice => ({ who: '', length: 4 })

/** Drafts available for the current run, each with its label. */
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
    ['ngram', 'n-grams of the text'],
    ...kept.filter((one) => one < step).map((one): [string, string] => [`step:${one}`, `step ${one}`]),
    ...alike.map(({ name }): [string, string] => [`run:${name}`, name]),
  ]
}

/** The choice as the engine expects it. */
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

/** Settings of a draft; `choices` are the available drafts. */
export const draftSettings = (
  choices: [string, string][],
): (Omit<Setting, 'group' | 'heading'> & Partial<Explanation> & { name: keyof DraftChoice })[] => [
  {
    name: 'who',
    label: 'Draft',
    kind: 'choice',
    choices,
    tip: 'Speculative decoding: a draft proposes the next tokens, and the model checks all of them in one pass. The text stays the same but needs fewer passes. The draft is usually a model a tenth as large; n-grams need no second model.',
    source: 'Leviathan et al. 2023; n-grams: Saxena 2023',
  },
  {
    name: 'length',
    label: 'Draft length',
    unit: 'tokens',
    kind: 'whole',
    min: 1,
    tip: 'Tokens proposed per pass. A longer draft saves more passes if its tokens are accepted, and wastes more work if not. Usually 3–5; 10 for n-grams.',
  },
]

/** Whether the token drawn is the one the draft proposed. */
export const guessed = ({ token, guessed: [guess] }: Drawn): boolean => guess?.id === token.id

/** One pass of the model: the proposed tokens, and those drawn. */
export interface Pass {
  guesses: Token[]
  drawn: Token[]
  right: number
}

/** Groups drawn tokens by pass. A pass ends with the first token that differs from the draft's. */
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

/** Acceptance of a draft, in one line. */
export const saidOf = ({ proposed, accepted, passes }: DraftStats, tokens: number): string =>
  `${accepted} of ${proposed} draft tokens accepted${proposed ? ` (${percent(accepted / proposed)})` : ''}, ${(tokens / passes).toFixed(2)} tokens per pass`
