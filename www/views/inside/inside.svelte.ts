// State of Look inside: the text and options, the answer of the engine, and the query.

import { type AnswerTo } from '../../engine/wire'
import { inOneLine } from '../../lib/error'
import { turn } from '../../state/look'
import { ask } from '../../state/session'
import { askable, page } from '../../state/state.svelte'
import type { Inspection, Part } from '../../types'

export const TABS = ['attention', 'layers', 'sampling', 'map', 'weights', 'circuits', 'neurons', 'cached'] as const
export type Tab = (typeof TABS)[number]

/** Bounds of the number of likely tokens listed per position, and the total: unpacking too many would block the page. */
const [FEWEST, MOST, ALL] = [3, 8, 10_000]
function named(text: string): number {
  const places = Math.min(text.length, 256) * ((page.run?.config.model.num_hidden_layers ?? 0) + 1)
  return Math.max(FEWEST, Math.min(MOST, Math.floor(ALL / places)))
}

class Inside {
  tab = $state.raw<Tab>('attention')
  text = $state.raw('')
  /** Step of a kept checkpoint; null for the current model. */
  step = $state.raw<number | null>(null)
  /** Parts that are switched off. */
  off = $state.raw<Part[]>([])
  /** Refreshes during training. */
  follow = $state.raw(true)

  seen = $state.raw<Inspection | null>(null)
  asking = $state.raw(false)
  problem = $state.raw<string | null>(null)

  /** The selected token, layer and head. */
  token = $state.raw(0)
  layer = $state.raw(0)
  head = $state.raw(0)
}

export const inside = new Inside()

let again = false
/** Incremented with every model: answers about an earlier one are ignored. */
let model = 0

/** Inspects the model with the current options. Only one query runs at a time; changes meanwhile cause one more. */
export async function look(): Promise<void> {
  if (!askable(page) || inside.text === '') return
  if (inside.asking) {
    again = true
    return
  }
  inside.asking = true
  const own = model
  do {
    again = false
    const { text, step, off } = inside
    try {
      const answer = await ask({ type: 'inspect', text, step, ablate: off, top: named(text) })
      // Unpacking a large answer takes long: yield to the page before showing it.
      await turn()
      if (own !== model) return
      show(answer)
      inside.problem = null
    } catch (error) {
      if (own !== model) return
      inside.problem = inOneLine(error)
    }
  } while (again)
  inside.asking = false
}

function show({ inspection }: AnswerTo<'inspect'>): void {
  const before = inside.seen?.tokens.length
  const { tokens, layers, heads } = inspection
  inside.seen = inspection
  if (before !== tokens.length || inside.token >= tokens.length) inside.token = tokens.length - 1
  inside.layer = Math.min(inside.layer, layers - 1)
  inside.head = Math.min(inside.head, heads - 1)
}

/** Clears everything when another model is loaded. */
export function forget(): void {
  model += 1
  Object.assign(inside, { asking: false, seen: null, step: null, off: [], problem: null })
}

export const isOff = (off: Part[], layer: number, head: number | null, neuron: number | null = null): boolean =>
  off.some((part) => part.layer === layer && part.head === head && part.neuron === neuron)

/** Switches a part off or back on, and inspects the model again. */
export function toggle(layer: number, head: number | null, neuron: number | null = null): void {
  const { off } = inside
  inside.off = isOff(off, layer, head, neuron)
    ? off.filter((part) => !isOff([part], layer, head, neuron))
    : [...off, { layer, head, neuron }]
  void look()
}

/** An attention weight with useful precision. */
export const share = (weight: number): string => weight.toFixed(weight < 0.095 && weight > 0 ? 3 : 2)

/** Display name of a part; layers, heads and neurons are counted from 1. */
export function partName(layer: number, head: number | null, neuron: number | null = null): string {
  if (head !== null) return `layer ${layer + 1}, head ${head + 1}`
  return neuron === null ? `MLP of layer ${layer + 1}` : `neuron ${neuron + 1} of layer ${layer + 1}`
}

export const mean = (values: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < values.length; i += 1) sum += values[i] ?? 0
  return values.length ? sum / values.length : 0
}
