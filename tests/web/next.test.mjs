// This run and the next one are two things: after a success the page speaks of the run there is, and judges the next one only once it is
// being prepared.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { go, open, ready } from './harness.mjs'
import { done, fill, openWithBase } from './tuning.mjs'

const LLAMA = fs.readFileSync(new URL('../golden/gguf/llama.gguf', import.meta.url))
const file = (name, records) => ({
  name,
  mimeType: 'application/jsonl',
  buffer: Buffer.from(records.map((record) => JSON.stringify(record)).join('\n')),
})
const PAIRS = file('pairs.jsonl', [
  { prompt: 'sea?', chosen: 'shells', rejected: 'no' },
  { prompt: 'sky?', chosen: 'birds', rejected: 'what' },
])
const TALKS = file('talks.jsonl', [
  {
    messages: [
      { role: 'user', content: 'she sells' },
      { role: 'assistant', content: 'sea shells' },
    ],
  },
])

const plan = (page) => page.locator('#plan').innerText()

/** Fine-tunes the current model on a file. If it is not saved, the page asks first. */
async function tune(page, data, values, saved = true) {
  await page.getByTestId('tune').evaluate((one) => (one.open = true))
  await page.getByTestId('text-source').getByText('File').click()
  await page.getByTestId('file').setInputFiles(data)
  await page.getByTestId('tune').getByText(data.name).waitFor()
  await fill(page, values)
  await page.locator('[data-testid=tune-start]:enabled').click()
  if (!saved) await page.getByTestId('leaving-go').click()
  await done(page)
}

describe('after preference tuning', () => {
  let it
  let page
  before(async () => {
    it = await openWithBase()
    page = it.page
    await tune(page, PAIRS, { 'tune-steps': 2 })
  })
  after(() => it?.close())

  test('the page speaks of the run that ended, and shows no error', async () => {
    assert.match(
      await plan(page),
      /^base-tuned-1 was trained on pairs\.jsonl: 2 preference pairs .* for 2 steps, one character per token\.$/,
    )
    assert.equal((await page.getByTestId('problem').innerText()).trim(), '')
    assert.equal(await page.getByTestId('error').isVisible(), false)
    assert.match(await page.getByTestId('parameters').innerText(), /^\d/)
  })

  test('the next run is judged once it is being prepared', async () => {
    await page.getByTestId('run-name').fill('another')
    await page.getByTestId('run-name').press('Tab')
    await page
      .locator('#plan', { hasText: /Next: another trains on pairs\.jsonl: 2 preference pairs .* for 2 steps/ })
      .waitFor()
    assert.match(await plan(page), /^base-tuned-1 was trained on/)
    await page.getByTestId('problem').filter({ hasText: /\S/ }).waitFor()
    assert.equal(await page.locator('#train').isDisabled(), true)
    await page.getByTestId('text-source').getByText('Paste').click()
    await page.getByTestId('paste').fill('the sea and the sky. '.repeat(40))
    await page.locator('#plan', { hasText: 'Next: another trains on your text' }).waitFor()
    await ready(page)
    assert.equal((await page.getByTestId('problem').innerText()).trim(), '')
    assert.deepEqual(it.errors, [])
  })
})

test('after LoRA of a GGUF file, the form describes a run that can be trained', async () => {
  const { page, errors, close } = await open({ webgpu: 'off' })
  const part = (name) => page.getByTestId(name)
  try {
    await ready(page)
    await go(page, 'runs')
    await part('open').setInputFiles({ name: 'llama.gguf', mimeType: '', buffer: LLAMA })
    await page.locator('.which b', { hasText: /^llama$/ }).waitFor()
    await go(page, 'train')
    assert.match(await plan(page), /^llama is open at step 0, without a text to train on\.$/)
    await tune(page, TALKS, { 'tune-rank': 2, 'tune-steps': 2 }, false)
    assert.match(
      await plan(page),
      /^llama-tuned-1 was trained on talks\.jsonl: 1 conversation .* for 2 steps, with its own tokenizer\.$/,
    )
    assert.equal((await part('problem').innerText()).trim(), '')
    assert.equal(await part('tokenizer').inputValue(), 'char')
    // The preview is of the file.
    await part('first-pieces')
      .filter({ hasText: /s\s*h\s*e/ })
      .waitFor()
    await ready(page)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})
