// What stays with a run: its start, samples and curves, also in a download; and what is said before something is lost.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { go, open, openAll, ready } from './harness.mjs'
import { openWithBase } from './tuning.mjs'

const TEXT = 'It was the best of times, it was the worst of times, it was the age of wisdom.\n'.repeat(60)
const SMALL = {
  num_hidden_layers: 1,
  hidden_size: 32,
  steps: 10,
  eval_every: 5,
  save_every: 5,
  sample_every: 5,
  keep_last: 9,
}

const GGUF = (name) => ({
  name: `${name}.gguf`,
  mimeType: '',
  buffer: fs.readFileSync(new URL(`../golden/gguf/${name}.gguf`, import.meta.url)),
})
const current = (page, name) => page.locator('.which b', { hasText: new RegExp(`^${name}$`) }).waitFor()
const samples = (page) => page.locator('#live-sample .steps button').allInnerTexts()
async function curve(page) {
  const values = page.locator('.view[data-view="train"] .chart tbody td')
  await values.first().waitFor({ state: 'attached' })
  return values.allTextContents()
}

/** Trains the run `first` in `page`. */
async function train(page) {
  await ready(page)
  await openAll(page)
  await page.getByTestId('text-source').getByText('Paste').click()
  await page.getByTestId('paste').fill(TEXT)
  await page.locator('#plan', { hasText: 'your text' }).waitFor()
  for (const [name, value] of Object.entries({ ...SMALL, 'run-name': 'first' }))
    await page.getByTestId(name === 'run-name' ? name : `setting-${name}`).fill(String(value))
  await page.getByTestId('run-name').press('Tab')
  await page.locator('#plan', { hasText: 'first trains' }).waitFor()
  await page.locator('#train:enabled').click()
  await page.locator('#stage', { hasText: 'Done' }).waitFor()
}

describe('a run', () => {
  let it
  let page
  let zip
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blankslate-keeps-'))
  before(async () => {
    it = await open({ webgpu: 'off' })
    page = it.page
    await train(page)
  })
  after(async () => {
    await it?.close()
    fs.rmSync(folder, { recursive: true, force: true })
  })

  test('is sampled and kept before its first step', async () => {
    assert.deepEqual(await samples(page), ['0', '5', '10'])
    await go(page, 'runs')
    await page.getByTestId('more-first').click()
    const kept = page.getByTestId('kept-first').locator('option')
    assert.deepEqual(await kept.allInnerTexts(), ['0', '5', '10'])
    await go(page, 'inside')
    await page.getByTestId('inside-time').fill('0')
    await page
      .getByTestId('inside-step')
      .filter({ hasText: /^step 0 of 10/ })
      .waitFor()
  })

  test('has its samples and curve again after it is reopened', async () => {
    await go(page, 'train')
    const [before, words] = [await curve(page), await page.locator('#live-text').innerText()]
    await page.reload()
    await ready(page)
    await go(page, 'runs')
    await page.getByTestId('restore-first').click()
    await current(page, 'first')
    await go(page, 'train')
    await page.locator('#live-sample .steps button').nth(2).waitFor()
    assert.deepEqual(await samples(page), ['0', '5', '10'])
    assert.equal(await page.locator('#live-text').innerText(), words)
    await openAll(page)
    assert.deepEqual(await curve(page), before)
  })

  test('takes samples and curve along in a download, of the current run and of a stored one', async () => {
    const before = await curve(page)
    await go(page, 'runs')
    const save = async (button) => {
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId(button).click()])
      const file = path.join(folder, `${button}.zip`)
      await download.saveAs(file)
      return file
    }
    zip = await save('download')
    // The other model of the page, whose curve must not get into the download of a stored run.
    await page.getByTestId('open').setInputFiles(GGUF('llama'))
    await current(page, 'llama')
    await page.getByTestId('more-first').click()
    const stored = await save('download-first')
    const other = await open({ webgpu: 'off' })
    try {
      await ready(other.page)
      for (const [file, name] of [
        [zip, 'download'],
        [stored, 'download-first'],
      ]) {
        await go(other.page, 'runs')
        await other.page.getByTestId('open').setInputFiles(file)
        const close = other.page.getByTestId('leaving-go')
        if (name !== 'download') await close.click()
        await current(other.page, name)
        await go(other.page, 'train')
        await other.page.locator('#live-sample .steps button').nth(2).waitFor()
        assert.deepEqual(await samples(other.page), ['0', '5', '10'])
        await openAll(other.page)
        assert.deepEqual(await curve(other.page), before)
      }
      assert.deepEqual(other.errors, [])
    } finally {
      await other.close()
    }
  })

  test('that was opened and not saved is not lost without a question', async () => {
    const question = page.getByTestId('leaving')
    const unchanged = async () => {
      await question.waitFor()
      assert.match(await question.innerText(), /llama is not saved/)
      await page.getByTestId('leaving-cancel').click()
      await question.waitFor({ state: 'hidden' })
      await go(page, 'runs')
      await current(page, 'llama')
    }
    await page.getByTestId('restore-first').click()
    await unchanged()
    await page.getByTestId('open').setInputFiles(GGUF('gpt2'))
    await unchanged()
    await page.getByTestId('device').selectOption('cpu')
    await unchanged()
    assert.equal(await page.getByTestId('device').inputValue(), 'auto')
    await go(page, 'train')
    await page.locator('#stop:enabled').click()
    await page.locator('#train:enabled').click()
    await unchanged()
    const asked = page.waitForEvent('dialog')
    void page.reload().catch(() => {})
    const dialog = await asked
    assert.equal(dialog.type(), 'beforeunload')
    await dialog.dismiss()
    await current(page, 'llama')
    await page.getByTestId('restore-first').click()
    await page.getByTestId('leaving-go').click()
    await current(page, 'first')
    // A saved run is replaced without a question.
    await page.getByTestId('open').setInputFiles(GGUF('gpt2'))
    await current(page, 'gpt2')
    assert.deepEqual(it.errors, [])
  })
})

