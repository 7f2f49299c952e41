// Runs one contestant in Dawn: replaces the page that its bundle expects, runs its benchmark and prints one JSON line.
//
// usage: node one.mjs BUNDLE CONFIG_JSON
// jax-js needs iterator helpers, which Node has from version 22 on.
import 'core-js/actual/iterator/index.js'
import { create, globals } from 'webgpu'

const [bundle, config] = process.argv.slice(2)

/** wasm-bindgen's script tests `globalThis instanceof Window`. */
class Window {
  static [Symbol.hasInstance](value) {
    return value === globalThis
  }
}

Object.assign(globalThis, globals, {
  Window,
  window: globalThis,
  location: { search: '' },
  document: { documentElement: { dataset: { device: 'webgpu' } } },
})
Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]), userAgent: 'Dawn in Node' } })

await import(new URL(bundle, import.meta.url))
const result = await globalThis.bench(JSON.parse(config))
console.log(JSON.stringify(result))
// Dawn's threads would keep the process running.
process.exit(0)
