// The chart: legend, reading and description.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open, openAll, ready } from './harness.mjs'

test('legend, reading and description match the chosen metric', async () => {
  const { page, errors, close } = await open({ webgpu: 'off' })
  try {
    await ready(page)
    await openAll(page)
    for (const [name, value] of Object.entries({
      steps: 30,
      eval_every: 10,
      save_every: 0,
      sample_every: 0,
      warmup_steps: 5,
    }))
      await page.getByTestId(`setting-${name}`).fill(String(value))
    await page.locator('#train:enabled').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    const plot = page.locator('.chart .plot')
    const legend = page.locator('.chart figcaption')
    const table = await page.locator('.chart tbody tr').last().locator('td').allInnerTexts()
    assert.match(await legend.innerText(), /Training loss.*Validation loss/s)
    await page.getByTestId('chart-metric').selectOption('norm')
    // The legend shows where the line ends: without smoothing, at the last value.
    await page.getByTestId('chart-smoothing').fill('0')
    assert.match((await legend.innerText()).trim(), new RegExp(`^Gradient norm ${table[2]}$`))
    await plot.hover({ position: { x: 400, y: 100 } })
    assert.match(await legend.innerText(), /step \d+: [\d.]+$/)
    await page.waitForFunction(() =>
      document.querySelector('.chart .plot').getAttribute('aria-label').startsWith('Gradient norm from'),
    )
    await page.getByTestId('chart-metric').selectOption('lr')
    const rate = Number((await legend.innerText()).match(/Learning rate ([\de.-]+)/)[1])
    assert.ok(Math.abs(rate - Number(table[3])) <= 0.005 * rate, `${rate} and ${table[3]}`)
    assert.doesNotMatch(await legend.innerText(), /loss/)

    // Pixels of the curve: the learning rate peaks right after the warm-up, at step 6.
    const peak = await plot.locator('canvas').evaluate((canvas) => {
      const { width, height } = canvas
      const { data } = canvas.getContext('2d').getImageData(0, 0, width, height)
      const hex = getComputedStyle(document.documentElement).getPropertyValue('--train').trim()
      const want = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16))
      for (let y = 0; y < height; y += 1)
        for (let x = 0; x < width; x += 1)
          if (want.every((value, i) => Math.abs(data[4 * (y * width + x) + i] - value) < 12))
            return (x / devicePixelRatio - 64) / (width / devicePixelRatio - 80)
      return -1
    })
    assert.ok(Math.abs(peak - 5 / 29) < 0.01, String(peak))
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})
