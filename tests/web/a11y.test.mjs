// Accessibility: axe's rules in every view, headings, focus and titles.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { addAxe, begin, go, open, openAll, ready } from './harness.mjs'

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']
const VIEWS = {
  train: 'Train',
  write: 'Write',
  chat: 'Chat',
  inside: 'Look inside',
  tokens: 'Tokens',
  runs: 'Runs',
  learn: 'Learn',
  device: 'Device',
}

/** Waits until a view is rendered and none of its contents are being refreshed. */
async function there(page, view) {
  await page.locator(`.view[data-view="${view}"] :is(h2, .problem)`).first().waitFor()
  await page.waitForFunction(() => !document.querySelector('.view:not([hidden]) .stale'))
}

/** Violations that axe reports, one line each. */
const violations = (page) =>
  page.evaluate(async (values) => {
    // Scrolled down, the sticky navigation covers content outside the view.
    scrollTo(0, 0)
    const { violations } = await window.axe.run(document, {
      runOnly: { type: 'tag', values },
      resultTypes: ['violations'],
    })
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(
        ({ target, any, all, none }) => `${id}: ${target.join(' ')} – ${[...any, ...all, ...none][0]?.message ?? ''}`,
      ),
    )
  }, RULES)

describe('accessibility', () => {
  let it
  before(async () => {
    it = await open({ webgpu: 'off' })
    await addAxe(it.page)
    await it.page.emulateMedia({ reducedMotion: 'reduce' })
    await ready(it.page)
  })
  after(() => it?.close())

  test('axe finds nothing without a model', async () => {
    const found = []
    for (const view of Object.keys(VIEWS)) {
      await go(it.page, view)
      await there(it.page, view)
      found.push(...(await violations(it.page)).map((line) => `${view}: ${line}`))
    }
    assert.deepEqual(found, [])
  })

  for (const scheme of ['light', 'dark']) {
    test(`axe finds nothing with a model and all details open, ${scheme}`, async () => {
      const { page } = it
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' })
      await go(page, 'train')
      if (scheme === 'light') {
        await begin(page, { steps: 5, eval_every: 5, sample_every: 5 })
        await page.locator('#stage', { hasText: 'Done' }).waitFor()
      }
      const found = []
      for (const view of Object.keys(VIEWS)) {
        await go(page, view)
        await there(page, view)
        await openAll(page)
        found.push(...(await violations(page)).map((line) => `${view}: ${line}`))
      }
      assert.deepEqual(found, [])
    })
  }

  test('heading levels are not skipped', async () => {
    for (const view of Object.keys(VIEWS)) {
      await go(it.page, view)
      await there(it.page, view)
      const levels = await it.page.evaluate(() =>
        [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')]
          .filter((one) => one.checkVisibility())
          .map((one) => Number(one.tagName[1])),
      )
      assert.equal(levels[0], 1)
      assert.equal(levels.filter((level) => level === 1).length, 1)
      assert.ok(
        levels.length > 1 && levels.every((level, i) => i === 0 || level <= levels[i - 1] + 1),
        `${view}: ${levels}`,
      )
    }
  })

  test('every tooltip is reachable with the keyboard and described by its element', async () => {
    const { page } = it
    /** Number of tooltips in this view, and the beginnings of unreachable ones. */
    const tips = () =>
      page.locator('.view:not([hidden])').evaluate((view) => {
        const all = [...view.querySelectorAll('[data-tip]')]
        const reached = (row) => {
          const tip = row.querySelector('.tip')
          const described = view.querySelector(`[aria-describedby="${tip.id}"]`)
          return tip.id && row.contains(described) && (described.tabIndex >= 0 || described.disabled)
        }
        return {
          count: all.length,
          lost: all.filter((row) => !reached(row)).map((row) => row.textContent.trim().slice(0, 60)),
        }
      })
    let count = 0
    const look = async (where) => {
      const seen = await tips()
      assert.deepEqual(seen.lost, [], where)
      count += seen.count
    }
    for (const view of Object.keys(VIEWS)) {
      await go(page, view)
      await there(page, view)
      if (view !== 'inside') await look(view)
      else
        for (const tab of await page.locator('[data-testid^="inside-tab-"]').all()) {
          await tab.click()
          await there(page, view)
          await look(await tab.innerText())
        }
    }
    assert.ok(count > 60, `${count} explanations`)
    await go(page, 'inside')
    await page.getByTestId('inside-tab-layers').click()
    const legend = page.locator('.view:not([hidden]) [data-tip]', { hasText: 'residual stream' }).first()
    await legend.focus()
    await legend.locator('.tip').waitFor({ state: 'visible' })
    await page.keyboard.press('Escape')
    await legend.locator('.tip').waitFor({ state: 'hidden' })
  })

  test('each view sets the title and takes the keyboard focus', async () => {
    const { page } = it
    await go(page, 'train')
    for (const [view, title] of Object.entries(VIEWS).reverse()) {
      await page.getByTestId(`nav-${view}`).focus()
      await page.keyboard.press('Enter')
      await page.waitForFunction((view) => document.activeElement?.dataset.view === view, view)
      assert.equal(await page.title(), `${title} · blankslate`)
    }
  })

  test('the first tab stop skips to the content', async () => {
    const { page } = it
    await go(page, 'train')
    await page.reload()
    await ready(page)
    await page.keyboard.press('Tab')
    const skip = page.getByTestId('skip')
    assert.ok(await skip.evaluate((one) => one === document.activeElement && one.getBoundingClientRect().left >= 0))
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => document.activeElement?.dataset.view === 'train')
    await page.keyboard.press('Tab')
    assert.ok(await page.evaluate(() => document.querySelector('.view').contains(document.activeElement)))
    assert.deepEqual(it.errors, [])
  })
})
