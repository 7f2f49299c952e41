// Serves the page where there is no network: every built file is kept at installation and served from there.

declare const self: ServiceWorkerGlobalScope
/** The built files below the page's folder, and a name that changes when one of them does: from vite.config.ts. */
declare const FILES: string[]
declare const VERSION: string

const { scope } = self.registration
/** An origin's caches belong to all its pages, and this one may be served from several folders. */
const PREFIX = `blankslate ${scope} `
const CACHE = PREFIX + VERSION

const address = (file: string): string => new URL(file, scope).href
const files = FILES
const kept = new Set(files.map(address))

async function keep(cache: Cache, file: string): Promise<void> {
  const url = address(file)
  // A hash in the name says that the content is the same as in the version before.
  const hashed = file.startsWith('assets/')
  const known = hashed ? await caches.match(url) : undefined
  const response = known ?? (await fetch(url, { cache: hashed ? 'default' : 'no-cache' }))
  if (!response.ok) throw new Error(`${url}: ${response.status}`)
  // A browser takes no redirected answer for a page.
  const { body, status, headers, redirected } = response
  await cache.put(url, redirected ? new Response(body, { status, headers }) : response)
}

async function install(): Promise<void> {
  const cache = await caches.open(CACHE)
  await Promise.all(files.map((file) => keep(cache, file)))
}

async function activate(): Promise<void> {
  const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE)
  await Promise.all(old.map((name) => caches.delete(name)))
  await self.clients.claim()
}

/** The kept answer, headers and all: they isolate the page from others. */
async function answer(url: string, request: Request): Promise<Response> {
  const cache = await caches.open(CACHE)
  return (await cache.match(url)) ?? fetch(request)
}

self.addEventListener('install', (event) => event.waitUntil(install()))
self.addEventListener('activate', (event) => event.waitUntil(activate()))
self.addEventListener('message', ({ data }) => data === 'take over' && void self.skipWaiting())
self.addEventListener('fetch', (event) => {
  const { request } = event
  if (request.method !== 'GET') return
  const url = new URL(request.url)
  url.search = url.hash = ''
  const href = url.href === address('index.html') ? scope : url.href
  if (kept.has(href)) event.respondWith(answer(href, request))
})

export {}
