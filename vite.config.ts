// Bundles index.html and the bench pages into dist/. `cargo xtask web` first writes pkg/, which the sources import.
import { svelte } from '@sveltejs/vite-plugin-svelte'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'
import { leaveOutHydration, leaveOutPreloading, shortScope } from './www/lean.plugin.ts'
import { excerpts } from './www/views/learn/excerpt.plugin.ts'

const SERVICE_WORKER = 'service-worker'
/** Files copied unchanged: the web app manifest refers to its icons by name. */
const PUBLIC = 'www/manifest'

const BENCH_PAGES = ['bench', 'bench-auto', 'bench-matmul', 'bench-decode']

/** Puts the bench pages at the top of dist/: their drivers serve a page's own folder as the root of its origin. */
const benchAtTop = (): Plugin => ({
  name: 'bench-at-top',
  apply: 'build',
  enforce: 'post',
  generateBundle(_options, bundle) {
    for (const name of BENCH_PAGES) {
      const built = bundle[`www/bench/${name}.html`]
      if (built?.type !== 'asset') return this.error(`www/bench/${name}.html was not built`)
      Reflect.deleteProperty(bundle, built.fileName)
      this.emitFile({
        type: 'asset',
        fileName: `${name}.html`,
        source: String(built.source).replaceAll('../../assets/', './assets/'),
      })
    }
  },
})

/** The path of a module relative to this folder, so that the name of the folder does not matter. Other paths stay absolute. */
const ROOT = decodeURIComponent(new URL('.', import.meta.url).pathname).replace(/^\/(?=[A-Za-z]:)/, '')
const below = (id: string): string => (id.startsWith(ROOT) ? id.slice(ROOT.length) : id)

/** Code shared by the bench pages. The service worker leaves it out because of its name. The page's worker has its own copy. */
const BENCH = { name: 'bench-shared', test: (id: string): boolean => /^(pkg\/|package\.json)/.test(below(id)) }

/** Code needed at startup; the other views follow in a second file. More and smaller files would compress worse. */
const PAGE = {
  name: 'page',
  test: (id: string): boolean =>
    /^www\/(?!bench|service|views\/(?!train|Train))|node_modules\/(svelte|uplot)\//.test(below(id)),
}

/** The content security policy, so that a server need not send it. */
const policy = (): Plugin => {
  let content = ''
  return {
    name: 'policy',
    apply: 'build',
    async buildStart() {
      content = (await this.fs.readFile('www/policy.txt', { encoding: 'utf8' })).trim()
    },
    transformIndexHtml(_html, { path }) {
      const attrs = { 'http-equiv': 'Content-Security-Policy', content }
      return path === '/index.html' ? [{ tag: 'meta', attrs, injectTo: 'head-prepend' }] : []
    },
  }
}

async function digest(text: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return Array.from(bytes.slice(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Writes the list of built files into the service worker. */
const offline = (): Plugin => ({
  name: 'offline',
  apply: 'build',
  enforce: 'post',
  async generateBundle(_options, bundle) {
    const built = Object.values(bundle).filter(({ fileName }) => !/\bbench/.test(fileName))
    const worker = built.find((one) => one.fileName === `${SERVICE_WORKER}.js`)
    if (worker?.type !== 'chunk') return this.error('the service worker was not built')
    const files = await this.fs.readdir(PUBLIC)
    const copied = await Promise.all(files.map((file) => this.fs.readFile(`${PUBLIC}/${file}`, { encoding: 'utf8' })))
    const page = bundle['index.html']
    if (page?.type !== 'asset') return this.error('index.html was not built')
    const names = built.map(({ fileName }) => fileName).filter((name) => name.startsWith('assets/'))
    const list = ['./', ...names, ...files]
    const version = await digest([...list, String(page.source), worker.code, ...copied].join('\n'))
    worker.code = worker.code
      .replaceAll(/\bFILES\b/g, () => JSON.stringify(list))
      .replaceAll(/\bVERSION\b/g, () => JSON.stringify(version))
  },
})

export default defineConfig({
  plugins: [
    svelte({ compilerOptions: { runes: true, fragments: 'tree', cssHash: shortScope } }),
    leaveOutHydration(),
    leaveOutPreloading(),
    excerpts(),
    benchAtTop(),
    policy(),
    offline(),
  ],
  // Relative URLs, so that the bundle can be served from any folder.
  base: './',
  publicDir: PUBLIC,
  worker: { format: 'es' },
  // Other checks run beside the tests.
  test: { testTimeout: 60_000, include: ['www/**/*.test.ts'], setupFiles: ['www/testing/storage.ts'] },
  build: {
    outDir: 'dist',
    // Read by `cargo xtask notices`.
    license: { fileName: '.vite/licenses.json' },
    target: 'esnext',
    // Keep the wasm in its own file: the browser compiles it while it is downloading.
    assetsInlineLimit: 0,
    // Small files compress badly: use one style sheet.
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    // `cargo xtask web` prints the sizes, brotli included.
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      input: ['index.html', ...BENCH_PAGES.map((name) => `www/bench/${name}.html`), `www/${SERVICE_WORKER}.ts`],
      output: {
        codeSplitting: { groups: [BENCH, PAGE] },
        // A service worker controls the folder it is in, and must keep its name.
        entryFileNames: ({ name }) => (name === SERVICE_WORKER ? '[name].js' : 'assets/[name]-[hash].js'),
      },
      // Served by the driver of the training benchmark.
      external: ['/common.mjs'],
    },
  },
})
