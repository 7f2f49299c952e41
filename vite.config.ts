// Bundles index.html and the two bench pages into dist/. `cargo xtask web` first writes pkg/, which the sources import.
import { defineConfig } from 'vite'

export default defineConfig({
  // Relative addresses: the bundle can be served from any folder.
  base: './',
  // Nothing is copied as it stands; every file of the page is imported by one.
  publicDir: false,
  worker: { format: 'es' },
  build: {
    outDir: 'dist',
    target: 'esnext',
    // The wasm stays a file of its own: the browser compiles it while it is downloading.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // `cargo xtask web` prints the sizes, brotli included.
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      input: ['index.html', 'bench.html', 'bench-auto.html'],
      // Served by ../shared/peers/run.mjs, from whose origin both are loaded.
      external: ['/common.mjs'],
    },
  },
})
