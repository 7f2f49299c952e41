// What training by the form would take, and whether that is much.

import { resolved } from './form'
import { bytes, compact, duration } from '../lib/format'
import { rateOf } from './rate'
import { type State, unlocked, vocabSize } from './state.svelte'
import type { Estimate, RunConfig } from '../types'

/** What a laptop draws while it computes. */
export const WATTS = 30

const MUCH = { seconds: 30 * 60, parameters: 50e6 }
/** Bytes that a tab can take: phones and small machines end it much earlier. */
const ROOM = { small: 5e8, usual: 2e9 }

function room(): number {
  const { userAgent, deviceMemory = 8 } = navigator as Navigator & { deviceMemory?: number }
  return /Android|iPhone|iPad|Mobile/.test(userAgent) || deviceMemory < 4 ? ROOM.small : ROOM.usual
}

/** A forward pass alone is a third of a step's arithmetic. */
const FORWARD = 1 / 3
/** Bytes of a token where text is cut into pieces that are not known yet. */
const PIECE = 3

/** Tokens that are read to validate, all the times of a run together. */
function validated({ look }: State, { tokenizer, train, data }: RunConfig): number {
  const times = train.eval_every ? Math.ceil(train.steps / train.eval_every) : 1
  const tokens = { char: look?.characters, byte: look?.bytes }[tokenizer] ?? (look?.bytes ?? 0) / PIECE
  return times * data.val_fraction * tokens
}

/** Seconds that the form's run takes, once the speed of its steps was measured. */
export function seconds(state: State): number | null {
  const { form, device, rates } = state
  if (!form || !device) return null
  // What is left of adapters in the form is the run's at hand, not a fresh one's.
  const { train, data } = unlocked(state) ? resolved(form) : form
  const speed = rateOf(rates, device, { ...form, train }, vocabSize(form.tokenizer, state))
  const trained = train.steps * train.batch_size * train.grad_accum * data.seq_len
  return speed && (trained + FORWARD * validated(state, form)) / speed
}

/** Bytes while training: weights, gradients, the optimizer's moments, activations. */
export const memory = ({ estimate }: State): number | null =>
  estimate && estimate.state_bytes + estimate.activation_bytes

/** How many parameters there are, and how many are trained where those are others. */
export const trained = ({ parameters, trained_parameters: own }: Estimate): string =>
  own === parameters ? compact(own) : `${compact(own)} trained, ${compact(parameters)} in the model`

export function energy(seconds: number): string {
  const hours = (seconds * WATTS) / 3600
  if (hours < 0.1) return 'under 0.1 Wh'
  return hours < 1000 ? `about ${hours.toPrecision(2)} Wh` : `about ${(hours / 1000).toPrecision(2)} kWh`
}

/** What speaks for thinking twice, each as a sentence; empty for a light run. */
export function heavy(state: State): string[] {
  const [time, size, parameters] = [seconds(state), memory(state), state.estimate?.parameters]
  const reasons: string[] = []
  if (parameters && parameters > MUCH.parameters)
    reasons.push(`${compact(parameters)} parameters: this wants a fast graphics card.`)
  if (size && size > room())
    reasons.push(`About ${bytes(size)} of memory: more than many tabs are given. The tab may crash.`)
  if (time && time > MUCH.seconds)
    reasons.push(`About ${duration(time)} and ${energy(time)}. You can pause at any time and go on later.`)
  return reasons
}
