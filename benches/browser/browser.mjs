// Shared by the benchmarks in a browser: Chromium, a server for its pages, and opening a contestant's page. Each contestant provides its
// functions as `window.peer`.
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { chromium } from 'playwright-core'

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' }

/** Options: paths of our page and of the browser, and the WebGPU adapter. */
export const OPTIONS = {
  page: { type: 'string' },
  chromium: { type: 'string' },
  adapter: { type: 'string', default: 'swiftshader' },
}

/** Serves files; `find` maps the parts of an address to a path. */
export async function serve(find) {
  const server = http.createServer((request, response) => {
    const file = find(...decodeURIComponent(request.url.split('?')[0]).split('/').slice(1))
    const about = fs.statSync(file, { throwIfNoEntry: false })
    if (!about?.isFile()) return response.writeHead(404).end()
    response.writeHead(200, {
      'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream',
      'content-length': about.size,
      // Only a cross-origin isolated page may use threads.
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    })
    fs.createReadStream(file).pipe(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() }
}

/** Starts Chromium with the given WebGPU adapter, or with the machine's own. */
export async function launch({ chromium: executablePath, adapter }) {
  const browser = await chromium.launch({
    executablePath,
    headless: true,
    args: ['--no-sandbox', '--enable-unsafe-webgpu', ...(adapter === 'default' ? [] : [`--use-webgpu-adapter=${adapter}`]),
      '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
  console.error(`Chromium ${browser.version()}`)
  return browser
}

/** Opens a contestant's page in a context of its own and waits until it is ready. */
export async function enter(browser, url) {
  const page = await (await browser.newContext()).newPage()
  page.setDefaultTimeout(0)
  const failed = new Promise((_, refuse) => page.on('pageerror', refuse))
  await page.goto(url)
  await Promise.race([page.waitForFunction(() => window.peer), failed])
  return page
}
