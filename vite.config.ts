// Bundles index.html and the bench pages into dist/. `cargo xtask web` first writes pkg/, which the sources import.
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { type Plugin, defineConfig } from 'vite'
import { leaveOutHydration, leaveOutPreloading, shortScope } from './www/lean.plugin.ts'
import { excerpts } from './www/views/learn/excerpt.plugin.ts'

const SERVICE_WORKER = 'service-worker'
/** What is copied as it stands: the manifest of the installed page names its icons itself. */
const PUBLIC = 'www/manifest'

/** What the bench pages share, under a name by which the service worker leaves it out. The page's worker has its own. */
const BENCH = { name: 'bench-shared', test: /\/(pkg\/|package\.json)/ }

/** All that is needed at once; the other views follow in a file of theirs. More and smaller files would compress worse. */
const PAGE = { name: 'page', test: /\/www\/(?!bench|service|views\/(?!train|Train))|\/(svelte|uplot)\// }

async function digest(text: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return Array.from(bytes.slice(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Tells the service worker which files the page is made of. */
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
  plugins: [svelte({ compilerOptions: { runes: true, cssHash: shortScope } }), leaveOutHydration(), leaveOutPreloading(), excerpts(), offline()],
  // Relative addresses: the bundle can be served from any folder.
  base: './',
  publicDir: PUBLIC,
  worker: { format: 'es' },
  build: {
    outDir: 'dist',
    target: 'esnext',
    // The wasm stays a file of its own: the browser compiles it while it is downloading.
    assetsInlineLimit: 0,
    // Small pieces compress badly: one style sheet, one script for what several views need, one for the views.
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    // `cargo xtask web` prints the sizes, brotli included.
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      input: ['index.html', 'bench.html', 'bench-auto.html', 'bench-matmul.html', 'bench-decode.html', `www/${SERVICE_WORKER}.ts`],
      output: {
        codeSplitting: { groups: [BENCH, PAGE] },
        // It rules over the folder it lies in, and is looked for under the same name again.
        entryFileNames: ({ name }) => (name === SERVICE_WORKER ? '[name].js' : 'assets/[name]-[hash].js'),
      },
      // Served by ../shared/peers/run.mjs, from whose origin both are loaded.
      external: ['/common.mjs'],
    },
  },
})
