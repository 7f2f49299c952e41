// Stored runs: differences, notes, curves, branches, adjusting, opening folders, deleting.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { go, open, openAll, ready } from './harness.mjs'

const TEXT = 'It was the best of times, it was the worst of times, it was the age of wisdom.\n'.repeat(60)
const SMALL = {
  num_hidden_layers: 1,
  hidden_size: 32,
  steps: 30,
  eval_every: 10,
  save_every: 10,
  sample_every: 0,
  keep_last: 9,
}

const fill = async (page, settings) => {
  for (const [name, value] of Object.entries(settings)) await page.getByTestId(`setting-${name}`).fill(String(value))
}
const at = (page, step) => page.locator('#step-count', { hasText: `Step ${step} of` }).waitFor()
async function done(page, step) {
  await page.locator('#stage', { hasText: 'Done' }).waitFor()
  await at(page, step)
}
const row = (page, name) => page.locator('#runs tr', { has: page.getByTestId(`restore-${name}`) })

async function train(page, name, settings) {
  await go(page, 'train')
  await page.getByTestId('run-name').fill(name)
  await page.getByTestId('run-name').blur()
  await fill(page, settings)
  await page.locator('#plan', { hasText: name }).waitFor()
  await page.locator('#train:enabled').click()
  const steps = settings.steps ?? SMALL.steps
  await done(page, steps)
  await go(page, 'runs')
  // The last checkpoint is listed a moment after the last step was shown.
  await row(page, name)
    .filter({ hasText: `${steps} of ${steps}` })
    .waitFor()
}

/** Files of a run's newest checkpoint, from the browser's storage. */
const checkpointOf = (page, run) =>
  page.evaluate(async (run) => {
    const files = {}
    const walk = async (folder, at) => {
      for await (const entry of folder.values()) {
        const name = `${at}/${entry.name}`
        if (entry.kind === 'directory') await walk(entry, name)
        else if (name.includes(`/${run}/checkpoints/`)) files[name] = await entry.getFile()
      }
    }
    await walk(await navigator.storage.getDirectory(), '')
    const newest = Object.keys(files)
      .map((name) => name.replace(/[^/]*$/, ''))
      .sort()
      .at(-1)
    const own = Object.entries(files).filter(([name]) => name.startsWith(newest))
    return Promise.all(
      own.map(async ([name, file]) => [name.slice(newest.length), [...new Uint8Array(await file.arrayBuffer())]]),
    )
  }, run)

