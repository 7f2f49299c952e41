// Keeps the screen on while a model is made and trained: a phone that falls asleep stops the tab.

import { busy, page } from './state.svelte'

/** To be called while a component is set up. */
export function stayAwake(): void {
  const working = $derived(busy(page))
  $effect(() => {
    if (!working || !('wakeLock' in navigator)) return
    let over = false
    let lock: WakeLockSentinel | null = null
    // The browser lets go of it when the tab is hidden, and refuses it where the battery is low.
    const hold = async (): Promise<void> => {
      if (document.visibilityState !== 'visible' || lock?.released === false) return
      lock = await navigator.wakeLock.request('screen').catch(() => null)
      if (over) void lock?.release()
    }
    void hold()
    document.addEventListener('visibilitychange', hold)
    return () => {
      over = true
      document.removeEventListener('visibilitychange', hold)
      void lock?.release()
    }
  })
}
