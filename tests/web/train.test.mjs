// End to end: train in the tab, sample, reload, restore, continue, download. The native binary ($BLANKSLATE_BIN) continues the download,
// and the page continues the binary's checkpoint.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { crc32, inflateRawSync } from 'node:zlib'
import { go, onWebGpu, open, openAll, ready, skipWithout } from './harness.mjs'

const MINUTE = 60_000
// Far more than are trained: the run is paused each time, even on a fast device.
const STEPS = 2000
const TEXT = fs.readFileSync(new URL('../../assets/text/shakespeare.txt', import.meta.url), 'utf8').slice(0, 20_000)

const stepNow = async (page) => Number((await page.getByTestId('step-count').innerText()).match(/\d+/)?.[0])

const stepAtLeast = (page, step) =>
  page.waitForFunction(
    (least) => Number(document.querySelector('#step-count').textContent.match(/\d+/)?.[0]) >= least,
    step,
  )

/** Records every displayed loss in `window.losses`. */
const watchLosses = (page) =>
  page.evaluate(() => {
    window.losses = {}
    new MutationObserver(() => {
      const step = Number(document.querySelector('#step-count').textContent.match(/\d+/)?.[0])
      const loss = Number(document.querySelector('#train-loss').textContent)
      if (step > 0 && Number.isFinite(loss)) window.losses[step] = loss
    }).observe(document.querySelector('#run'), { subtree: true, childList: true, characterData: true })
  })

/** Pauses, waits until the checkpoint is written, and returns its step. */
async function pause(page) {
  await page.getByTestId('pause').click()
  await page.locator('#resume:visible').waitFor()
  const step = await stepNow(page)
  await go(page, 'runs')
  await page
    .getByTestId('saved')
    .filter({ hasText: new RegExp(`^Saved at step ${step}$`) })
    .waitFor()
  await go(page, 'train')
  return step
}

async function settings(page, values, text = TEXT) {
  await openAll(page)
  await page.getByTestId('text-source').getByText('Paste').click()
  await page.getByTestId('paste').fill(text)
  for (const [name, value] of Object.entries(values)) await page.getByTestId(`setting-${name}`).fill(String(value))
  await page.locator('#plan', { hasText: 'your text' }).waitFor()
  await ready(page)
}

