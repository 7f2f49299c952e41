// Offline use, new versions, and the size of the page.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { brotliCompressSync } from 'node:zlib'
import { DIST, begin, go, open, ready } from './harness.mjs'

const controlled = (page) => page.waitForFunction(() => navigator.serviceWorker.controller !== null)

/** Names of the service worker's caches, file list of the newest version, and headers of its page. */
const kept = (page) =>
  page.evaluate(async () => {
    const names = await caches.keys()
    const cache = await caches.open(names[0])
    const requests = await cache.keys()
    const headers = Object.fromEntries((await cache.match(location.href.split('#')[0])).headers)
    return { names, files: requests.map(({ url }) => new URL(url).pathname.slice(1)), headers }
  })

test('the page opens and trains offline', async () => {
  const { page, context, errors, unplug, close } = await open({ webgpu: 'off', kept: true })
  try {
    await ready(page)
    await controlled(page)
    const protocol = await context.newCDPSession(page)
    assert.deepEqual((await protocol.send('Page.getAppManifest')).errors, [])
    // Chromium installs nothing in private windows, which tests run in.
    const { installabilityErrors } = await protocol.send('Page.getInstallabilityErrors')
    assert.deepEqual(
      installabilityErrors.filter(({ errorId }) => errorId !== 'in-incognito'),
      [],
    )
    const { names, files, headers } = await kept(page)
    assert.equal(names.length, 1)
    assert.ok(
      files.some((file) => file.endsWith('.wasm')) && files.some((file) => file.endsWith('.txt')),
      String(files),
    )
    assert.ok(!files.some((file) => file.includes('bench')), 'the benchmarks are not for visitors')
    assert.equal(headers['cross-origin-embedder-policy'], 'require-corp')

    await unplug()
    await page.reload()
    await ready(page)
    assert.equal(await page.evaluate(() => fetch('./nothing').catch(() => 'no network')), 'no network')
    assert.equal(await page.evaluate(() => crossOriginIsolated), true)
    await begin(page, { steps: 5, eval_every: 5, sample_every: 5 })
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    assert.match(await page.getByTestId('step-count').innerText(), /^Step 5 of 5/)
    // Views are loaded when first opened, offline too.
    await go(page, 'device')
    await page.locator('[data-fact="Works offline"]').filter({ hasText: 'yes' }).waitFor()
    // Only the request for the missing file above failed.
    assert.deepEqual(
      errors.filter((error) => !error.includes('/nothing')),
      [],
    )
  } finally {
    await close()
  }
})

test('a new version is offered and activated on request', async (t) => {
  // The same files with another version: only the service worker changes.
  const next = (folder) => {
    const file = path.join(folder, 'service-worker.js')
    const code = fs.readFileSync(file, 'utf8')
    const version = code.match(/[0-9a-f]{16}/)[0]
    fs.writeFileSync(file, code.replaceAll(version, 'f'.repeat(16)))
    return version
  }
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'blankslate-'))
  t.after(() => fs.rmSync(root, { recursive: true }))
  // In a folder below another page, whose files the service worker must not serve.
  const folder = path.join(root, 'deep', 'er')
  fs.cpSync(DIST, folder, { recursive: true })
  fs.writeFileSync(path.join(root, 'index.html'), 'another page')
  const { page, url, errors, requests, close } = await open({
    webgpu: 'off',
    kept: true,
    folder: root,
    path: 'deep/er/',
  })
  try {
    await ready(page)
    await controlled(page)
    const version = next(folder)
    const { names, files } = await kept(page)
    const [before] = names
    assert.ok(
      files.every((file) => file.startsWith('deep/er/')),
      String(files),
    )
    assert.ok(before.endsWith(version), before)
    const asked = requests.length
    await page.reload()
    await page.getByTestId('take-version').click()
    await page.waitForFunction((old) => caches.keys().then((names) => names.length === 1 && names[0] !== old), before)
    // The caches change just before the page reloads.
    await page.getByTestId('take-version').waitFor({ state: 'detached' })
    await ready(page)
    assert.equal(await page.getByTestId('take-version').count(), 0)
    // Unchanged files were not downloaded again.
    const again = requests.slice(asked)
    assert.ok(again.includes('/deep/er/service-worker.js'), String(again))
    assert.ok(!again.some((file) => file.includes('/assets/')), String(again))
    await page.goto(url)
    assert.equal(await page.locator('body').innerText(), 'another page')
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('the page is small compared with the engine', () => {
  const folder = path.join(DIST, 'assets')
  const sizes = fs
    .readdirSync(folder)
    .filter((file) => /\.(js|css)$/.test(file) && !file.startsWith('bench'))
    .map((file) => [file, brotliCompressSync(fs.readFileSync(path.join(folder, file))).length])
  const sum = sizes.reduce((all, [, size]) => all + size, 0)
  const largest = sizes.sort((a, b) => b[1] - a[1]).slice(0, 5)
  console.log(
    `scripts and styles: ${(sum / 1000).toFixed(1)} kB with brotli; largest: ${largest.map(String).join(' ')}`,
  )
  // The hashes in the names of files change it by up to 0.2 kB from build to build.
  assert.ok(sum <= 150_500, `${sum} bytes`)
})
