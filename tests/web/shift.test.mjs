// While the page comes over a slow line, nothing moves that a visitor has begun to read.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open, ready } from './harness.mjs'

/** A tenth of what is still rated good (https://web.dev/articles/cls): a line of text that appears on a phone above the rest is more. */
const MOST = 0.01

/** A phone's line as Lighthouse plays it, six times as wide: here the engine is not compressed. */
const LINE = { offline: false, latency: 150, downloadThroughput: (6 * 1_600_000) / 8, uploadThroughput: 750_000 / 8 }

const SCREENS = { phone: { width: 360, height: 740 }, desktop: { width: 1280, height: 800 } }

/** What the page finds when it asks for WebGPU, beside the browser's flag: an answer, none, or one that comes late. */
const FOUND = {
  there: { webgpu: 'swiftshader' },
  missing: { webgpu: 'off' },
  'missing, found out late': {
    webgpu: 'swiftshader',
    before: (context) =>
      context.addInitScript(() => {
        GPU.prototype.requestAdapter = () => new Promise((done) => setTimeout(done, 700, null))
      }),
  },
}

/** All that moves without the visitor's doing, from the beginning. */
const watch = () => {
  window.shifts = []
  const where = ({ node, previousRect: from, currentRect: to }) =>
    `${node?.nodeName}#${node?.id} ${Math.round(from.x)}, ${Math.round(from.y)} to ${Math.round(to.x)}, ${Math.round(to.y)}`
  new PerformanceObserver((list) => {
    for (const { value, sources } of list.getEntries()) window.shifts.push({ value, what: sources.map(where) })
  }).observe({ type: 'layout-shift', buffered: true })
}

for (const [screen, size] of Object.entries(SCREENS)) {
  for (const [found, { webgpu, before }] of Object.entries(FOUND)) {
    test(`nothing moves on a ${screen}, WebGPU ${found}`, async () => {
      // The line is made slow before the page is asked for: what is opened first is any file of it.
      const { page, url, context, close } = await open({ webgpu, before, expert: false, path: 'icon.svg' })
      try {
        await page.setViewportSize(size)
        await page.addInitScript(watch)
        const protocol = await context.newCDPSession(page)
        await protocol.send('Network.enable')
        await protocol.send('Network.emulateNetworkConditions', LINE)
        await page.goto(url)
        await ready(page)
        await page.getByTestId('first-pieces').waitFor({ state: 'attached' })
        assert.equal(await page.getByTestId('banner').isVisible(), found !== 'there')
        const shifts = await page.evaluate(() => window.shifts)
        const sum = shifts.reduce((all, { value }) => all + value, 0)
        console.log(`${screen}, WebGPU ${found}: ${sum.toFixed(4)}`)
        assert.ok(sum <= MOST, JSON.stringify(shifts, null, 1))
      } finally {
        await close()
      }
    })
  }
}
