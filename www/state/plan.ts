// Time, memory and energy that the form's run would need, and warnings if that is much.

import { bytes, compact, duration, figure } from '../lib/format'
import { rateOf } from './rate'
import { type State, unlocked } from './state.svelte'
import type { Estimate, RunConfig } from '../types'

/** Assumed power of a laptop under load, in watts. */
export const WATTS = 30

const MUCH = { seconds: 30 * 60, parameters: 50e6 }
/** Bytes a tab can use; phones and small machines allow much less. */
const ROOM = { small: 5e8, usual: 2e9 }

function room(): number {
  const { userAgent, deviceMemory = 8 } = navigator as Navigator & { deviceMemory?: number }
  return /Android|iPhone|iPad|Mobile/.test(userAgent) || deviceMemory < 4 ? ROOM.small : ROOM.usual
}

/** Share of a training step's arithmetic that a forward pass takes. */
const FORWARD = 1 / 3
/** Assumed bytes per token of a subword tokenizer before it is trained. */
const PIECE = 3

/** Tokens evaluated for validation over the whole run. */
function validated({ look }: State, { tokenizer, train, data }: RunConfig): number {
  const times = train.eval_every ? Math.ceil(train.steps / train.eval_every) : 1
  const tokens = { char: look?.characters, byte: look?.bytes }[tokenizer] ?? (look?.bytes ?? 0) / PIECE
  return times * data.val_fraction * tokens
}

/** Estimated duration of the form's run in seconds; null until its speed has been measured. */
export function seconds(state: State): number | null {
  const { device, rates } = state
  const config = unlocked(state) ? state.fresh : state.form
  if (!config || !device) return null
  const { train, data } = config
  const speed = rateOf(rates, device, config)
  const trained = train.steps * train.batch_size * train.grad_accum * data.seq_len
  return speed && (trained + FORWARD * validated(state, config)) / speed
}

/** Bytes needed for training: weights, optimizer state, and the larger of gradients and activations. */
export const memory = ({ estimate }: Pick<State, 'estimate'>): number | null => estimate && estimate.step_bytes

/** Number of parameters; with adapters, also the number of trainable ones. */
export const trained = ({ parameters, trained_parameters: own }: Estimate): string =>
  own === parameters ? compact(own) : `${compact(own)} trainable of ${compact(parameters)}`

export function energy(seconds: number): string {
  const hours = (seconds * WATTS) / 3600
  if (hours < 0.1) return 'under 0.1 Wh'
  return `about ${hours < 1000 ? `${figure(hours)} Wh` : `${figure(hours / 1000)} kWh`}`
}

/** Reasons to ask for confirmation, one sentence each; empty for a light run. */
export function heavy(state: State): string[] {
  const [time, size, parameters] = [seconds(state), memory(state), state.estimate?.parameters]
  const reasons: string[] = []
  if (parameters && parameters > MUCH.parameters)
    reasons.push(`It has ${compact(parameters)} parameters and needs a fast graphics card.`)
  if (size && size > room())
    reasons.push(`It needs about ${bytes(size)} of memory, more than many browsers give a tab. The tab may crash.`)
  if (time && time > MUCH.seconds)
    reasons.push(`It takes about ${duration(time)} and ${energy(time)}. You can pause at any time and resume later.`)
  return reasons
}
