// Generating text: tokens, alternatives, drafts, several texts side by side.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { go, open, openAll } from './harness.mjs'

const TEXT = fs.readFileSync(new URL('../../assets/text/shakespeare.txt', import.meta.url), 'utf8').slice(0, 20_000)
const TOKENS = 40

describe('generating text', () => {
  let it
  let page
  const part = (name) => page.getByTestId(name)
  const words = (name = 'output') => part(name).evaluate((one) => one.textContent)
  const spans = () =>
    part('output')
      .locator('[data-at]')
      .evaluateAll((all) => all.map((span) => span.textContent))
  const still = () => page.locator('#generate:enabled').waitFor()

  before(async () => {
    it = await open({
      webgpu: 'off',
      before: (context) => context.grantPermissions(['clipboard-read', 'clipboard-write']),
    })
    page = it.page
    await page.locator('#train:enabled').waitFor()
    await openAll(page)
    await part('text-source').getByText('Paste').click()
    await part('paste').fill(TEXT)
    const settings = { max_position_embeddings: 32, steps: 30, save_every: 0, eval_every: 30, sample_every: 0 }
    for (const [name, value] of Object.entries(settings)) await part(`setting-${name}`).fill(String(value))
    await page.locator('#plan', { hasText: 'your text' }).waitFor()
    await page.locator('#train:enabled').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    await go(page, 'write')
    await part('prompt').fill('The sea')
    await part('setting-max_new_tokens').fill(String(TOKENS))
  })
  after(() => it?.close())

  test('the tokens add up to the text', async () => {
    await part('generate').click()
    await page.locator('#sample-state', { hasText: `${TOKENS} tokens` }).waitFor()
    await still()
    const all = await spans()
    assert.equal(all.length, TOKENS)
    assert.equal(await words(), `The sea${all.join('')}`)
    const shades = await part('output')
      .locator('[data-at]')
      .evaluateAll((some) => some.map((span) => getComputedStyle(span).backgroundColor))
    assert.ok(new Set(shades).size > 5, String(shades))
  })

  test('a token shows its alternatives, with the pointer and the keyboard', async () => {
    await part('output').locator('[data-at="3"]').hover()
    await part('alternatives').waitFor()
    const rows = part('alternative').locator('tbody tr')
    assert.equal(await rows.count(), 8)
    const shares = (await rows.locator('.figure.k0').allInnerTexts()).map(parseFloat)
    assert.ok(shares.every((share, i) => share <= (shares[i - 1] ?? 100)) && shares[0] > 0, String(shares))
    assert.equal(await part('alternative-choose').count(), 0)
    await part('prompt').hover()
    await part('alternatives').waitFor({ state: 'detached' })

    await part('output').focus()
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('ArrowRight')
    await page.locator('[data-at="1"].at').waitFor()
    await page.keyboard.press('Enter')
    await page.locator('[data-testid="alternatives"][data-held="true"] button.token:focus').waitFor()
    await page.keyboard.press('Escape')
    await part('alternatives').waitFor({ state: 'detached' })
    await page.locator('#output:focus').waitFor()
  })

  test('choosing another token continues the text from there', async () => {
    const before = await spans()
    await part('output').locator('[data-at="10"]').click()
    const choice = part('alternative-choose').first()
    const chosen = await part('alternative').locator('tr', { has: choice }).first().getAttribute('data-token')
    assert.notEqual(chosen, before[10])
    await choice.click()
    await page.waitForFunction((least) => document.querySelectorAll('#output [data-at]').length >= least, 11 + TOKENS)
    await still()
    const now = await spans()
    assert.deepEqual(now.slice(0, 10), before.slice(0, 10))
    assert.equal(now[10], chosen)
    assert.equal(now.length, 11 + TOKENS)
    assert.equal(await part('output').locator('.chosen').textContent(), chosen)
    assert.equal(await words(), `The sea${now.join('')}`)
    // The context of 32 tokens is full: another choice near the end still works.
    await part('output').locator('[data-at="48"]').click()
    await part('alternative-choose').first().click()
    await page.waitForFunction((least) => document.querySelectorAll('#output [data-at]').length >= least, 49 + TOKENS)
    await still()
    assert.equal(await part('output').locator('.chosen').count(), 2)
    assert.deepEqual(it.errors, [])
  })

  test('a draft proposes tokens, marks the accepted ones, and does not change the text', async () => {
    await openAll(page)
    const write = async () => {
      await part('generate').click()
      await page.locator('#sample-state', { hasText: `${TOKENS} tokens` }).waitFor()
      await still()
      return words()
    }
    await part('setting-temperature').fill('0')
    const alone = await write()
    assert.equal(await part('output').locator('.guessed').count(), 0)
    for (const who of await part('setting-draft-who')
      .locator('option:not([value=""])')
      .evaluateAll((all) => all.map((one) => one.value))) {
      await part('setting-draft-who').selectOption(who)
      assert.equal(await write(), alone, who)
      const told = await page.locator('#sample-state').innerText()
      const [, right, made, each] = /; (\d+) of (\d+) draft tokens accepted.*, ([\d.]+) tokens per pass/
        .exec(told)
        .map(Number)
      assert.ok(right <= made && Math.abs(each - TOKENS / (TOKENS - right)) < 0.006, told)
      assert.equal(await part('output').locator('.guessed').count(), right, who)
    }
    // The most likely letters of a barely trained model repeat themselves, which is easy to predict.
    await part('setting-draft-who').selectOption('ngram')
    await part('setting-draft-length').fill('8')
    await write()
    assert.ok((await part('output').locator('.guessed').count()) > TOKENS / 4)
    await part('output').locator('.guessed').first().hover()
    await part('alternatives').getByText('the draft proposed it').waitFor()
    await part('prompt').hover()
    await part('setting-draft-who').selectOption('')
    await part('setting-temperature').fill('0.8')
  })

  test('the text can be copied', async () => {
    await part('copy').click()
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await words())
  })

  test('several texts are generated side by side', async () => {
    const single = await words()
    await part('beside-add').click()
    await part('beside-temperature-0').fill('0')
    await part('beside-temperature-1').fill('1.5')
    await part('beside-temperature-2').fill('1.5')
    await part('beside-seed-1').fill('1')
    await part('beside-seed-2').fill('2')
    await part('beside-write').click()
    await page.waitForFunction(
      (least) =>
        [0, 1, 2].every(
          (i) => document.querySelectorAll(`[data-testid="beside-output-${i}"] [data-at]`).length >= least,
        ),
      TOKENS,
    )
    await page.locator('[data-testid="beside-write"]:enabled').waitFor()
    const texts = await Promise.all([0, 1, 2].map((i) => words(`beside-output-${i}`)))
    assert.equal(new Set(texts).size, 3)
    assert.ok(
      texts.every((one) => one.startsWith('The sea') && one.length > 7),
      String(texts),
    )
    assert.match(await part('beside-settings-1').innerText(), /temperature 1\.5, seed 1/)
    assert.equal(await words(), single)
  })

  test('fits a phone with the alternatives open', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    await part('output').locator('[data-at="6"]').click()
    await part('alternatives').waitFor()
    const wide = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.ok(wide <= 360, `${wide} pixels wide`)
    assert.deepEqual(it.errors, [])
  })
})
