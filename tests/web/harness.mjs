// Basis of every browser test: serves dist/ on a free port and opens it in headless Chromium.
//
//   import { open } from './harness.mjs'
//   const { page, errors, close } = await open()
//   try { … } finally { await close() }
//
// `cargo xtask test --only web` builds dist/ first. `node --test tests/web/NAME.test.mjs` uses the existing dist/, or the folder named by
// $BLANKSLATE_DIST.
import fs from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const DIST = process.env.BLANKSLATE_DIST ?? path.join(ROOT, 'dist')

/** The content security policy of the page, which `cargo xtask web` sends too. */
const POLICY = fs.readFileSync(path.join(ROOT, 'www/policy.txt'), 'utf8').trim()

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webmanifest': 'application/manifest+json',
}

/**
 * The `skip` option of a test that needs something this machine may lack: the reason, or false if nothing is missing.
 * `cargo xtask test` lists the reasons at the end. With CI=true a missing browser, adapter or program is an error instead.
 *
 * @param {string | false | undefined} missing what is missing and how to get it
 */
export function skipWithout(missing) {
  if (!missing) return false
  if (process.env.CI === 'true') throw new Error(`${missing}. With CI=true tests are not skipped`)
  console.error(`NOT COVERED HERE: ${missing}`)
  if (process.env.BLANKSLATE_NOT_COVERED) fs.appendFileSync(process.env.BLANKSLATE_NOT_COVERED, `${missing}\n`)
  return missing
}

/** Adds axe, accessibility's rules, to a page as `window.axe`. A script element with its source would violate the page's policy. */
export async function addAxe(page) {
  const source = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  await page.evaluate(`${source}\nnull`)
}

/** Path of the browser: $CHROMIUM (set by `cargo xtask test`), or the first of the usual names in PATH. */
export function browserPath() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/bin']
  for (const name of ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']) {
    const found = folders.map((folder) => path.join(folder, name)).find((file) => fs.existsSync(file))
    if (found) return found
  }
  throw new Error('no Chromium found: install it, or set CHROMIUM to its path')
}

/** Serves a folder on a free port of 127.0.0.1, with the headers that `cargo xtask web` sends. */
export async function serve(folder = DIST) {
  if (!fs.existsSync(path.join(folder, 'index.html'))) {
    throw new Error(`${folder} has no index.html: run \`cargo xtask web --no-serve\` first`)
  }
  const requests = []
  const server = http.createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const name = decodeURIComponent(url.pathname)
    requests.push(name)
    if (name === '/favicon.ico') {
      response.writeHead(204).end() // every browser requests it
      return
    }
    const file = path.join(folder, name.endsWith('/') ? `${name}index.html` : name)
    if (!file.startsWith(folder) || !fs.existsSync(file) || !fs.statSync(file).isFile()) {
      response.writeHead(404).end('no such file')
      return
    }
    response.writeHead(200, {
      'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream',
      'content-length': fs.statSync(file).size,
      'cache-control': 'no-cache',
      ...(/\bbench/.test(name) ? {} : { 'content-security-policy': POLICY }),
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'cross-origin-resource-policy': 'same-origin',
    })
    fs.createReadStream(file).pipe(response)
  })
  await new Promise((done, fail) => server.once('error', fail).listen(0, '127.0.0.1', done))
  const close = async () => {
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  }
  return { url: `http://127.0.0.1:${server.address().port}/`, requests, close }
}

/**
 * Flags with which Debian's Chromium runs WebGPU without a GPU.
 * @param {'swiftshader' | 'default' | 'off'} webgpu
 */
function flags(webgpu) {
  const adapter = {
    swiftshader: ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
    default: ['--enable-unsafe-webgpu'],
    off: ['--disable-features=WebGPU'],
  }[webgpu]
  return [
    ...adapter,
    '--headless=new',
    '--no-sandbox',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ]
}

/**
 * Opens a page of dist/ in a new browser.
 *
 * @param {object} [options]
 * @param {'swiftshader' | 'default' | 'off'} [options.webgpu] a software adapter, the machine's own, or none
 * @param {string} [options.path] path below dist/ to open
 * @param {string} [options.folder] folder to serve instead of dist/
 * @param {boolean} [options.kept] allow the service worker
 * @param {number} [options.timeout] maximum milliseconds of each wait
 * @param {(context: import('playwright-core').BrowserContext) => Promise<void>} [options.before] runs before the page opens
 * @param {boolean} [options.expert] turn on “Expert”; false for the page of a first visitor
 * @param {boolean} [options.verbose] print the page's console
 * @returns {Promise<{page: import('playwright-core').Page, context: import('playwright-core').BrowserContext,
 *   url: string, errors: string[], requests: string[], unplug: () => Promise<void>, close: () => Promise<void>}>} `errors`
 *   collects console errors and uncaught ones, `requests` the requested paths; `unplug` disconnects the network
 */
