// Makes the page work offline: every built file is cached at installation and served from the cache.

declare const self: ServiceWorkerGlobalScope
/** The built files relative to the page, and a version that changes with their content; set by vite.config.ts. */
declare const FILES: string[]
declare const VERSION: string

const { scope } = self.registration
/** Prefix of cache names: caches are shared by all pages of an origin, and this page may be served from several folders. */
const PREFIX = `blankslate ${scope} `
const CACHE = PREFIX + VERSION

const address = (file: string): string => new URL(file, scope).href
const files = FILES
const kept = new Set(files.map(address))

async function keep(cache: Cache, file: string): Promise<void> {
  const url = address(file)
  // A file with a hash in its name has not changed since the previous version.
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