test('a link says what is different here', async () => {
  const unpack = (code) => JSON.parse(inflateRawSync(Buffer.from(code, 'base64url')))
  const pack = (shared) => deflateRawSync(JSON.stringify(shared)).toString('base64url')
  const clipboard = (context) => context.grantPermissions(['clipboard-read', 'clipboard-write'])
  const { page, errors, close } = await open({ webgpu: 'off', before: clipboard })
  try {
    await train(page)
    await page.getByTestId('copy-link').click()
    await page.getByTestId('copy-link-said').filter({ hasText: 'Link copied' }).waitFor()
    const shared = unpack((await page.evaluate(() => navigator.clipboard.readText())).split('share=')[1])
    const visit = async (change) => {
      const link = structuredClone(shared)
      change(link.config)
      await page.evaluate((code) => (location.hash = `#/train?share=${code}`), pack(link))
      await page.getByTestId('shared-about').waitFor()
    }
    const told = (text) => page.getByTestId('shared-changes').filter({ hasText: text }).waitFor()
    await visit((config) => (config.name = 'unused'))
    await page.getByTestId('verdict').filter({ hasText: 'The settings are filled in' }).waitFor()
    assert.equal(await page.getByTestId('shared-changes').count(), 0)
    await visit(() => {})
    await told(/^Changed here: the name first-1, because first is taken\.$/)
    await visit((config) => {
      config.name = 'unused'
      config.train.precision = 'bf16'
      config.train.lora_rank = 4
      config.train.warp = 9
    })
    await told(/Precision 32 bits instead of bf16/)
    await told(/LoRA rank 0 instead of 4/)
    await told(/without warp, which this version of the page does not have/)
    assert.equal(await page.getByTestId('setting-precision').inputValue(), 'f32')
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('the costs of fine-tuning on conversations count the tokens that are added', async () => {
  const { page, errors, close } = await openWithBase({ timeout: 20_000 })
  const part = (name) => page.getByTestId(name)
  try {
    await part('tune').evaluate((one) => (one.open = true))
    await part('text-source').getByText('File').click()
    const talk = [
      { role: 'user', content: 'sea?' },
      { role: 'assistant', content: 'shells' },
    ]
    const buffer = Buffer.from(`${JSON.stringify({ messages: talk })}\n`.repeat(3))
    await part('file').setInputFiles({ name: 'talks.jsonl', mimeType: 'application/jsonl', buffer })
    await part('tune').getByText('These are conversations').waitFor()
    await part('tune-steps').fill('1')
    await part('tune-rank').fill('2')
    await part('tune-cost').filter({ hasText: 'trainable' }).waitFor()
    const cost = async () => /^Parameters: (.*?)\. Memory/.exec(await part('tune-cost').innerText())[1]
    const told = await cost()
    await part('tune-start').click()
    await page.locator('#step-count', { hasText: /^Step \d of 1$/ }).waitFor()
    assert.equal(await part('parameters').innerText(), told)
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('the storage shown includes the page itself', async () => {
  const { page, errors, close } = await open({ webgpu: 'off', kept: true, timeout: 120_000 })
  try {
    await ready(page)
    await page.evaluate(() => navigator.serviceWorker.ready)
    const stored = await page.evaluate(async () => {
      let sum = 0
      for (const name of await caches.keys())
        for (const response of await (await caches.open(name)).matchAll()) sum += (await response.blob()).size
      return sum
    })
    assert.ok(stored > 1e6, String(stored))
    await go(page, 'runs')
    const space = page.getByTestId('space').filter({ hasText: /used, .* by the page itself/ })
    await space.waitFor()
    const [, used, unit, own] = /^([\d.]+) (\w+) of .* used, ([\d.]+) \w+ by/.exec(await space.innerText())
    const scale = { KB: 1e3, MB: 1e6, GB: 1e9 }[unit]
    assert.ok(Number(used) * scale > 0.95 * stored && Number(own) <= Number(used), await space.innerText())
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})
