// Other tabs with this page. They share its storage, so the engine locks the name of the run that is open in it.

/** Prefix of the locks: the directory of the runs. */
const RUNS = 'blankslate-runs/'

/** Names of the runs that are open in other tabs; `own` is the run of this one. */
export async function openElsewhere(own: string | undefined): Promise<string[]> {
  // Pages opened over http have no locks.
  if (!('locks' in navigator)) return []
  const { held = [] } = await navigator.locks.query()
  return held
    .filter(({ name }) => name?.startsWith(RUNS))
    .map(({ name = '' }) => name.slice(RUNS.length))
    .filter((name) => name !== own)
}

let channel: BroadcastChannel | undefined

/** Milliseconds until a lock of a closing tab is released. */
const CLOSING_MS = 300

/** Calls `look` when another tab has opened, saved, deleted or closed a run, and when this one is returned to. */
export function hearOthers(look: () => void): void {
  channel ??= new BroadcastChannel('blankslate')
  channel.onmessage = () => setTimeout(look, CLOSING_MS)
  addEventListener('focus', look)
  addEventListener('pagehide', tellOthers)
}

export const tellOthers = (): void => channel?.postMessage(null)
