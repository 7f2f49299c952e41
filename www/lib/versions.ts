// Keeps the page for times without a network, and hears of new versions of it.

/** How often a page that stays open asks for a new version, in milliseconds. */
const EVERY = 3_600_000

/** Calls `found` when a new version waits; what it is given changes over to that. */
export async function followVersions(found: (take: () => void) => void): Promise<void> {
  // A development server has nothing that could be kept; an insecure page is not allowed to.
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return
  const container = navigator.serviceWorker
  const registration = await container.register('./service-worker.js', { updateViaCache: 'none' })
  const reload = (): void => location.reload()
  const offer = (): void => {
    // Without a controller it is the first version, which is no news.
    if (!registration.waiting || !container.controller) return
    found(() => {
      container.addEventListener('controllerchange', reload, { once: true })
      registration.waiting?.postMessage('take over')
    })
  }
  offer()
  registration.addEventListener('updatefound', () => registration.installing?.addEventListener('statechange', offer))
  // Another tab changed over: this one goes on as it is, until it is reloaded.
  if (container.controller) container.addEventListener('controllerchange', () => found(reload))
  setInterval(() => void registration.update().catch(() => undefined), EVERY)
}
