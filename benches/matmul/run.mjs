// Times matrix products of several libraries in one Chromium, interleaved, and prints one JSON line per shape, round and
// library. `cargo xtask bench --matmul` copies this folder beside the peers' packages and runs it there.
import fs from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { OPTIONS, enter, launch, serve } from '../browser/browser.mjs'
import { CONFIGS, makeConfig } from '../common.mjs'

const PEERS = ['jaxjs', 'tfjs']
/** Timed calls per measurement; fewer if they take longer than LONG_MS together. */
const CALLS = 5
const LONG_MS = 2000
/** Products are skipped if a call would take longer than this. */
const TOO_LONG_MS = 60_000

const { values: options } = parseArgs({
  options: { ...OPTIONS, rounds: { type: 'string', default: '3' } },
})

/** Shapes: squares, and those of a GPT's projections and head in a forward pass. */
function shapes() {
  const squares = [512, 1024, 2048].map((n) => ({ what: `${n} cubed`, shape: [n, n, n] }))
  const parts = Object.keys(CONFIGS).flatMap((config) => {
    const { batch, ctx, dim, vocab } = makeConfig({ config })
    const part = (name, columns) => ({ what: `${config}: ${name}`, shape: [batch * ctx, dim, columns] })
    return [part('queries, keys, values', 3 * dim), part('MLP up', 4 * dim), part('head', vocab)]
  })
  return [...parts, ...squares]
}

const here = import.meta.dirname
const dist = path.join(here, 'dist')
await build({
  entryPoints: PEERS.map((name) => path.join(here, `${name}.mjs`)),
  outdir: dist, bundle: true, minify: true, splitting: true, format: 'esm', target: 'esnext', logLevel: 'error',
})
for (const name of PEERS) {
  fs.writeFileSync(path.join(dist, `${name}.html`), `<!doctype html><title>${name}</title><script type="module" src="${name}.js"></script>`)
}

const server = await serve((root, ...rest) => path.join(root === 'page' ? path.dirname(options.page) : dist, ...rest))
const browser = await launch(options)

/** Median milliseconds of some calls after a warm-up call, and the adapter; throws if the product is wrong. */
const time = (page, shape) =>
  page.evaluate(
    async ([[rows, depth, columns], calls, long]) => {
      const draw = (length) => Float32Array.from({ length }, () => Math.random() - 0.5)
      const a = draw(rows * depth)
      const b = draw(depth * columns)
      const product = await window.peer.product([rows, depth, columns], a, b)
      await product.run()
      const times = []
      for (const end = performance.now() + long; times.length < calls && (!times.length || performance.now() < end); ) {
        const start = performance.now()
        await product.run()
        times.push(performance.now() - start)
      }
      const found = await product.read()
      for (const [row, column] of [[0, 0], [rows - 1, columns - 1], [rows >> 1, columns >> 1]]) {
        let expected = 0
        for (let k = 0; k < depth; k += 1) expected += a[row * depth + k] * b[k * columns + column]
        if (!(Math.abs(found[row * columns + column] - expected) < 1e-3)) throw new Error(`wrong at ${row}, ${column}`)
      }
      product.free()
      const { name, version } = window.peer
      return { peer: name, version, adapter: product.adapter, ms: times.sort((x, y) => x - y)[times.length >> 1] }
    },
    [shape, CALLS, LONG_MS],
  )

const pages = []
for (const address of [`page/${path.basename(options.page)}`, ...PEERS.map((name) => `peers/${name}.html`)]) {
  pages.push(await enter(browser, `${server.origin}/${address}`))
}
let failed = false
/** Each page's last measured milliseconds per multiply-add. */
const pace = new Map()
for (const { what, shape } of shapes()) {
  const size = shape[0] * shape[1] * shape[2]
  for (let round = 1; round <= Number(options.rounds); round += 1) {
    for (const page of pages) {
      const label = path.basename(page.url(), '.html')
      const result = { what, shape, round, peer: label }
      if (pace.get(page) * size > TOO_LONG_MS) {
        result.skipped = `a call would take about ${Math.round((pace.get(page) * size) / 1000)} s`
      } else {
        try {
          Object.assign(result, await time(page, shape))
          pace.set(page, result.ms / size)
        } catch (error) {
          failed = true
          result.error = String(error.message ?? error).slice(0, 500)
        }
      }
      console.log(JSON.stringify(result))
    }
  }
}
await browser.close()
server.close()
process.exit(failed ? 1 : 0)
