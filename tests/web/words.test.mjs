// Numbers and messages speak the form's language: no exponents, no names of types, no flags of the terminal.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { go, open, openAll, ready } from './harness.mjs'
import { openWithBase } from './tuning.mjs'

/** What only programmers read: flags, types, keys of settings, positions in JSON, exponents of small sizes. */
const FOREIGN = /--[a-z]|\b(?:u|i)(?:size|32|64)\b|invalid (?:type|value)|[a-z]+_[a-z]+|at line \d|e\+\d/

describe('settings out of range', () => {
  let it
  let page
  const problem = () => page.getByTestId('problem')
  before(async () => {
    it = await open({ webgpu: 'off' })
    page = it.page
    await ready(page)
    await openAll(page)
    await page.getByTestId('setting-hidden_size').fill('128')
    await page.getByTestId('setting-num_attention_heads').fill('8')
    await ready(page)
  })
  after(() => it?.close())

  test('are explained in the form’s terms', async () => {
    for (const [name, value, usual, told] of [
      ['num_hidden_layers', '-3', '2', /^Layers must be at least 1, not -3; use 2 to 6/],
      ['num_hidden_layers', '0', '2', /^Layers must be at least 1, not 0; /],
      ['num_hidden_layers', '2.5', '2', /^Layers: 2\.5 is not a whole number/],
      ['num_hidden_layers', '1e12', '2', /^Layers must be at most 2\^30, not 1000000000000; /],
      ['hidden_size', '-8', '128', /^Width must be at least 1, not -8; /],
      ['num_attention_heads', '7', '8', /^Heads: 7 does not divide the width 128; 8 does$/],
      ['num_attention_heads', '1000', '8', /^Heads: 1000 does not divide the width 128; 128 does$/],
      ['batch_size', '-1', '8', /^Batch size must be at least 1, not -1; /],
      ['steps', '-5', '50', /^Steps must be at least /],
      ['lr', '-0.1', '0.001', /^Learning rate must be /],
    ]) {
      await page.getByTestId(`setting-${name}`).fill(value)
      await problem().filter({ hasText: told }).waitFor()
      assert.doesNotMatch(await problem().innerText(), FOREIGN)
      assert.equal(await page.locator('#train').isDisabled(), true)
      await page.getByTestId(`setting-${name}`).fill(usual)
      await ready(page)
    }
    assert.deepEqual(it.errors, [])
  })

  test('of sampling are explained, too', async () => {
    await page.getByTestId('setting-steps').fill('2')
    await ready(page)
    await page.getByTestId('train').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    await go(page, 'write')
    await openAll(page)
    const error = page.getByTestId('error')
    for (const [name, value, told] of [
      ['top_k', '-3', /^Top-k must be at least 0, not -3; use 0 or 40 to 100/],
      ['max_new_tokens', '-1', /^Length must be at least 0, not -1/],
      ['temperature', '-1', /^Temperature must be at least 0, not -1/],
    ]) {
      const field = page.getByTestId(`setting-${name}`)
      const usual = await field.inputValue()
      await field.fill(value)
      await page.getByTestId('generate').click()
      await error.filter({ hasText: told }).waitFor()
      assert.doesNotMatch(await error.innerText(), FOREIGN)
      await field.fill(usual)
      await page.keyboard.press('Escape')
    }
    assert.deepEqual(it.errors, [])
  })
})

test('files that are damaged are described without the names of types', async () => {
  const { page, errors, close } = await open({ webgpu: 'off' })
  try {
    await ready(page)
    await go(page, 'runs')
    const opened = async (config) => {
      const file = (name, text) => ({ name, mimeType: '', buffer: Buffer.from(text) })
      await page.getByTestId('open').setInputFiles([file('config.json', config), file('model.safetensors', 'x')])
      const error = page.getByTestId('error').filter({ hasText: 'config.json' })
      await error.waitFor()
      const text = await error.innerText()
      await page.keyboard.press('Escape')
      return text
    }
    assert.match(await opened('{"model_type": "gpt2"'), /config\.json cannot be read: it ends too early/)
    assert.doesNotMatch(await opened('{"model_type": "gpt2"'), /EOF|parsing/)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('numbers have no exponents and no digits of binary fractions', async () => {
  const { page, errors, close } = await openWithBase({ timeout: 20_000 }, { 'setting-lr': 0.003 })
  try {
    await page.getByTestId('tune').evaluate((one) => (one.open = true))
    // A tenth of 0.003 is 0.00030000000000000003 in binary.
    assert.match(await page.getByTestId('tune-lr').inputValue(), /^0\.0003$/)
    // Some of these energies have three digits before the point.
    const energies = []
    for (let steps = 1e6; steps < 2e9; steps *= 3) {
      await page.getByTestId('setting-steps').fill(String(steps))
      await page.waitForFunction(
        (old) =>
          /Wh/.test(document.querySelector('#energy').innerText) && document.querySelector('#energy').innerText !== old,
        energies.at(-1) ?? '',
      )
      energies.push((await page.getByTestId('energy').innerText()).trim())
    }
    assert.ok(
      energies.every((energy) => /^about [\d.,]+ k?Wh$/.test(energy)),
      String(energies),
    )
    await page.locator('#train:enabled').click()
    const reasons = await page.getByTestId('heavy').locator('li').allInnerTexts()
    assert.ok(reasons.length > 0 && reasons.every((reason) => !FOREIGN.test(reason)), String(reasons))
    await page.getByTestId('heavy-cancel').click()
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('the CPU compiles nothing, and nothing is said to be compiled', async () => {
  const { page, errors, close } = await open({ webgpu: 'off' })
  try {
    await ready(page)
    await page.evaluate(() => {
      window.stages = []
      const stage = document.querySelector('#stage')
      new MutationObserver(() => window.stages.push(stage.textContent)).observe(stage, {
        childList: true,
        characterData: true,
        subtree: true,
      })
    })
    await page.getByTestId('setting-steps').fill('5')
    await ready(page)
    await page.getByTestId('train').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    const stages = await page.evaluate(() => window.stages)
    assert.ok(stages.length > 1 && stages.every((stage) => !/compil/i.test(stage)), String(stages))
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})
