// Finds stored runs that can be compared: trained on the same text with the same tokenizer.

import * as memory from '../../state/memory'
import type { RunSummary } from '../../types'
import { type Measured, bestOfEachSize } from './scaling'

export interface Group {
  /** The text and the tokenizer. */
  label: string
  runs: Measured[]
}

/** The group with the most distinct model sizes; null if no run has a validation loss. */
export async function comparable(runs: RunSummary[]): Promise<Group | null> {
  const groups = new Map<string, Group>()
  for (const { name, config, parameters, best_val_loss: loss, tokens_seen: tokens } of runs) {
    if (!config || loss === null || parameters <= 0) continue
    const known = await memory.recall(name)
    if (!known) continue
    const { data, tokenizer } = config
    const key = JSON.stringify([
      known.text === null ? '' : known.label,
      known.text?.length,
      tokenizer,
      data.val_fraction,
    ])
    const group = groups.get(key) ?? {
      label: `${known.label}, ${tokenizer === 'char' ? 'characters' : tokenizer}`,
      runs: [],
    }
    group.runs.push({ name, parameters, loss, tokens })
    groups.set(key, group)
  }
  const sizes = ({ runs }: Group): number => bestOfEachSize(runs).length
  return [...groups.values()].sort((a, b) => sizes(b) - sizes(a))[0] ?? null
}
