// The name of the next run: one that neither a stored run nor one that is open in a tab has.

import { freeName, isTaken } from './form'
import { get, set, unlocked } from './state.svelte'
import { openElsewhere } from './tabs'

/** Finds out which runs are open in other tabs. */
export async function lookAround(): Promise<void> {
  const { phase, run } = get()
  // The name of a run that is being prepared here is locked, too.
  if (phase === 'preparing') return
  set({ elsewhere: await openElsewhere(run?.config.name) })
  freshName()
}

/** Once the settings are unlocked, they describe the next run, which needs a new name. */
export function freshName(): void {
  if (!unlocked(get())) return
  const notice = takeFreeName()
  if (notice) set({ notice })
}

/** Gives the next run a free name. Returns a notice if another tab has taken the one in the form. */
export function takeFreeName(): string | null {
  const state = get()
  const { form, elsewhere } = state
  if (!form || (form.name && !isTaken(form.name, state))) return null
  const name = freeName(form.name.replace(/-\d+$/, '') || 'run', state)
  set({ form: { ...form, name } })
  return elsewhere.includes(form.name) ? `${form.name} is open in another tab, so the next run is named ${name}.` : null
}