test('a first visit trains with one click', { timeout: 10 * MINUTE }, async () => {
  const { page, errors, close } = await open({ timeout: 5 * MINUTE })
  try {
    await ready(page)
    const opened = await page.evaluate(() => performance.now() / 1000)
    await page.getByTestId('train').click()
    await stepAtLeast(page, 1)
    const stepped = await page.evaluate(() => performance.now() / 1000)
    const device = await page.getByTestId('device-name').innerText()
    console.log(
      `page load to Train enabled: ${opened.toFixed(1)} s; to the first step: ${stepped.toFixed(1)} s (${device})`,
    )
    await page.getByTestId('stop').click()
    await ready(page)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('learns a periodic sequence on WebGPU', { timeout: 10 * MINUTE }, async () => {
  const { page, errors, close } = await open({ timeout: 5 * MINUTE })
  try {
    await onWebGpu(page)
    await ready(page)
    const values = { steps: 100, lr: 0.01, warmup_steps: 5, eval_every: 100, save_every: 0, sample_every: 0 }
    await settings(page, values, 'abcdefghijk'.repeat(60))
    await page.getByTestId('train').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    // The loss in the chart is smoothed; the validation loss is not.
    const loss = await page.getByTestId('val-loss').innerText()
    console.log(`a period of 11 in 100 steps: validation loss ${loss}`)
    assert.match(loss, /^\d+\.\d+$/)
    assert.ok(Number(loss) < 0.05, loss)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('trains on the CPU without WebGPU', { timeout: 10 * MINUTE }, async () => {
  const { page, errors, close } = await open({ webgpu: 'off', timeout: 5 * MINUTE })
  try {
    await ready(page)
    await settings(page, { steps: 10, eval_every: 10, sample_every: 10 })
    // The tokenizer is trained in the tab too.
    await page.getByTestId('tokenizer').selectOption('bpe')
    await page.getByTestId('vocab-size').fill('400')
    await ready(page)
    assert.match(await page.getByTestId('device-name').innerText(), /CPU/)
    await watchLosses(page)
    await page.getByTestId('train').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    const losses = Object.values(await page.evaluate(() => window.losses))
    console.log(
      `CPU in the tab: ${await page.getByTestId('tokens-per-second').innerText()} tokens/s, loss ${losses[0]} to ${losses.at(-1)}`,
    )
    assert.ok(losses.at(-1) < losses[0], String(losses))
    assert.match(await page.getByTestId('val-loss').innerText(), /^\d+\.\d+$/)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('trains and generates with WordPiece on a pasted text', { timeout: 5 * MINUTE }, async () => {
  const { page, errors, close } = await open({ timeout: 5 * MINUTE })
  try {
    await ready(page)
    await page.getByTestId('device').selectOption('cpu')
    await page.getByTestId('device-name').filter({ hasText: 'CPU' }).waitFor()
    await settings(page, { steps: 5, eval_every: 5, save_every: 0, sample_every: 0 })
    await page.getByTestId('tokenizer').selectOption('wordpiece')
    await page.getByTestId('vocab-size').fill('400')
    await ready(page)
    await page.getByTestId('train').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    assert.equal(await stepNow(page), 5)
    // An untrained model with 400 tokens would have a loss of ln 400.
    const loss = Number(await page.getByTestId('val-loss').innerText())
    assert.ok(loss > 1 && loss < Math.log(400), String(loss))

    await go(page, 'write')
    await openAll(page)
    await page.getByTestId('setting-max_new_tokens').fill('12')
    await page.getByTestId('prompt').fill('Enter the king')
    await page.getByTestId('generate').click()
    await page.locator('#sample-state', { hasText: 'token' }).waitFor()
    await page.locator('#generate:enabled').waitFor()
    const output = await page.getByTestId('output').textContent()
    console.log(`WordPiece: validation loss ${loss}; it writes ${JSON.stringify(output)}`)
    // Lower case, with continuations joined to words.
    const written = output.slice('Enter the king'.length)
    assert.ok(output.startsWith('Enter the king') && /[a-z]/.test(written), output)
    assert.doesNotMatch(written, /[A-Z]|##/)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test(
  'train, sample, reload, restore, continue, download, continue natively and back in the page',
  { timeout: 40 * MINUTE },
  async (t) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blankslate-web-'))
    const { page, errors, close } = await open({ timeout: 10 * MINUTE })
    let paused = 0
    let first = 0
    let name = ''
    const archive = path.join(folder, 'run.zip')
    const checkpoint = path.join(folder, 'checkpoint')
    try {
      await onWebGpu(page)
      await ready(page)
      await settings(page, { steps: STEPS, warmup_steps: 5, eval_every: 15, save_every: 15, sample_every: 15 })
      name = await page.getByTestId('run-name').inputValue()

      await t.test('30 steps on real text, with the loss falling', async () => {
        await watchLosses(page)
        await page.getByTestId('train').click()
        await stepAtLeast(page, 30)
        paused = await pause(page)
        const losses = Object.entries(await page.evaluate(() => window.losses)).map(([step, loss]) => [
          Number(step),
          loss,
        ])
        const values = losses.map(([, loss]) => loss)
        first = values[0]
        const last = values.at(-1)
        console.log(
          `loss ${first.toFixed(3)} to ${last.toFixed(3)} in ${paused} steps, ${await page.getByTestId('tokens-per-second').innerText()} tokens/s`,
        )
        assert.ok(last < first - 0.3, `first seen ${first}, last ${last}`)
        assert.match(await page.getByTestId('val-loss').innerText(), /^\d+\.\d+$/)
        assert.ok((await page.locator('#live-text').innerText()).trim().length > 5)
        assert.match(await page.getByTestId('time-estimate').innerText(), /^about /)
      })

      await t.test('it writes, as long as it is let', async () => {
        await go(page, 'write')
        await openAll(page)
        await page.getByTestId('prompt').fill('First')
        await page.getByTestId('setting-max_new_tokens').fill('16')
        await page.getByTestId('generate').click()
        await page.locator('#sample-state', { hasText: 'token' }).waitFor()
        await page.locator('#generate:enabled').waitFor()
        const output = await page.getByTestId('output').textContent()
        assert.ok(output.startsWith('First') && output.length > 'First'.length + 8, output)

        await page.getByTestId('setting-max_new_tokens').fill('5000')
        await page.getByTestId('generate').click()
        await page.locator('#sample-state', { hasText: 'token' }).waitFor()
        await page.getByTestId('cancel').click()
        await page.locator('#generate:enabled').waitFor()
        await go(page, 'train')
      })

      await t.test('a reload loses nothing', async () => {
        await page.reload()
        await ready(page)
        await page
          .getByTestId('continue')
          .filter({ hasText: `Resume ${name} from step ${paused}` })
          .waitFor()
        await go(page, 'runs')
        await page.getByTestId(`restore-${name}`).click()
        await go(page, 'train')
        await page.locator('#stage', { hasText: 'Paused' }).waitFor()
        assert.equal(await stepNow(page), paused)
        assert.equal(await page.getByTestId('paste').inputValue(), TEXT)
      })

      await t.test('it continues', async () => {
        await watchLosses(page)
        await page.getByTestId('resume').click()
        await stepAtLeast(page, paused + 3)
        const before = paused
        paused = await pause(page)
        const losses = await page.evaluate(() => window.losses)
        assert.ok(
          losses[before + 1] < first - 0.2,
          `loss ${losses[before + 1]} after the restore, ${first} at the start`,
        )
      })

      await t.test('it downloads as one file', async () => {
        await go(page, 'runs')
        const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId('download').click()])
        assert.match(download.suggestedFilename(), /\.zip$/)
        await download.saveAs(archive)
        await go(page, 'train')
        unzip(fs.readFileSync(archive), checkpoint)
        for (const file of ['config.json', 'model.safetensors', 'tokenizer.json']) find(checkpoint, file)
      })

      const binary = process.env.BLANKSLATE_BIN
      const skip = skipWithout(!binary && 'BLANKSLATE_BIN is not set: it must be the path of the native binary')
      await t.test('the binary continues the download', { skip }, async () => {
        const data = path.join(folder, 'text.txt')
        fs.writeFileSync(data, TEXT)
        const out = path.dirname(find(checkpoint, 'config.json'))
        const { stdout } = await promisify(execFile)(binary, [
          'train',
          '--resume',
          '--out',
          out,
          '--data',
          data,
          '--steps',
          String(paused + 2),
          '--device',
          'cpu',
          '--json',
        ])
        const lines = stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line))
        const steps = lines.filter((line) => Number.isFinite(line.step) && Number.isFinite(line.loss))
        console.log(`native: ${steps.map(({ step, loss }) => `step ${step} loss ${loss.toFixed(3)}`).join(', ')}`)
        assert.ok(
          steps.some(({ step }) => step === paused + 2),
          stdout,
        )
        assert.ok(
          steps.every(({ loss }) => loss < first - 0.2),
          stdout,
        )
      })

      await t.test('the page continues the binary’s checkpoint', { skip }, async () => {
        const newest = path.dirname(find(checkpoint, 'model.safetensors'))
        await page.getByTestId('stop').click()
        await go(page, 'runs')
        await page
          .getByTestId('open')
          .setInputFiles({ name: 'native.zip', mimeType: 'application/zip', buffer: zip(newest) })
        await go(page, 'train')
        await page.locator('#step-count', { hasText: `Step ${paused + 2} of` }).waitFor()
        await watchLosses(page)
        await page.getByTestId('resume').click()
        await stepAtLeast(page, paused + 4)
        const losses = await page.evaluate(() => window.losses)
        assert.ok(losses[paused + 3] < first - 0.2, JSON.stringify(losses))
        await pause(page)
      })
      assert.deepEqual(errors, [])
    } finally {
      await close()
      fs.rmSync(folder, { recursive: true, force: true })
    }
  },
)

// ---- zip files, as needed for checkpoints

/** The newest file with this name in or below a folder. */
function find(folder, name) {
  const found = fs
    .readdirSync(folder, { recursive: true })
    .filter((file) => path.basename(file) === name)
    .map((file) => path.join(folder, file))
    .sort((a, b) => fs.statSync(b).mtimeMs - fs.statSync(a).mtimeMs)
  assert.ok(found.length, `${name} is not in ${folder}: ${fs.readdirSync(folder, { recursive: true })}`)
  return found[0]
}

function unzip(bytes, folder) {
  const end = bytes.lastIndexOf('PK\x05\x06', undefined, 'latin1')
  assert.ok(end >= 0, 'the download is no zip')
  let at = bytes.readUInt32LE(end + 16)
  for (let left = bytes.readUInt16LE(end + 10); left > 0; left -= 1) {
    const [method, packed] = [bytes.readUInt16LE(at + 10), bytes.readUInt32LE(at + 20)]
    const [name, extra, comment] = [28, 30, 32].map((offset) => bytes.readUInt16LE(at + offset))
    const file = bytes.toString('utf8', at + 46, at + 46 + name)
    const local = bytes.readUInt32LE(at + 42)
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28)
    const content = bytes.subarray(start, start + packed)
    if (!file.endsWith('/')) {
      const target = path.join(folder, file)
      assert.ok(target.startsWith(folder + path.sep), file)
      fs.mkdirSync(path.dirname(target), { recursive: true })
      fs.writeFileSync(target, method === 0 ? content : inflateRawSync(content))
    }
    at += 46 + name + extra + comment
  }
}

/** Packs the files of a folder, without subfolders, into a zip. */
function zip(folder) {
  const [files, directory] = [[], []]
  let offset = 0
  for (const file of fs.readdirSync(folder)) {
    if (!fs.statSync(path.join(folder, file)).isFile()) continue
    const content = fs.readFileSync(path.join(folder, file))
    const name = Buffer.from(file)
    const shared = Buffer.alloc(26) // from "version needed" to the lengths of name and extra field
    shared.writeUInt16LE(20, 0)
    shared.writeUInt16LE(0x21, 8) // 1 January 1980
    shared.writeUInt32LE(crc32(content), 10)
    shared.writeUInt32LE(content.length, 14)
    shared.writeUInt32LE(content.length, 18)
    shared.writeUInt16LE(name.length, 22)
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(offset, 10)
    directory.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), shared, tail, name)
    files.push(Buffer.from('PK\x03\x04', 'latin1'), shared, name, content)
    offset += 4 + shared.length + name.length + content.length
  }
  const listing = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(files.length / 4, 8)
  end.writeUInt16LE(files.length / 4, 10)
  end.writeUInt32LE(listing.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...files, listing, end])
}
