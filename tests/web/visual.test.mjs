// Layout of every view, light and dark, on a phone and a desktop: nothing scrolls sideways, controls do not overlap, no text is cut off,
// targets are large enough and text is readable. Fonts differ between machines, so screenshots are not compared; if $BLANKSLATE_SHOTS
// names a folder, they are saved there.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { addAxe, go, open, openAll, ready } from './harness.mjs'

const SHOTS = process.env.BLANKSLATE_SHOTS
const WIDTHS = { phone: 360, desktop: 1280 }
const INSIDE = ['attention', 'layers', 'sampling', 'map', 'weights', 'circuits', 'neurons', 'cached']
const VIEWS = [
  'train',
  'write',
  'chat',
  ...INSIDE.map((tab) => `inside ${tab}`),
  'tokens',
  'runs',
  ...[1, 3, 7, 9].map((n) => `learn ${n}`),
  'device',
]
/** Minimum target size in CSS pixels: WCAG 2.2, 2.5.8. */
const TARGET = 24

async function show(page, view) {
  const [name, part] = view.split(' ')
  await go(page, name)
  if (name === 'inside') await page.getByTestId(`inside-tab-${part}`).click()
  if (name === 'learn') await page.evaluate((number) => (location.hash = `#/learn/${number}`), part)
  if (name === 'learn') await page.getByTestId(`learn-chapter-${part}`).waitFor()
  await page.locator(`.view[data-view="${name}"] :is(h2, .problem)`).first().waitFor()
  await page.waitForFunction(() => !document.querySelector('.view:not([hidden]) .stale'))
}

/** Layout problems, one line each. */
const faults = (page) =>
  page.evaluate((least) => {
    const found = []
    const called = (one) =>
      `${one.tagName.toLowerCase()}${one.id ? `#${one.id}` : ''}${one.dataset.testid ? `[${one.dataset.testid}]` : ''} “${(one.innerText || one.ariaLabel || '').trim().slice(0, 30)}”`
    const seen = (one) => {
      const box = one.getBoundingClientRect()
      // Text for screen readers only is one pixel in size.
      return (
        one.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
        box.width > 1 &&
        box.height > 1 &&
        box.right > 0
      )
    }
    const wide = document.documentElement.scrollWidth
    if (wide > innerWidth) found.push(`the page is ${wide} pixels wide`)

    for (const one of document.body.querySelectorAll('*')) {
      const words = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim())
      if (!words || !seen(one) || one.closest('svg, math')) continue
      const { overflowX, textOverflow, display } = getComputedStyle(one)
      if (display.startsWith('inline') && display === 'inline') continue
      // Scrolling text can be read; text with an ellipsis is available in full elsewhere.
      const whole =
        ['auto', 'scroll'].includes(overflowX) ||
        (textOverflow === 'ellipsis' && one.closest('[title], [aria-label], summary'))
      if (!whole && one.scrollWidth > one.clientWidth + 1)
        found.push(`cut: ${called(one)}: ${one.scrollWidth} in ${one.clientWidth}`)
    }

    const controls = [...document.querySelectorAll('button, select, textarea, summary, a[href], input')].filter(seen)
    const places = controls.flatMap((one) => {
      // A checkbox is tapped on its label; a link in a sentence is as high as its line.
      const small = one.matches('[type="checkbox"], [type="radio"]') ? (one.closest('label') ?? one) : one
      const { left, right, top, bottom, width, height } = small.getBoundingClientRect()
      const within = one.tagName === 'A' && one.closest('p, li, td')
      const scrolled = one.closest('.scrolls, .cells, .tokens, .list')
      if (!within && (width < least - 0.5 || height < least - 0.5))
        found.push(`small: ${called(one)}: ${width.toFixed(0)} × ${height.toFixed(0)}`)
      return scrolled || within ? [] : [{ one, left, right, top, bottom }]
    })
    places.forEach((a, i) =>
      places.slice(i + 1).forEach((b) => {
        const [x, y] = [
          Math.min(a.right, b.right) - Math.max(a.left, b.left),
          Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top),
        ]
        if (x > 1 && y > 1 && !a.one.contains(b.one) && !b.one.contains(a.one))
          found.push(`on each other: ${called(a.one)} and ${called(b.one)}`)
      }),
    )
    return found
  }, TARGET)

const contrast = (page) =>
  page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ['color-contrast', 'target-size'],
      resultTypes: ['violations'],
    })
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, any }) => `${id}: ${target.join(' ')} ${any[0]?.message ?? ''}`),
    )
  })

describe('the layout', () => {
  let it
  before(async () => {
    it = await open({ webgpu: 'off' })
    const { page } = it
    await addAxe(page)
    await ready(page)
    await openAll(page)
    for (const [name, value] of Object.entries({
      steps: 20,
      seed: 7,
      eval_every: 10,
      save_every: 10,
      sample_every: 10,
      keep_last: 2,
    }))
      await page.getByTestId(`setting-${name}`).fill(String(value))
    await page.locator('#train:enabled').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    await page.evaluate(() => document.querySelectorAll('details.more').forEach((one) => (one.open = false)))
    if (SHOTS) fs.mkdirSync(SHOTS, { recursive: true })
  })
  after(() => it?.close())

  async function look(screen, colorScheme, views, called) {
    const { page } = it
    await page.setViewportSize({ width: WIDTHS[screen], height: screen === 'phone' ? 740 : 900 })
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    const found = []
    for (const view of views) {
      await show(page, view)
      await page.mouse.move(0, 0)
      found.push(...[...(await faults(page)), ...(await contrast(page))].map((line) => `${view}: ${line}`))
      if (SHOTS)
        await page.screenshot({ path: path.join(SHOTS, `${view.replace(' ', '-')}-${called}.png`), fullPage: true })
    }
    assert.deepEqual(found, [])
    assert.deepEqual(it.errors, [])
  }

  for (const screen of Object.keys(WIDTHS))
    for (const scheme of ['light', 'dark'])
      test(`${screen}, ${scheme}`, { timeout: 300_000 }, () => look(screen, scheme, VIEWS, `${screen}-${scheme}`))

  test('phone, as a first visitor sees it', { timeout: 300_000 }, async () => {
    await it.page.getByTestId('expert').uncheck()
    await look('phone', 'light', ['train', 'write', 'inside attention', 'device'], 'simple')
  })
})
