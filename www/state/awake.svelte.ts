// Keeps the screen on while a model is prepared or trained: a phone that goes to sleep suspends the tab.

import { busy, page } from './state.svelte'

/** Must be called during component initialization. */
export function stayAwake(): void {
  const working = $derived(busy(page))
  $effect(() => {
    if (!working || !('wakeLock' in navigator)) return
    let over = false
    let lock: WakeLockSentinel | null = null
    // The browser releases the lock when the tab is hidden, and may refuse it if the battery is low.
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