describe('runs', () => {
  let it
  let page
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blankslate-runs-'))
  before(async () => {
    it = await open({ webgpu: 'off' })
    page = it.page
    await ready(page)
    await openAll(page)
    await page.getByTestId('text-source').getByText('Paste').click()
    await page.getByTestId('paste').fill(TEXT)
    await page.locator('#plan', { hasText: 'your text' }).waitFor()
    await fill(page, SMALL)
  })
  after(async () => {
    await it?.close()
    fs.rmSync(folder, { recursive: true, force: true })
  })

  test('the table lists the settings that differ', async () => {
    await train(page, 'slow', { lr: 0.001 })
    const alone = await row(page, 'slow').innerText()
    assert.match(alone, /30 of 30/)
    assert.match(alone, /\b\d\.\d{3}\b/, 'the best validation loss')
    assert.match(alone, /\b1\d,\d{3}\b/, 'parameters')
    assert.match(alone, /\d [KM]B/)
    assert.equal(await page.getByTestId('chips-slow').count(), 0, 'nothing to differ from')
    await train(page, 'fast', { lr: 0.01 })
    const chips = await page.getByTestId('chips-fast').innerText()
    assert.match(chips, /Learning rate\s+0\.01\b/)
    assert.match(await page.getByTestId('chips-slow').innerText(), /Learning rate\s+0\.001\b/)
    assert.doesNotMatch(chips, /Steps|Layers|Seed|Width/)
    await page
      .getByTestId('space')
      .filter({ hasText: /^\S+ [KMG]?B of about \S+ [MGT]B used/ })
      .waitFor()
  })

  test('curves are shown in one chart with a legend', async () => {
    await page.getByTestId('draw-slow').check()
    await page.getByTestId('draw-fast').check()
    const overlay = page.getByTestId('overlay')
    await overlay.locator('.entry', { hasText: /^\s*fast\s+validation \d\.\d{3}/ }).waitFor()
    assert.equal(await overlay.getByRole('heading').innerText(), 'Training loss by step')
    const picture = overlay.getByRole('img')
    await page.waitForFunction(() =>
      /slow: training loss from .* at step 1 to .* at step 30.*fast: training loss/.test(
        document.querySelector('[data-testid=overlay] [role=img]').ariaLabel,
      ),
    )
    const strokes = await overlay
      .locator('line')
      .evaluateAll((all) => all.map((one) => [getComputedStyle(one).stroke, one.getAttribute('stroke-dasharray')]))
    assert.notEqual(strokes[0][0], strokes[1][0])
    assert.notEqual(strokes[0][1], strokes[1][1])
    await openAll(page)
    for (const metric of ['val', 'norm', 'lr', 'loss']) {
      await overlay.getByTestId('chart-metric').selectOption(metric)
      await overlay.getByTestId('chart-log-y').check()
      await overlay.getByTestId('chart-log-y').uncheck()
    }
    // A chart that was hidden has the right width when it is shown again.
    await go(page, 'train')
    await page.setViewportSize({ width: 900, height: 800 })
    await go(page, 'runs')
    await page.waitForFunction(() => {
      const [plot, canvas] = ['[role=img]', 'canvas'].map((part) =>
        document.querySelector(`[data-testid=overlay] ${part}`),
      )
      // It is redrawn in between.
      return canvas && plot.clientWidth > 400 && Math.abs(canvas.clientWidth - plot.clientWidth) < 2
    })
    assert.ok(await picture.isVisible())
    await page.setViewportSize({ width: 1280, height: 800 })
  })

  test('a branch starts from a kept checkpoint and leaves its run unchanged', async () => {
    const best = await row(page, 'slow').locator('[data-label="Best validation loss"]').innerText()
    await page.getByTestId('more-slow').click()
    const kept = page.getByTestId('kept-slow')
    assert.deepEqual(await kept.locator('option').allInnerTexts(), ['0', '10', '20', '30'])
    await kept.selectOption('10')
    await page.getByTestId('branch-slow').click()
    await page.locator('.which', { hasText: 'slow-branch-1 is open at step 10' }).waitFor()
    await go(page, 'train')
    await at(page, 10)
    await page.locator('#resume:visible').click()
    await done(page, 30)
    await go(page, 'runs')
    // With unchanged settings, it ends like its run.
    await row(page, 'slow-branch-1').filter({ hasText: best }).waitFor()
    assert.equal(await page.getByTestId('note-slow-branch-1').inputValue(), 'Branch of slow at step 10')
    assert.match(await row(page, 'slow').innerText(), /30 of 30/)
  })

  test('a note is stored', async () => {
    await page.getByTestId('note-fast').fill('too fast, I fear')
    await page.getByTestId('note-fast').blur()
    await page.reload()
    await page.locator('#download').waitFor()
    await page.waitForFunction(() => document.querySelector('[data-testid=note-fast]')?.value === 'too fast, I fear')
  })

  test('a run can be adjusted while it is training, and extended by a number of steps', async () => {
    await page.getByTestId('restore-fast').click()
    await page.locator('.which', { hasText: 'fast is open' }).waitFor()
    await go(page, 'train')
    await openAll(page)
    await page.getByTestId('more-steps').fill('7')
    await page.locator('#resume:enabled').click()
    await at(page, 37)
    await page.locator('#resume:visible').waitFor()
    await page.getByTestId('steer-steps').fill('5')
    await page.getByTestId('steer-said').filter({ hasText: 'at least 37' }).waitFor()
    assert.equal(await page.getByTestId('steer-apply').isDisabled(), true)
    await page.getByTestId('steer-steps').fill('60000')
    await page.getByTestId('steer-apply').click()
    await page.locator('#step-count', { hasText: 'Step 37 of 60,000' }).waitFor()
    await page.locator('#resume:visible').click()
    await page.locator('#pause:visible').waitFor()
    await page.getByTestId('steer-lr').fill('0.0004')
    await page.getByTestId('steer-batch_size').fill('2')
    await page.getByTestId('steer-apply').click()
    await page.waitForFunction(
      () =>
        document.querySelector('#setting-lr').value === '0.0004' &&
        document.querySelector('#setting-batch_size').value === '2',
    )
    await page.getByTestId('pause').click()
    await page.locator('#resume:visible').waitFor()
    assert.equal(await page.getByTestId('setting-lr').inputValue(), '0.0004')
    await page.getByTestId('stop').click()
  })

  test('a folder can be opened, and several dropped files', async () => {
    const files = await checkpointOf(page, 'slow')
    assert.ok(
      files.some(([name]) => name === 'model.safetensors'),
      String(files.map(([name]) => name)),
    )
    const place = path.join(folder, 'My model')
    fs.mkdirSync(place)
    for (const [name, bytes] of files) fs.writeFileSync(path.join(place, name), Buffer.from(bytes))
    fs.writeFileSync(path.join(place, 'README.md'), 'not a part of it')
    await go(page, 'runs')
    await page.locator('#open-folder:enabled').waitFor({ state: 'attached' })
    await page.getByTestId('open-folder').setInputFiles(place)
    await page.locator('.which', { hasText: 'My-model is open at step 30' }).waitFor()

    const transfer = await page.evaluateHandle((files) => {
      const transfer = new DataTransfer()
      for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name))
      return transfer
    }, files)
    await page.dispatchEvent('main', 'drop', { dataTransfer: transfer })
    await page.getByTestId('leaving-go').click()
    await page.locator('.which', { hasText: 'opened is open at step 30' }).waitFor()

    fs.rmSync(path.join(place, 'config.json'))
    await page.getByTestId('open-folder').setInputFiles(place)
    await page.getByTestId('error').filter({ hasText: 'no config.json' }).waitFor()
    await page.locator('.which', { hasText: 'opened is open' }).waitFor()
  })

  test('deleting a run asks for confirmation', async () => {
    const button = page.getByTestId('delete-slow')
    await button.dblclick()
    await page.getByRole('button', { name: 'Confirm deleting slow', exact: true }).waitFor()
    assert.equal(await page.getByTestId('restore-slow').count(), 1)
    await button.click()
    await page.getByTestId('restore-slow').waitFor({ state: 'detached' })
    assert.equal(await page.getByTestId('restore-fast').count(), 1)
  })

  test('the current run can be deleted', async () => {
    await page.getByTestId('restore-fast').click()
    await page.getByTestId('leaving-go').click()
    await page.locator('.which', { hasText: 'fast is open' }).waitFor()
    await page.getByTestId('delete-fast').click()
    await page.getByRole('button', { name: 'Confirm deleting fast', exact: true }).click()
    await page.getByTestId('restore-fast').waitFor({ state: 'detached' })
    await page.locator('.which', { hasText: 'No model is open' }).waitFor()
    await go(page, 'train')
    assert.equal(await page.getByTestId('step-count').innerText(), 'No steps yet')
    await ready(page)
    await go(page, 'runs')
  })

  test('a large run asks for confirmation', async () => {
    await go(page, 'train')
    await page.getByTestId('preset').selectOption('gpt2')
    // With the batch of the preset it does not fit into a tab at all.
    await openAll(page)
    await page.getByTestId('setting-batch_size').fill('1')
    await page
      .getByTestId('parameters')
      .filter({ hasText: /^\d+M$/ })
      .waitFor()
    await page.locator('#train:enabled').click()
    const dialog = page.getByTestId('heavy')
    await dialog.waitFor()
    assert.match(await dialog.innerText(), /\d+M parameters[\s\S]*\d GB of memory/)
    await page.getByTestId('heavy-cancel').click()
    await dialog.waitFor({ state: 'hidden' })
    assert.equal(await page.locator('#pause').isVisible(), false)
    assert.equal(await page.locator('#train').isEnabled(), true)
  })

  test('fits a phone', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    for (const view of ['train', 'runs']) {
      await go(page, view)
      const wide = await page.evaluate(() => document.documentElement.scrollWidth)
      assert.ok(wide <= 360, `${view}: ${wide} pixels wide`)
    }
    assert.deepEqual(it.errors, [])
  })
})

