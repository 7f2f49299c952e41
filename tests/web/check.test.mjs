// "Check this device" on WebGPU: compares logits, every gradient, and ten losses and gradient norms with PyTorch's.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { go, onWebGpu, open, ready } from './harness.mjs'

const TOLERANCE = 1e-4
const GOLDEN = new URL('../../assets/golden/', import.meta.url)

/** Names of the gradients in a golden case. */
function gradients(name) {
  const bytes = fs.readFileSync(new URL(`${name}/io.safetensors`, GOLDEN))
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())))
  return Object.keys(header).filter((key) => key.startsWith('grad.'))
}

test('WebGPU in this browser matches PyTorch', { timeout: 20 * 60_000 }, async () => {
  const { page, errors, close } = await open({ timeout: 15 * 60_000 })
  try {
    await onWebGpu(page)
    await go(page, 'device')
    await page.locator('#check:enabled').waitFor()
    await page.getByTestId('check').click()
    await page.locator('#check-state').filter({ hasText: ' on ' }).waitFor()
    const device = await page.getByTestId('device-name').innerText()
    assert.match(device, /^WebGPU/)
    for (const name of ['gpt2-tiny', 'llama-tiny']) {
      const figures = await page
        .getByTestId(`check-${name}`)
        .locator('table.all tbody tr')
        .evaluateAll((rows) => rows.map(({ dataset }) => [dataset.name, Number(dataset.error)]))
      const errorOf = new Map(figures)
      const worst = figures.reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0])
      console.log(
        `${name} on ${device}: ${figures.length} figures, worst ${worst[1].toExponential(2)} (${worst[0]}),`,
        `logits ${errorOf.get('logits')?.toExponential(2)}, loss ${errorOf.get('loss')?.toExponential(2)}`,
      )
      const wanted = [
        'logits',
        'loss',
        ...gradients(name),
        ...Array.from({ length: 10 }, (_, i) => [`step ${i + 1} loss`, `step ${i + 1} grad_norm`]).flat(),
      ]
      assert.deepEqual(
        wanted.filter((one) => !errorOf.has(one)),
        [],
        'missing values',
      )
      assert.deepEqual(
        figures.filter(([, error]) => !(error <= TOLERANCE)),
        [],
        `errors above ${TOLERANCE}`,
      )
      assert.equal(await page.getByTestId(`check-${name}`).getAttribute('data-passed'), 'true')
    }
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('the Device view lists the capabilities of the browser', { timeout: 120_000 }, async () => {
  const { page, errors, close } = await open()
  try {
    await ready(page)
    await go(page, 'device')
    const told = (name) => page.locator(`[data-fact="${name}"] dd`).first().innerText()
    assert.match(await told('Adapter'), /swiftshader/)
    assert.equal(await told('Timestamps'), 'yes')
    assert.match(await told('Largest binding'), /^[\d,.]+ [KMG]iB$/)
    assert.equal(await told('Processor cores'), String(await page.evaluate(() => navigator.hardwareConcurrency)))
    assert.match(await told('Storage'), /^[\d.]+ \w+ of [\d.]+ [GT]B used$/)
    assert.equal(await told('Isolated page'), 'yes')
    assert.match(await page.getByTestId('verdict').innerText(), /^This browser has everything needed for training/)
    // Chosen by measuring, as the header says too. The CPU has no device that could be lost.
    assert.match(await page.getByTestId('chosen').innerText(), /^CPU/)
    assert.equal(await page.getByTestId('destroy').isDisabled(), true)
    await page.locator('[data-testid="engine-memory"][data-bytes]').waitFor()
    assert.ok(Number(await page.getByTestId('engine-memory').getAttribute('data-bytes')) > 1e6)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})
