// Profile of a training step: shaders on WebGPU, timed by the adapter, and operations on the CPU.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { go, onWebGpu, open, openAll, ready } from './harness.mjs'

const MINUTE = 60_000

/** Starts a long run, profiles it, and returns the rows of the table. */
async function profile(page) {
  await ready(page)
  await openAll(page)
  for (const [name, value] of Object.entries({
    steps: 4000,
    batch_size: 4,
    eval_every: 0,
    save_every: 0,
    sample_every: 0,
  })) {
    await page.getByTestId(`setting-${name}`).fill(String(value))
  }
  await ready(page)
  const stages = page.evaluate(
    () =>
      new Promise((done) => {
        const seen = new Set()
        const stage = document.querySelector('#stage')
        const watch = new MutationObserver(() => {
          seen.add(stage.textContent)
          if (/^Step [1-9]/.test(document.querySelector('#step-count').textContent)) {
            watch.disconnect()
            done([...seen])
          }
        })
        watch.observe(document.querySelector('#run'), { subtree: true, childList: true, characterData: true })
      }),
  )
  await page.getByTestId('train').click()
  const before = await stages
  await go(page, 'device')
  await page.locator('[data-testid="profile"]:enabled').click()
  await page.getByTestId('profile-table').waitFor()
  const rows = await page
    .getByTestId('profile-table')
    .locator('tbody tr')
    .evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent.trim())))
  const summary = await page.getByTestId('profile-summary').innerText()
  await go(page, 'train')
  await page.getByTestId('stop').click()
  await ready(page)
  return { before, rows, summary }
}

function plausible(rows, summary) {
  const perStep = Number(summary.match(/^([\d.]+) ms per step/)?.[1])
  const sum = rows.reduce((sum, [, , ms]) => sum + Number(ms), 0)
  // Kernels may overlap, and two clocks are involved.
  assert.ok(perStep > 0 && sum > 0 && sum < 1.5 * perStep, `${sum} of ${summary}`)
  assert.deepEqual(
    rows.map(([, , ms]) => Number(ms)),
    rows.map(([, , ms]) => Number(ms)).toSorted((a, b) => b - a),
    'the longest comes first',
  )
}

test('profiles the operations on the CPU', { timeout: 2 * MINUTE }, async () => {
  const { page, errors, close } = await open({ webgpu: 'off' })
  try {
    const { rows, summary } = await profile(page)
    const calls = new Map(rows.map(([name, calls]) => [name, Number(calls)]))
    for (const name of ['linear', 'linear, weight gradient', 'attention, backward', 'AdamW'])
      assert.ok(calls.has(name), name)
    assert.equal(calls.get('attention'), 2)
    assert.equal(calls.get('AdamW'), 1)
    plausible(rows, summary)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('profiles the kernels on WebGPU, after showing their compilation', { timeout: 5 * MINUTE }, async () => {
  const { page, errors, close } = await open({ timeout: 3 * MINUTE })
  try {
    await onWebGpu(page)
    const { before, rows, summary } = await profile(page)
    assert.ok(
      before.some((stage) => /^Compiling for this device: \d+%$/.test(stage)),
      before.join(' | '),
    )
    const names = rows.map(([name]) => name)
    for (const part of ['linear', 'attention', 'norm', 'adamw']) {
      assert.ok(
        names.some((name) => name.startsWith(`${part}::`)),
        `${part} in ${names}`,
      )
    }
    console.log(summary)
    plausible(rows, summary)

    // The share of busy time is also measured automatically every few seconds.
    await page.getByTestId('resume').click()
    const busy = page.getByTestId('busy').filter({ hasText: /^[\d.]+%$/ })
    await busy.waitFor()
    const share = Number((await busy.innerText()).match(/[\d.]+/)[0])
    console.log(`GPU busy: ${share}%`)
    assert.ok(share > 5 && share <= 100, String(share))
    await page.getByTestId('stop').click()
    await ready(page)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})
