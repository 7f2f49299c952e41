// The page without eyes and without a mouse: axe's rules in every view, headings, focus, titles.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, describe, test } from 'node:test'
import { begin, go, open, openAll, ready } from './harness.mjs'

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
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

/** Waits until a view is there and nothing in it is pale because it is being asked for anew. */
async function there(page, view) {
  await page.locator(`.view[data-view="${view}"] :is(h2, .problem)`).first().waitFor()
  await page.waitForFunction(() => !document.querySelector('.view:not([hidden]) .stale'))
}

/** What axe finds against its rules, one line each. */
const violations = (page) =>
  page.evaluate(async (values) => {
    // Further down the navigation, which stays, lies over what is scrolled out of view.
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

describe('the page for everyone', () => {
  let it
  before(async () => {
    it = await open({ webgpu: 'off' })
    await it.page.addScriptTag({ path: AXE })
    await it.page.emulateMedia({ reducedMotion: 'reduce' })
    await ready(it.page)
  })
  after(() => it?.close())

  test('before there is a model', async () => {
    const found = []
    for (const view of Object.keys(VIEWS)) {
      await go(it.page, view)
      await there(it.page, view)
      found.push(...(await violations(it.page)).map((line) => `${view}: ${line}`))
    }
    assert.deepEqual(found, [])
  })

  for (const scheme of ['light', 'dark']) {
    test(`with a model, everything unfolded, ${scheme}`, async () => {
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

  test('headings go down one level at a time', async () => {
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

  test('the keyboard reaches every explanation, and each is read out with what it explains', async () => {
    const { page } = it
    /** How many there are in this view, and the beginnings of those that are out of reach. */
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

  test('each view has its title, and takes the keyboard to it', async () => {
    const { page } = it
    await go(page, 'train')
    for (const [view, title] of Object.entries(VIEWS).reverse()) {
      await page.getByTestId(`nav-${view}`).focus()
      await page.keyboard.press('Enter')
      await page.waitForFunction((view) => document.activeElement?.dataset.view === view, view)
      assert.equal(await page.title(), `${title} · blankslate`)
    }
  })

  test('the first stop of the keyboard skips to the content', async () => {
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