test('the next run gets an unused name before the last one is listed', async () => {
  // Delay storing the details of a run: until then it is not listed.
  const slowly = (context) =>
    context.addInitScript(() => {
      const { put } = IDBObjectStore.prototype
      IDBObjectStore.prototype.put = function (...entry) {
        const end = performance.now() + 3000
        const wait = () => performance.now() < end && (this.get('').onsuccess = wait)
        if (this.name === 'runs') wait()
        return put.apply(this, entry)
      }
    })
  const { page, errors, close } = await open({ webgpu: 'off', before: slowly })
  try {
    await ready(page)
    await openAll(page)
    await fill(page, { ...SMALL, steps: 5 })
    // From here on the table exists and would show them.
    await go(page, 'runs')
    await go(page, 'train')
    for (const name of ['tiny-1', 'tiny-2']) {
      await page.locator('#train:enabled').click()
      await done(page, 5)
      assert.equal(await page.getByTestId(`restore-${name}`).count(), 0)
    }
    await go(page, 'runs')
    for (const name of ['tiny-1', 'tiny-2']) await page.getByTestId(`restore-${name}`).waitFor()
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('a GGUF file can be chosen or dropped, also next to a config.json', async () => {
  const it = await open({ webgpu: 'off' })
  const { page } = it
  const bytes = (name) => fs.readFileSync(new URL(`../golden/gguf/${name}`, import.meta.url))
  try {
    await ready(page)
    await go(page, 'runs')
    await page.getByTestId('open').setInputFiles({ name: 'llama.gguf', mimeType: '', buffer: bytes('llama.gguf') })
    await page.locator('.which b', { hasText: /^llama$/ }).waitFor()
    const drop = (files) =>
      page.evaluate((files) => {
        const dataTransfer = new DataTransfer()
        for (const [name, content] of files) dataTransfer.items.add(new File([Uint8Array.from(content)], name))
        window.dispatchEvent(new DragEvent('drop', { dataTransfer, cancelable: true }))
      }, files)
    const gpt2 = ['gpt2.gguf', [...bytes('gpt2.gguf')]]
    await drop([gpt2])
    await page.getByTestId('leaving-go').click()
    await page.locator('.which b', { hasText: /^gpt2$/ }).waitFor()
    await drop([
      ['config.json', [123, 125]],
      ['other.gguf', gpt2[1]],
    ])
    await page.getByTestId('leaving-go').click()
    await page.locator('.which b', { hasText: /^other$/ }).waitFor()
    assert.deepEqual(it.errors, [])
  } finally {
    await it.close()
  }
})
