// The page in Firefox, on its CPU path. Skipped where no Firefox is found.

import { test } from 'node:test'
import { firefoxPath, openFirefox } from './firefox.mjs'
import { firstVisit, goOn } from './remote.mjs'

const binary = firefoxPath()
if (!binary) console.error('SKIPPED: no Firefox found; install it, or set FIREFOX to its path')
const options = { skip: !binary && 'no Firefox', timeout: 300_000 }

test('Firefox trains, writes, and finds the run again', options, async () => {
  const page = await openFirefox(binary)
  try {
    await firstVisit(page)
    await page.reload()
    await goOn(page)
  } finally {
    await page.close()
  }
})

test('a private window of Firefox keeps the run as long as the tab, and says so', options, async () => {
  const page = await openFirefox(binary, { preferences: { 'browser.privatebrowsing.autostart': true } })
  try {
    await page.says('[data-testid="notice"]', 'gone with the tab')
    await firstVisit(page)
    await goOn(page)
  } finally {
    await page.close()
  }
})
