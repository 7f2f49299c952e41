// Preference tuning (DPO): pairs are recognized, the margin grows, and chapter 9 shows a pair.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { go } from './harness.mjs'
import { done, fill, openWithBase } from './tuning.mjs'

const PAIRS = [
  ['sea?', 'shells', 'no'],
  ['sky?', 'birds', 'what'],
  ['who?', 'a blank slate', 'the sea'],
  ['sand?', 'the sea', 'no'],
]
/** The last pair is held out for validation. */
const VALIDATED = 1 / PAIRS.length
const line = ([prompt, chosen, rejected]) => JSON.stringify({ prompt, chosen, rejected })
const JSONL = { name: 'pairs.jsonl', mimeType: 'application/jsonl', buffer: Buffer.from(PAIRS.map(line).join('\n')) }
const LN_2 = '0.693'

describe('preference tuning', () => {
  let it
  let page
  const part = (name) => page.getByTestId(name)
  /** The panel closes when training starts. */
  const unfold = () => part('tune').evaluate((one) => (one.open = true))
  const figures = async () => {
    const [, right] = /^(\d+)%$/.exec(await part('metric-accuracy').innerText())
    return [Number(right), Number(await part('metric-margin').innerText())]
  }

  before(async () => {
    it = await openWithBase({ timeout: 20_000 }, { 'setting-val_fraction': VALIDATED })
    page = it.page
  })
  after(() => it?.close())

  test('preference pairs are recognized, and β is explained and can be set', async () => {
    await unfold()
    assert.equal(await part('tune-beta').count(), 0)
    await part('text-source').getByText('File').click()
    await part('file').setInputFiles(JSONL)
    await part('tune').getByText('These are preference pairs').waitFor()
    assert.equal(await part('tune-beta').inputValue(), '0.1')
    assert.match(await page.locator('#tune-beta-tip').textContent(), /Usually 0\.1/)
    await part('tune-beta').fill('0')
    assert.match(await part('tune-problem').innerText(), /^DPO β/)
    await part('tune-beta').fill('0.2')
    assert.equal(await part('metric-margin').count(), 0)
  })

  test('the chosen answers win', async () => {
    await fill(page, { 'tune-lr': 0.003, 'tune-steps': 1 })
    await part('tune-start').click()
    await page.locator('#step-count', { hasText: '1 of 1' }).waitFor()
    await done(page)
    // Before the first update, the model equals its reference.
    assert.equal((await figures())[1], 0)
    const validated = async () => {
      const tip = await part('metric-margin').locator('xpath=../*[@role="tooltip"]').textContent()
      return [/Validated after step (\d+)\./.exec(tip)[1], await part('metric-margin-val').innerText()]
    }
    assert.equal((await validated())[0], '1')
    assert.match(await page.locator('.chart td').first().innerText(), new RegExp(`^${LN_2}`))
    await unfold()
    await part('tune-base').selectOption('base')
    await fill(page, { 'tune-beta': 0.2, 'tune-lr': 0.003, 'tune-steps': 60 })
    await part('tune-start').click()
    await page.locator('#step-count', { hasText: '60 of 60' }).waitFor()
    await done(page)
    const [right, margin] = await figures()
    assert.equal(right, 100)
    assert.ok(margin > 0.5, `margin ${margin}`)
    // With a single pair, the accuracy is 0 or 1, depending on the sign of the margin.
    const [step, apart] = await validated()
    assert.equal(step, '60')
    assert.match(await part('metric-accuracy-val').innerText(), Number(apart) > 0 ? /^100%$/ : /^0%$/)
  })

  test('chapter 9 shows a pair and checks the exercise', async () => {
    await page.evaluate(() => (location.hash = '#/learn/9'))
    await part('learn-chapter-9').waitFor()
    const rows = part('learn-pair-table').locator('tbody tr')
    await rows.first().waitFor()
    assert.deepEqual(await rows.locator('th').allInnerTexts(), ['chosen shells<|im_end|>', 'rejected no<|im_end|>'])
    const number = (text) => Number(text.replace('−', '-'))
    const rewards = []
    for (const row of await rows.all()) {
      const [before, now, reward] = (await row.locator('td').allInnerTexts()).map(number)
      assert.ok(Math.abs(0.2 * (now - before) - reward) < 0.01, `${before} ${now} ${reward}`)
      rewards.push(reward)
    }
    const [, margin, share] = /margin is ([\d.]+)\. .* probability of (\d+)/.exec(
      await part('learn-pair-said').innerText(),
    )
    assert.ok(Math.abs(rewards[0] - rewards[1] - margin) < 0.02 && margin > 0.3, `${rewards} ${margin}`)
    assert.ok(Math.abs(100 / (1 + Math.exp(-margin)) - share) < 1, `${margin} ${share}`)
    await part('learn-pair').fill('3')
    await part('learn-pair').press('Tab')
    await rows.first().filter({ hasText: 'a blank slate' }).waitFor()
    for (const [answer, verdict] of [
      ['-1', 'Not quite'],
      ['1', 'Correct'],
    ]) {
      await part('learn-answer-pair').fill(answer)
      await part('learn-check-pair').click()
      await part('learn-verdict-pair').filter({ hasText: verdict }).waitFor()
    }
    assert.equal(await part('learn-solved').count(), 0)
    assert.deepEqual(it.errors, [])
  })

  test('the page has a dozen example pairs', async () => {
    await go(page, 'train')
    await unfold()
    await part('tune-example-pairs').click()
    await part('tune').getByText('example preference pairs', { exact: true }).waitFor()
    await part('tune-beta').waitFor()
  })

  test('after tuning on pairs, plain text can be trained on, without β', async () => {
    await part('tune-beta').fill('0.3')
    await part('text-source').getByText('Paste').click()
    await part('paste').fill('the sea and the sky. '.repeat(40))
    await part('tune').getByText('your text').waitFor()
    assert.equal(await part('tune-beta').count(), 0)
    await fill(page, { 'tune-steps': 2 })
    await part('tune-start').click()
    await page.locator('#step-count', { hasText: '2 of 2' }).waitFor()
    await done(page)
    assert.deepEqual(it.errors, [])
  })
})
