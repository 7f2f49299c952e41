// A run whose loss is no longer a number has ended: it is not resumed, every view says so, and a good checkpoint is offered if there is one.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { go, open, openAll, ready } from './harness.mjs'

const SMALL = {
  num_hidden_layers: 1,
  hidden_size: 32,
  steps: 10,
  warmup_steps: 0,
  eval_every: 0,
  save_every: 0,
  sample_every: 0,
}
const ABSURD = '1e30'

describe('a diverged run', () => {
  let it
  let page
  const part = (name) => page.getByTestId(name)
  const set = async (values) => {
    for (const [name, value] of Object.entries(values)) await part(`setting-${name}`).fill(String(value))
  }
  const done = () => page.locator('#stage', { hasText: 'Done' }).waitFor()
  const ended = () => page.locator('#stage', { hasText: 'its loss is no longer a number' }).waitFor()
  before(async () => {
    it = await open({ webgpu: 'off' })
    page = it.page
    await ready(page)
    await openAll(page)
    await set({ ...SMALL, lr: ABSURD })
    await page.locator('#train:enabled').click()
    await ended()
  })
  after(() => it?.close())

  test('is not resumed, and offers the only checkpoint from before', async () => {
    assert.match(
      await part('error').innerText(),
      /The loss became .* at step \d+; the checkpoint of step 0 in tiny-1 is still good/,
    )
    assert.match(await part('stage').innerText(), /Its checkpoint of step 0 is still good/)
    for (const name of ['resume', 'more', 'step']) assert.equal(await part(name).isVisible(), false, name)
    assert.equal(await part('back').innerText(), 'Back to step 0')
    assert.equal(await part('steer').isVisible(), false)
    await go(page, 'runs')
    for (const name of ['save', 'download']) assert.equal(await part(name).isDisabled(), true, name)
  })

  test('ends its chart with a mark', async () => {
    await go(page, 'train')
    assert.match(await part('chart-end').innerText(), /^Ended at step \d+/)
    assert.match(await page.locator('.chart [role=img]').first().getAttribute('aria-label'), /Ended at step \d+/)
  })

  test('is neither written with nor looked into', async () => {
    await go(page, 'write')
    assert.equal(await part('generate').isDisabled(), true)
    assert.match(
      await page.locator('#sample-state').innerText(),
      /tiny-1 ended at step \d+: its loss is no longer a number/,
    )
    await go(page, 'inside')
    await part('inside-ended').waitFor()
    await go(page, 'chat')
    await part('chat-ended').waitFor()
    assert.doesNotMatch(await page.locator('body').innerText(), /NaN/)
  })

  test('is followed by a new one', async () => {
    await go(page, 'train')
    await set({ lr: 0.001 })
    await page.locator('#train:enabled').click()
    await done()
    assert.equal(await part('chart-end').count(), 0)
    assert.equal(await part('run-current').innerText(), 'tiny-2')
    await go(page, 'write')
    await part('generate').click()
    await page.locator('#sample-state', { hasText: 'tokens/s' }).waitFor()
  })

  test('goes back to its good checkpoint', async () => {
    await go(page, 'train')
    await part('steer-lr').fill(ABSURD)
    await part('steer-steps').fill('200')
    await part('steer-apply').click()
    await page.locator('#step-count', { hasText: 'Step 10 of 200' }).waitFor()
    await page.locator('#resume:visible').click()
    await ended()
    assert.match(await part('stage').innerText(), /Its checkpoint of step 10 is still good/)
    await part('back').click()
    await page.locator('#step-count', { hasText: 'Step 10 of' }).waitFor()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    assert.equal(await part('chart-end').count(), 0)
    await go(page, 'inside')
    await part('inside-loss').filter({ hasText: /\d/ }).waitFor()
    assert.deepEqual(it.errors, [])
  })
})
