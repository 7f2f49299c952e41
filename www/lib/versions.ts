// Registers the service worker, which keeps the page available offline, and detects new versions.

/** Interval between checks for a new version, in milliseconds. */
const EVERY = 3_600_000

/** Calls `found` with a function that activates the new version, once one is waiting. */
export async function followVersions(found: (take: () => void) => void): Promise<void> {
  // A development server has no built files to cache, and an insecure page may not register a service worker.
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return
  const container = navigator.serviceWorker
  const registration = await container.register('./service-worker.js', { updateViaCache: 'none' })
  const reload = (): void => location.reload()
  const offer = (): void => {
    // Without a controller this is the first version: nothing to announce.
    if (!registration.waiting || !container.controller) return
    found(() => {
      container.addEventListener('controllerchange', reload, { once: true })
      registration.waiting?.postMessage('take over')
    })
  }
  offer()
  registration.addEventListener('updatefound', () => registration.installing?.addEventListener('statechange', offer))
  // Another tab activated the new version: this one keeps running until it is reloaded.
  if (container.controller) container.addEventListener('controllerchange', () => found(reload))
  setInterval(() => void registration.update().catch(() => undefined), EVERY)
}
