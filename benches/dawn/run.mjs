// Trains the same model with each bundle in Dawn, Chromium's WebGPU: each run in a new process, round by round, ours last. Prints one
// JSON line per run. Run `bundle.mjs` first.
//
// usage: node run.mjs [--config tiny|small|char] [--steps N] [--warmup N] [--rounds N] [--read-every N] [--timeout SECONDS]
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'

const PORT = 8791
const ORIGIN = `http://127.0.0.1:${PORT}`
const OURS = 'blankslate.mjs'
/** Address that our bundle gets as its own. */
export const WASM = `${ORIGIN}/${OURS}`

if (import.meta.filename === process.argv[1]) await main()

async function main() {
  const { values: options } = parseArgs({
    options: {
      config: { type: 'string', default: 'tiny' },
      steps: { type: 'string', default: '20' },
      warmup: { type: 'string', default: '3' },
      rounds: { type: 'string', default: '3' },
      'read-every': { type: 'string', default: '1' },
      timeout: { type: 'string', default: '600' },
    },
  })
  const bundles = path.join(import.meta.dirname, 'bundles')
  const { makeConfig } = await import(path.join(bundles, 'common.mjs'))
  const { config, steps, warmup, 'read-every': read_every } = options
  const settings = JSON.stringify({
    ...makeConfig({ config, steps, warmup, read_every, matmul: '0' }),
    data_url: `${ORIGIN}/text.txt`,
  })
  const peers = fs.readdirSync(bundles).filter((name) => name.endsWith('.mjs') && ![OURS, 'common.mjs'].includes(name))

  const server = http.createServer((request, response) => {
    const file = path.join(bundles, path.basename(request.url))
    if (!fs.existsSync(file)) return response.writeHead(404).end()
    const type = file.endsWith('.wasm') ? 'application/wasm' : 'text/plain'
    response.writeHead(200, { 'content-type': type }).end(fs.readFileSync(file))
  })
  server.listen(PORT, '127.0.0.1')
  await once(server, 'listening')

  for (let round = 1; round <= Number(options.rounds); round++) {
    for (const bundle of [...peers, OURS]) {
      const line = await one(bundle, settings, Number(options.timeout))
      console.log(JSON.stringify({ round, ...line }))
      if (line.error) process.exitCode = 1
    }
  }
  server.close()
}

/** Runs a bundle and returns its result or its error. */
async function one(bundle, settings, seconds) {
  const script = path.join(import.meta.dirname, 'one.mjs')
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [script, `bundles/${bundle}`, settings], { timeout: 1000 * seconds })
    return JSON.parse(stdout)
  } catch (error) {
    const message = String(error.stderr || error.message).trim().split('\n')
    return { peer: path.parse(bundle).name, error: message.find((line) => /error/i.test(line)) ?? message.at(-1) }
  }
}