export async function open({
  webgpu = 'swiftshader',
  path: name = '',
  folder = DIST,
  kept = false,
  timeout = 60_000,
  before,
  expert = true,
  verbose = false,
} = {}) {
  const server = await serve(folder)
  let browser
  let serving = true
  const stop = async () => {
    if (serving) await server.close()
    serving = false
  }
  const close = async () => {
    await browser?.close()
    await stop()
  }
  try {
    browser = await chromium.launch({ executablePath: browserPath(), args: flags(webgpu), timeout: 60_000 })
    // The service worker downloads the whole page once more: allow it only in tests of it.
    const context = await browser.newContext({ serviceWorkers: kept ? 'allow' : 'block' })
    context.setDefaultTimeout(timeout)
    // The flag alone leaves navigator.gpu without adapters; browsers without WebGPU lack the property.
    // (In a worker, navigator.gpu stays; there the flag removes the adapters.)
    if (webgpu === 'off') {
      await context.addInitScript(() => {
        delete Object.getPrototypeOf(navigator).gpu
      })
    }
    if (expert) {
      await context.addInitScript(() => {
        // A reloaded page keeps its mode.
        if (location.protocol.startsWith('http')) localStorage['blankslate.mode'] ??= 'expert'
      })
    }
    await before?.(context)
    const page = await context.newPage()
    const errors = []
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(`${message.text()} (${message.location().url})`)
      if (verbose) console.error(`[page] ${message.type()}: ${message.text()}`)
    })
    page.on('pageerror', (error) => errors.push(String(error.stack ?? error)))
    page.on('crash', () => errors.push('the page crashed'))
    await page.goto(new URL(name, server.url).href, { timeout })
    const unplug = async () => {
      await context.setOffline(true)
      await stop()
    }
    return { page, context, url: server.url, errors, requests: server.requests, unplug, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Waits until the engine has started and the settings are valid. */
export const ready = (page) => page.locator('#train:enabled').waitFor()

/** Opens all details. */
export const openAll = (page) =>
  page.evaluate(() => document.querySelectorAll('details').forEach((one) => (one.open = true)))

/** Starts a run with these settings. */
export async function begin(page, settings) {
  await openAll(page)
  for (const [name, value] of Object.entries(settings)) await page.getByTestId(`setting-${name}`).fill(String(value))
  await ready(page)
  await page.getByTestId('train').click()
}

/** Makes the page use WebGPU, regardless of its own choice. */
export async function onWebGpu(page) {
  await page.locator('#device:enabled').waitFor()
  await page.getByTestId('device').selectOption('webgpu')
  await page.getByTestId('device-name').filter({ hasText: 'WebGPU' }).waitFor()
}

/** Opens a view: train, write, chat, inside, tokens, runs, learn, device. */
export async function go(page, view) {
  await page.getByTestId(`nav-${view}`).click()
  await page.locator(`.view[data-view="${view}"]`).waitFor()
}

/**
 * Traces the page's main thread. The returned function ends the trace and returns the duration of each task in
 * milliseconds, except for tasks that started in the first `after` milliseconds.
 */
export async function traceTasks(protocol, after = 1000) {
  const events = []
  protocol.on('Tracing.dataCollected', ({ value }) => events.push(...value))
  await protocol.send('Tracing.start', { traceConfig: { includedCategories: ['__metadata', 'toplevel'] } })
  return async () => {
    const complete = new Promise((done) => protocol.once('Tracing.tracingComplete', done))
    await protocol.send('Tracing.end')
    await complete
    const mains = events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
    const of = (main) =>
      events.filter(({ name, pid, tid }) => name.endsWith('RunTask') && pid === main.pid && tid === main.tid)
    // The browser keeps a spare process, which does almost nothing.
    const busy = (tasks) => tasks.reduce((sum, { tdur = 0 }) => sum + tdur, 0)
    const [tasks] = mains.map(of).sort((a, b) => busy(b) - busy(a))
    const first = Math.min(...tasks.map(({ ts }) => ts))
    // CPU time of the thread: other load on the machine does not count.
    return tasks.filter(({ ts, tdur }) => ts > first + 1000 * after && tdur).map(({ tdur }) => tdur / 1000)
  }
}
