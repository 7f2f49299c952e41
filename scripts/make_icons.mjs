// Draws the PNG icons of www/manifest from icon.svg: node scripts/make_icons.mjs (needs Chromium, as the tests do).

import fs from 'node:fs'
import { chromium } from 'playwright-core'
import { browserPath } from '../tests/web/harness.mjs'

const FOLDER = new URL('../www/manifest/', import.meta.url)
const drawing = fs.readFileSync(new URL('icon.svg', FOLDER), 'utf8')
// Phones crop maskable icons to their own shape, so the color extends to the edge and the line stays in the middle.
const full = drawing.replace(' rx="4"', '').replace('viewBox="0 0 16 16"', 'viewBox="-2.5 -2.5 21 21"')
const whole = full.replace('width="16" height="16"', 'x="-2.5" y="-2.5" width="21" height="21"')

const browser = await chromium.launch({ executablePath: browserPath(), args: ['--headless=new', '--no-sandbox'] })
try {
  const page = await browser.newPage()
  for (const [name, size, svg] of [
    ['icon-192.png', 192, drawing],
    ['icon-512.png', 512, drawing],
    ['icon-maskable.png', 512, whole],
    ['icon-apple.png', 180, whole],
  ]) {
    await page.setViewportSize({ width: size, height: size })
    await page.setContent(`<style>body { margin: 0 } svg { display: block; width: 100vw }</style>${svg}`)
    fs.writeFileSync(new URL(name, FOLDER), await page.screenshot({ omitBackground: true }))
  }
} finally {
  await browser.close()
}
