// The page in Firefox. Skipped if there is no Firefox, and on WebGPU if it has no adapter; with CI=true that is an error.

import { test } from 'node:test'
import { firefoxPath, openFirefox } from './firefox.mjs'
import { skipWithout } from './harness.mjs'
import { firstVisit, goOn, privateVisit } from './remote.mjs'

const binary = firefoxPath()
const options = {
  skip: skipWithout(!binary && 'no Firefox found: install it, or set FIREFOX to its path'),
  timeout: 300_000,
}

test('Firefox trains, generates text and restores the run', options, async () => {
  const page = await openFirefox(binary)
  try {
    await firstVisit(page)
    await page.reload()
    await goOn(page)
  } finally {
    await page.close()
  }
})

test('Firefox trains and generates text on WebGPU', options, async (t) => {
  const page = await openFirefox(binary, {
    preferences: { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true },
  })
  try {
    await page.until(() => document.querySelector('#device:enabled'))
    await page.run(
      () =>
        void Promise.resolve(navigator.gpu?.requestAdapter()).then(
          (found) => (window.adapter = found ? 'there' : 'none'),
        ),
    )
    if ((await page.until(() => window.adapter)) === 'none') {
      t.skip(skipWithout('Firefox has no WebGPU adapter: install a Vulkan driver'))
      return
    }
    await page.choose('#device', 'webgpu')
    await page.says('[data-testid="device-name"]', 'WebGPU')
    await firstVisit(page, 'WebGPU')
  } finally {
    await page.close()
  }
})

/** Both kinds of storage in private windows: with a database, as today, or without, as before Firefox 115. */
for (const [has, said] of [
  [true, 'stores runs in a database'],
  [false, 'does not store anything'],
]) {
  test(
    `a private window of Firefox ${has ? 'with' : 'without'} a database keeps the run and says for how long`,
    options,
    async () => {
      const preferences = { 'browser.privatebrowsing.autostart': true, 'dom.indexedDB.privateBrowsing.enabled': has }
      const page = await openFirefox(binary, { preferences })
      try {
        await privateVisit(page, said, has)
      } finally {
        await page.close()
      }
    },
  )
}
