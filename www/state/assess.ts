// What the form's settings imply, as decided by the engine: settings that follow from others, the fresh run, its costs and problems.

import { inOneLine } from '../lib/error'
import { seconds } from './plan'
import { withRate } from './rate'
import { ask, current } from './session'
import { get, set, unlocked, vocabSize } from './state.svelte'
import type { FormSettings, RunConfig } from '../types'

/** Characters of a text, up to the end of their line, by which the engine decides its kind. */
const BEGINNING = 1e5
/** The beginning of a text, with its first lines whole: a record that is cut off is not JSON. */
const beginning = (text: string): string => text.slice(0, text.indexOf('\n', BEGINNING) + 1 || undefined)

/** The form must be unchanged for this long before its speed is measured. */
const CALM_MS = 300

let asked = 0
let calm: ReturnType<typeof setTimeout> | undefined
/** The running measurement; the engine measures one configuration at a time. */
let measured = Promise.resolve()

/** The text whose kind is known. */
let classified: unknown = null

/** The form as the engine fills it in. */
export async function filledIn(): Promise<FormSettings> {
  const { base, form, given, preset, kind, device } = get()
  const engine = current()
  if (!engine || !base || !form) throw new Error('The engine is not running. Restart it.')
  const named = { ...base, name: form.name }
  return engine.call('form', named, given, preset, kind, vocabSize(form.tokenizer, get()), device)
}

/** Asks the engine what follows from the form and, if the form may be changed, what its run would cost. Only the newest answer counts. */
export async function assess(): Promise<void> {
  const { base, text, phase } = get()
  const engine = current()
  if (!engine || !base || phase === 'broken') return
  const own = ++asked
  clearTimeout(calm)
  try {
    if (text !== classified && unlocked(get())) {
      const kind = await engine.call('kind_of', beginning(text.text))
      if (own !== asked) return
      classified = text
      set({ kind })
    }
    const { config, defaults, unusual, fresh, estimate, problem } = await filledIn()
    if (own !== asked) return
    set({ defaults, unusual })
    if (!unlocked(get())) return
    const empty = text.text ? null : 'There is no text yet. Choose one under Data.'
    // The name may have changed meanwhile.
    set({ form: { ...config, name: get().form?.name ?? config.name }, fresh, estimate, problem: problem ?? empty })
    // What was measured when the engine crashed may have been the cause.
    const measuring = !problem && !get().crash && seconds(get()) === null
    set({ measuring })
    const next = (): Promise<void> => measure(own, fresh)
    if (measuring) calm = setTimeout(() => (measured = measured.then(next)), CALM_MS)
  } catch (error) {
    if (own === asked && unlocked(get())) set({ estimate: null, problem: inOneLine(error) })
  }
}

/** Measures the training speed of a configuration, unless a newer one was requested meanwhile. */
async function measure(own: number, config: RunConfig): Promise<void> {
  const { device } = get()
  if (own !== asked) return
  if (!device || !unlocked(get())) return set({ measuring: false })
  try {
    const { tokens_per_second: speed } = await ask({ type: 'speed', config })
    if (speed !== null) set({ rates: withRate(get().rates, device, config, speed) })
  } catch {
    // Problems with the device or the settings are reported when they are used; training measures the speed too.
  }
  if (own === asked) set({ measuring: false })
}
