// Two tabs share the stored runs. Each run is open in one of them only, and no model is lost without a word.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { go, open, openAll, ready } from './harness.mjs'

/** Far more steps than are trained: the run is paused. */
const LONG = { num_hidden_layers: 1, hidden_size: 32, steps: 5000, eval_every: 0, save_every: 0, sample_every: 0 }
const LLAMA = fs.readFileSync(new URL('../golden/gguf/llama.gguf', import.meta.url))

const plan = (page, text) => page.locator('#plan', { hasText: text }).waitFor()
const notice = (page, text) => page.getByTestId('notice').filter({ hasText: text }).waitFor()
const error = (page, text) => page.getByTestId('error').filter({ hasText: text }).waitFor()

async function settings(page, name) {
  await openAll(page)
  for (const [key, value] of Object.entries(LONG)) await page.getByTestId(`setting-${key}`).fill(String(value))
  await page.getByTestId('run-name').fill(name)
  await page.getByTestId('run-name').press('Tab')
  await plan(page, name)
  await ready(page)
}

async function train(page) {
  await page.locator('#train:enabled').click()
  await page.locator('#step-count', { hasText: /Step [1-9]/ }).waitFor()
}

async function pause(page) {
  await page.locator('#pause:enabled').click()
  await page.locator('#stage', { hasText: 'Paused' }).waitFor()
}

/** Presses Delete twice. */
async function remove(page, name) {
  await page.getByTestId(`delete-${name}`).click()
  await page.getByRole('button', { name: `Confirm deleting ${name}`, exact: true }).click()
}

describe('two tabs', () => {
  let it
  let first
  let second
  before(async () => {
    it = await open({ webgpu: 'off' })
    first = it.page
    await ready(first)
    second = await it.context.newPage()
    await second.goto(it.url)
    await ready(second)
  })
  after(() => it?.close())

  test('that take the same name train two runs, and the second one says so', async () => {
    await settings(first, 'mine')
    await settings(second, 'mine')
    // Nothing is stored yet.
    await train(first)
    await second.locator('#train:enabled').click()
    await notice(second, 'mine is open in another tab, so the next run is named mine-1.')
    await second.locator('#step-count', { hasText: /Step [1-9]/ }).waitFor()
    assert.equal(await second.getByTestId('run-current').innerText(), 'mine-1')
    await pause(first)
    await pause(second)
    for (const page of [first, second]) {
      await go(page, 'runs')
      for (const name of ['mine', 'mine-1']) await page.getByTestId(`restore-${name}`).waitFor()
    }
    await second.getByTestId('elsewhere-mine').waitFor()
    await first.getByTestId('elsewhere-mine-1').waitFor()
  })

  test('do not open one run twice', async () => {
    await second.getByTestId('restore-mine').click()
    await error(second, '`mine` is open in another tab; close it there')
    await second.locator('.which', { hasText: 'mine-1 is open' }).waitFor()
  })

  test('can branch from a run that is open in the other one', async () => {
    await second.getByTestId('more-mine').click()
    await second.getByTestId('branch-mine').click()
    await second.locator('.which', { hasText: 'mine-branch-1 is open' }).waitFor()
  })

  test('do not delete a run that is open in the other one, nor its curve', async () => {
    await remove(second, 'mine')
    await error(second, '`mine` is open in another tab')
    await second.getByTestId('draw-mine').check()
    await second
      .getByTestId('overlay')
      .locator('.entry', { hasText: /mine \d/ })
      .waitFor()
    // It is still complete.
    await go(first, 'train')
    await first.locator('#resume:visible').click()
    await pause(first)
    await go(first, 'runs')
    await first
      .getByTestId('saved')
      .filter({ hasText: /^Saved at step \d+$/ })
      .waitFor()
  })

  test('open the same file under two names', async () => {
    for (const page of [first, second]) {
      await page.getByTestId('open').setInputFiles({ name: 'llama.gguf', mimeType: '', buffer: LLAMA })
      // The branch in the second tab was never saved.
      if (page === second) await page.getByTestId('leaving-go').click()
      await page.locator('.which', { hasText: /^llama(-\d)? is open/ }).waitFor()
    }
    const names = await Promise.all([first, second].map((page) => page.locator('.which b').innerText()))
    assert.notEqual(names[0], names[1])
  })

  test('a tab that is closed releases its run', async () => {
    await first.getByTestId('restore-mine').click()
    await first.getByTestId('leaving-go').click()
    await first.locator('.which', { hasText: 'mine is open' }).waitFor()
    await second.getByTestId('elsewhere-mine').waitFor()
    await first.close()
    await second.getByTestId('elsewhere-mine').waitFor({ state: 'detached' })
    await second.getByTestId('restore-mine').click()
    await second.getByTestId('leaving-go').click()
    await second.locator('.which', { hasText: 'mine is open' }).waitFor()
    await remove(second, 'mine')
    await second.getByTestId('restore-mine').waitFor({ state: 'detached' })
    assert.deepEqual(it.errors, [])
  })
})
