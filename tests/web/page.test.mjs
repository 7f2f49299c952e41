// The page without training: it opens without errors, controls have names, and problems are reported.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { go, open, openAll, ready } from './harness.mjs'

/** Test ids by view; other tests and scripts rely on them. */
const PARTS = {
  train: `text-source paste file tokenizer vocab-size preset train pause resume step stop progress step-count train-loss
    val-loss tokens-per-second time-left live-sample parameters memory time-estimate run-name device device-name banner error
    setting-steps setting-lr setting-batch_size setting-hidden_size setting-num_hidden_layers setting-seq_len`,
  write: `prompt generate cancel output setting-temperature setting-top_k setting-top_p setting-min_p setting-repetition_penalty
    setting-max_new_tokens setting-stop`,
  runs: 'save saved runs download open',
  device: 'check check-result',
}

describe('the page', () => {
  let it
  before(async () => (it = await open()))
  after(() => it?.close())

  test('opens without errors and is ready for a first run', async () => {
    await ready(it.page)
    for (const [view, parts] of Object.entries(PARTS)) {
      await go(it.page, view)
      await it.page.locator(`.view[data-view="${view}"] section`).first().waitFor()
      for (const part of parts.split(/\s+/))
        assert.equal(await it.page.getByTestId(part).count(), 1, `data-testid ${part}`)
    }
    await go(it.page, 'train')
    assert.match(await it.page.getByTestId('parameters').innerText(), /^\d/)
    assert.match(await it.page.getByTestId('memory').innerText(), /\d [KMG]B$/)
    // A few steps are measured, so that time and energy are known before the first run.
    await it.page
      .getByTestId('time-estimate')
      .filter({ hasText: /^about \d+ (s|min)/ })
      .waitFor()
    assert.match(await it.page.getByTestId('energy').innerText(), /Wh$/)
    // The only adapter here is a software one, which the page detects by measuring.
    assert.match(await it.page.getByTestId('device-name').innerText(), /^CPU/)
    assert.match(await it.page.getByTestId('device-reason').innerText(), /measured [\d.]+ GFLOP.*swiftshader/)
    assert.equal(await it.page.getByTestId('banner').isVisible(), false)
    assert.deepEqual(it.errors, [])
  })

  test('every control has a name, and every setting a description', async () => {
    const nameless = await it.page.evaluate(() =>
      [...document.querySelectorAll('input, select, textarea, button')]
        .filter(
          (one) => !one.hidden && !one.labels?.length && !one.getAttribute('aria-label') && !one.textContent.trim(),
        )
        .map((one) => one.outerHTML),
    )
    assert.deepEqual(nameless, [])
    const undescribed = await it.page.evaluate(() =>
      [...document.querySelectorAll('[data-testid^="setting-"]')]
        .filter((one) => !document.getElementById(one.getAttribute('aria-describedby'))?.textContent)
        .map((one) => one.id),
    )
    assert.deepEqual(undescribed, [])
  })

  test('shows the cost of settings, refuses invalid ones, and resets them', async () => {
    await openAll(it.page)
    const parameters = it.page.getByTestId('parameters')
    const preset = await parameters.innerText()
    const layers = it.page.getByTestId('setting-num_hidden_layers')
    await layers.fill('4')
    await it.page.waitForFunction((was) => document.querySelector('#parameters').textContent !== was, preset)
    await it.page.getByRole('button', { name: 'Reset Layers' }).click()
    await it.page.waitForFunction((was) => document.querySelector('#parameters').textContent === was, preset)
    assert.equal(await layers.inputValue(), '2')

    await it.page.getByTestId('setting-num_key_value_heads').fill('3')
    await it.page.locator('#train:disabled').waitFor()
    await it.page.getByTestId('problem').filter({ hasText: 'Key-value heads' }).waitFor()
    await it.page.getByRole('button', { name: 'Reset Key-value heads' }).click()
    await ready(it.page)
  })

  test('does not change a field while the user is in it', async () => {
    const field = it.page.getByTestId('setting-sample_every')
    const before = await field.inputValue()
    await field.focus()
    // What follows from the steps may arrive between a click into the field and the first key.
    await it.page.getByTestId('setting-steps').evaluate((steps) => {
      steps.value = '30'
      steps.dispatchEvent(new Event('input', { bubbles: true }))
    })
    await it.page.locator('[aria-label="Reset Sample every to 3"]').waitFor({ state: 'attached' })
    assert.equal(await field.inputValue(), before)
    await field.blur()
    assert.equal(await field.inputValue(), '3')
    await it.page.getByRole('button', { name: 'Reset Steps' }).click()
    await it.page.waitForFunction((was) => document.querySelector('#setting-sample_every').value === was, before)
  })

  test('accepts a pasted text and asks for one if it is empty', async () => {
    await it.page.getByTestId('text-source').getByText('Paste').click()
    await it.page.getByTestId('problem').filter({ hasText: 'no text' }).waitFor()
    await it.page.getByTestId('paste').fill('To be, or not to be: that is the question.\n'.repeat(50))
    await it.page.getByTestId('text-size').filter({ hasText: '2,150 characters' }).waitFor()
    await ready(it.page)
    await it.page.getByTestId('tokenizer').selectOption('bpe')
    await it.page.locator('[data-testid="vocab-size"]:enabled').waitFor()
    // The size follows the tokenizer also after it was typed.
    await it.page.getByTestId('vocab-size').fill('300')
    await it.page.getByTestId('tokenizer').focus()
    await it.page.getByTestId('tokenizer').selectOption('char')
    const characters = /, (\d+) distinct$/.exec(await it.page.getByTestId('text-size').innerText())[1]
    await it.page.waitForFunction((size) => document.querySelector('#vocab-size').value === size, characters)
    await it.page.getByTestId('tokenizer').selectOption('bpe')
  })

  test('accepts a dropped text', async () => {
    const transfer = await it.page.evaluateHandle((text) => {
      const transfer = new DataTransfer()
      transfer.items.add(new File([text], 'notes.txt', { type: 'text/plain' }))
      return transfer
    }, 'A tale told by an idiot, full of sound and fury.\n'.repeat(60))
    const veil = it.page.locator('#drop')
    await it.page.dispatchEvent('main', 'dragenter', { dataTransfer: transfer })
    await veil.waitFor()
    await it.page.dispatchEvent('main', 'drop', { dataTransfer: transfer })
    await veil.waitFor({ state: 'hidden' })
    await it.page.getByTestId('text-size').filter({ hasText: 'notes.txt: ' }).waitFor()
    assert.match(await it.page.getByTestId('text-size').innerText(), /2,940 characters/)
    assert.equal(await it.page.locator('#source-file').isChecked(), true)
    await it.page.locator('#plan', { hasText: 'notes.txt' }).waitFor()
    await ready(it.page)
  })

  test('shows an error as one line that can be dismissed', async () => {
    await go(it.page, 'runs')
    await it.page
      .getByTestId('open')
      .setInputFiles({ name: 'broken.zip', mimeType: 'application/zip', buffer: Buffer.from('no zip') })
    const alert = it.page.getByRole('alert')
    await alert.waitFor()
    const message = (await alert.locator('p').innerText()).trim()
    assert.ok(message.length > 10 && !message.includes('\n'), message)
    await it.page.getByRole('button', { name: 'Dismiss the error' }).click()
    await alert.waitFor({ state: 'hidden' })
    // Escape and another view dismiss it too.
    const fail = async () => {
      await go(it.page, 'runs')
      await it.page
        .getByTestId('open')
        .setInputFiles({ name: 'broken.zip', mimeType: 'application/zip', buffer: Buffer.from('no zip') })
      await alert.waitFor()
    }
    await fail()
    await it.page.keyboard.press('Escape')
    await alert.waitFor({ state: 'hidden' })
    await fail()
    await go(it.page, 'train')
    await alert.waitFor({ state: 'hidden' })
    await ready(it.page)
    assert.deepEqual(it.errors, [])
  })

  test('fits a phone', async () => {
    await it.page.setViewportSize({ width: 360, height: 740 })
    for (const view of ['train', 'write', 'chat', 'inside', 'tokens', 'runs', 'learn', 'device']) {
      await go(it.page, view)
      await it.page.locator(`.view[data-view="${view}"] :is(h2, .problem)`).first().waitFor()
      const wide = await it.page.evaluate(() => document.documentElement.scrollWidth)
      assert.ok(wide <= 360, `${view}: ${wide} pixels wide`)
    }
  })
})

test('without WebGPU, the page says so next to the device and explains how to enable it', async () => {
  const { page, errors, close } = await open({ webgpu: 'off' })
  try {
    const banner = page.getByTestId('banner')
    await banner.waitFor()
    await page.getByTestId('no-webgpu').click()
    await banner.getByText('How to enable WebGPU').waitFor()
    assert.match(await banner.innerText(), /does not support WebGPU.*CPU/)
    for (const name of ['Chrome', 'Firefox', 'Safari', 'Linux', 'chrome://flags']) {
      assert.ok((await banner.innerText()).includes(name), name)
    }
    await page.keyboard.press('Escape')
    await banner.getByText('How to enable WebGPU').waitFor({ state: 'hidden' })
    await page.getByTestId('device-name').filter({ hasText: 'CPU' }).waitFor()
    await ready(page)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('if other views fail to load, Train still works', async () => {
  const { page, close } = await open({
    webgpu: 'off',
    before: (context) => context.route('**/assets/others-*.js', (route) => route.abort()),
  })
  try {
    await ready(page)
    await go(page, 'runs')
    await page.getByText('This view could not be loaded').waitFor()
    await go(page, 'train')
    await ready(page)
  } finally {
    await close()
  }
})
