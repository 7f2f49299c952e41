// Writes everything that `run.mjs` needs into `bundles/`, so that this folder can be copied to a machine without a network.
//
// usage: node bundle.mjs REPOSITORY TEXT PEER,…
import fs from 'node:fs'
import path from 'node:path'
import { build } from 'esbuild'
import { WASM } from './run.mjs'

const [repository, text, peers] = process.argv.slice(2)
const [peersFolder, out] = ['..', 'bundles'].map((folder) => path.join(import.meta.dirname, folder))
const options = { outdir: out, outExtension: { '.js': '.mjs' }, bundle: true, format: 'esm', target: 'esnext', logLevel: 'error' }

/** Resolves the harness's module, which our page imports from the root of its origin. */
const harness = {
  name: 'harness',
  setup: ({ onResolve }) => onResolve({ filter: /^\/common\.mjs$/ }, () => ({ path: path.join(peersFolder, 'common.mjs') })),
}

fs.rmSync(out, { recursive: true, force: true })
await build({ ...options, entryPoints: peers.split(',').map((peer) => path.join(peersFolder, `${peer}.mjs`)) })
await build({
  ...options,
  entryPoints: { blankslate: path.join(repository, 'www/bench/bench.ts') },
  plugins: [harness],
  // wasm-bindgen's script fetches the wasm relative to itself.
  define: { 'import.meta.url': JSON.stringify(WASM) },
})
fs.copyFileSync(path.join(repository, 'pkg/blankslate_bg.wasm'), path.join(out, 'blankslate_bg.wasm'))
fs.copyFileSync(path.join(peersFolder, 'common.mjs'), path.join(out, 'common.mjs'))
fs.copyFileSync(text, path.join(out, 'text.txt'))
