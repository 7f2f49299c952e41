// Layout shift: nothing moves while the page loads over a slow connection.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { open, ready } from './harness.mjs'

/** A tenth of the limit for a good score (https://web.dev/articles/cls); one line of text inserted at the top of a phone exceeds it. */
const MOST = 0.01

/** Lighthouse's phone connection with six times its bandwidth, because the engine is not compressed here. */
const LINE = { offline: false, latency: 150, downloadThroughput: (6 * 1_600_000) / 8, uploadThroughput: 750_000 / 8 }

const SCREENS = { phone: { width: 360, height: 740 }, desktop: { width: 1280, height: 800 } }

/** Answers to the request for a WebGPU adapter: one, none, or a late one. */
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

/** All layout shifts without user input, from the start. */
const watch = () => {
  window.shifts = []
  const where = ({ node, previousRect: from, currentRect: to }) =>
    `${node?.nodeName}#${node?.id} ${Math.round(from.x)}, ${Math.round(from.y)} to ${Math.round(to.x)}, ${Math.round(to.y)}`
  new PerformanceObserver((list) => {
    for (const { value, sources } of list.getEntries()) window.shifts.push({ value, what: sources.map(where) })
  }).observe({ type: 'layout-shift', buffered: true })
}

// They wait for the network most of the time.
describe('nothing moves', { concurrency: 3 }, () => {
  for (const [screen, size] of Object.entries(SCREENS)) {
    for (const [found, { webgpu, before }] of Object.entries(FOUND)) {
      test(`on a ${screen}, WebGPU ${found}`, async () => {
        // Throttle the connection before loading the page: any file is opened first.
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
})
