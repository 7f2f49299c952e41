// Decoding speed in one Chromium, token by token with a KV cache: our page and transformers.js, interleaved. Prints one JSON line per
// device, round and contestant; all must generate the same tokens.
//
// usage: node run.mjs --page FILE --model FOLDER --chromium FILE [--devices cpu,webgpu] [--rounds N] [--tokens N] [--adapter NAME]
import path from 'node:path'
import { parseArgs } from 'node:util'
import { OPTIONS, enter, launch, serve } from '../browser/browser.mjs'

const { values: options } = parseArgs({
  options: {
    ...OPTIONS,
    model: { type: 'string' },
    devices: { type: 'string', default: 'cpu,webgpu' },
    rounds: { type: 'string', default: '3' },
    tokens: { type: 'string', default: '8' },
  },
})
const PROMPT = Array.from({ length: 16 }, (_, i) => 1000 * i + 7)
const COUNT = Number(options.tokens)

const roots = { page: path.dirname(options.page), model: options.model, packages: path.join(import.meta.dirname, 'node_modules') }
const server = await serve((root, ...rest) => (roots[root] ? path.join(roots[root], ...rest) : path.join(import.meta.dirname, root)))
const browser = await launch(options)

/** A contestant's page with the model open on `device`. */
async function open(address, device) {
  const page = await enter(browser, `${server.origin}/${address}`)
  const adapter = await page.evaluate((device) => window.peer.open(device), device)
  const { name, version } = await page.evaluate(() => ({ name: window.peer.name, version: window.peer.version }))
  return { page, about: { peer: name, version, adapter } }
}

/** Generated tokens, and milliseconds per token; the first token is excluded, since its time includes the prompt. */
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
      await contestant.page.evaluate((prompt) => window.peer.write(prompt, 2), PROMPT) // warm-up: compiles kernels
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
