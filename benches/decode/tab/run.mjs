// Times how fast a model writes in one Chromium, token by token with a cache: our page and transformers.js, interleaved. Prints
// one JSON line per device, round and contestant; all must write the same tokens.
//
// usage: node run.mjs --page FILE --model FOLDER --chromium FILE [--devices cpu,webgpu] [--rounds N] [--tokens N] [--adapter NAME]
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { chromium } from 'playwright-core'

const { values: options } = parseArgs({
  options: {
    page: { type: 'string' },
    model: { type: 'string' },
    chromium: { type: 'string' },
    devices: { type: 'string', default: 'cpu,webgpu' },
    rounds: { type: 'string', default: '3' },
    tokens: { type: 'string', default: '8' },
    adapter: { type: 'string', default: 'swiftshader' },
  },
})
/** What is written on. */
const PROMPT = Array.from({ length: 16 }, (_, i) => 1000 * i + 7)
const COUNT = Number(options.tokens)

const roots = { page: path.dirname(options.page), model: options.model, packages: path.join(import.meta.dirname, 'node_modules') }
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' }
const server = http.createServer((request, response) => {
  const [, root, ...rest] = decodeURIComponent(request.url.split('?')[0]).split('/')
  const file = roots[root] ? path.join(roots[root], ...rest) : path.join(import.meta.dirname, root)
  const { size } = fs.statSync(file, { throwIfNoEntry: false }) ?? {}
  if (size === undefined) return response.writeHead(404).end()
  response.writeHead(200, {
    'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream',
    'content-length': size,
    // Only an isolated page may use threads.
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
  })
  fs.createReadStream(file).pipe(response)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const origin = `http://127.0.0.1:${server.address().port}`

const browser = await chromium.launch({
  executablePath: options.chromium,
  headless: true,
  args: ['--no-sandbox', '--enable-unsafe-webgpu', ...(options.adapter === 'default' ? [] : [`--use-webgpu-adapter=${options.adapter}`]),
    '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
console.error(`Chromium ${browser.version()}`)

/** A contestant's page with the model open on `device`. */
async function open(address, device) {
  const page = await (await browser.newContext()).newPage()
  page.setDefaultTimeout(0)
  const failed = new Promise((_, refuse) => page.on('pageerror', refuse))
  await page.goto(`${origin}/${address}`)
  await Promise.race([page.waitForFunction(() => window.peer), failed])
  const adapter = await page.evaluate((device) => window.peer.open(device), device)
  const { name, version } = await page.evaluate(() => ({ name: window.peer.name, version: window.peer.version }))
  return { page, about: { peer: name, version, adapter } }
}

/** Milliseconds per token after the first, whose time is the prompt's; and the tokens. */
const time = (page) =>
  page.evaluate(
    async ([prompt, count]) => {
      const timed = async (count) => {
        const start = performance.now()
        const ids = await window.peer.write(prompt, count)
        if (ids.length !== count) throw new Error(`${ids.length} tokens instead of ${count}`)
        return { ids, ms: performance.now() - start }
      }
      const first = await timed(1)
      const all = await timed(count + 1)
      return { ms_per_token: (all.ms - first.ms) / count, ids: all.ids }
    },
    [PROMPT, COUNT],
  )

let failed = false
for (const device of options.devices.split(',')) {
  const contestants = []
  for (const address of [`page/${path.basename(options.page)}`, 'transformers.html']) {
    try {
      const contestant = await open(address, device)
      await contestant.page.evaluate((prompt) => window.peer.write(prompt, 2), PROMPT) // compiles what it needs
      contestants.push(contestant)
    } catch (error) {
      failed = true
      console.log(JSON.stringify({ device, peer: path.parse(address).name, error: String(error.message ?? error).slice(0, 500) }))
    }
  }
  let expected
  for (let round = 1; round <= Number(options.rounds); round += 1) {
    for (const { page, about } of contestants) {
      const { ids, ms_per_token } = await time(page)
      expected ??= ids
      const agrees = ids.every((id, i) => id === expected[i])
      failed ||= !agrees
      console.log(JSON.stringify({ device, round, ...about, ms_per_token, agrees }))
    }
  }
  for (const { page } of contestants) await page.context().close()
}
await browser.close()
server.close()
process.exit(failed ? 1 : 0)
