// Sharing a run as a link: copied here, opened in another browser, reproduced and compared.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { open, openAll, ready } from './harness.mjs'

const OWN = 'Call me Ishmael. Some years ago, never mind how long precisely, I went to sea.\n'.repeat(40)

const unpack = (code) => JSON.parse(inflateRawSync(Buffer.from(code, 'base64url')))
const pack = (shared) => deflateRawSync(JSON.stringify(shared)).toString('base64url')
const clipboard = (context) => context.grantPermissions(['clipboard-read', 'clipboard-write'])
const visit = (code) => open({ webgpu: 'off', path: `#/train?share=${code}` })
const verdict = (page, text) => page.getByTestId('verdict').filter({ hasText: text }).waitFor()

/** Presses “Copy link” and returns the `share=` part. */
async function copied(page) {
  await page.getByTestId('copy-link').click()
  await page.getByTestId('copy-link-said').filter({ hasText: 'Link copied. It contains' }).waitFor()
  const link = await page.evaluate(() => navigator.clipboard.readText())
  return /#\/train\?share=([\w-]+)$/.exec(link)[1]
}

/** Trains a small run and returns its link. */
async function trained({ steps, text, then }) {
  const { page, errors, close } = await open({ webgpu: 'off', before: clipboard })
  try {
    await ready(page)
    await openAll(page)
    if (text) {
      await page.getByTestId('text-source').getByText('Paste').click()
      await page.getByTestId('paste').fill(text)
      await page.locator('#plan', { hasText: 'your text' }).waitFor()
    }
    for (const [name, value] of Object.entries({
      steps,
      hidden_size: 32,
      lr: 0.004,
      seed: 7,
      sample_every: 0,
      eval_every: 0,
    }))
      await page.getByTestId(`setting-${name}`).fill(String(value))
    await page.locator('#train:enabled').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    await then?.(page)
    const code = await copied(page)
    assert.deepEqual(errors, [])
    return code
  } finally {
    await close()
  }
}

describe('a link', () => {
  let code
  before(async () => (code = await trained({ steps: 40 })))

  test('contains the settings, a hash of the text, and a fingerprint of the curve', () => {
    const { config, text, device, losses } = unpack(code)
    assert.equal(config.train.lr, 0.004)
    assert.equal(config.train.seed, 7)
    assert.equal(config.tokenizer, 'char')
    assert.equal(device, 'cpu')
    assert.match(text.sha256, /^[0-9a-f]{64}$/)
    assert.deepEqual([text.label, text.embedded], ['Shakespeare', true])
    assert.ok(losses.length > 8 && losses.length <= 16, String(losses.length))
    assert.deepEqual([losses[0][0], losses.at(-1)[0]], [1, 40])
    assert.ok(losses.at(-1)[1] < losses[0][1], 'the loss fell')
    assert.ok(code.length < 2000, `${code.length} characters`)
  })

  test('reproduces the run in another browser', async () => {
    const { page, errors, close } = await visit(code)
    try {
      await page.locator('[data-testid=reproduce]:enabled').waitFor()
      assert.equal(await page.getByTestId('setting-lr').inputValue(), '0.004')
      assert.match(await page.getByTestId('shared-about').innerText(), /40 steps on Shakespeare, trained on CPU/)
      await page.getByTestId('reproduce').click()
      await verdict(page, /^\s*Reproduced: all \d+ compared steps agree within 0\.1% \(the same kind of device\)/)
      await openAll(page)
      const rows = await page.getByTestId('compared').locator('tbody tr').count()
      assert.equal(rows, unpack(code).losses.length)
      assert.equal(await page.getByTestId('compared').locator('tr.fail').count(), 0)
      await page.locator('#stage', { hasText: 'Done' }).waitFor()
      await page.getByTestId('shared-close').click()
      await page.getByTestId('shared').waitFor({ state: 'detached' })
      assert.match(page.url(), /#\/train$/)
      assert.deepEqual(errors, [])
    } finally {
      await close()
    }
  })

  test('does not reproduce the run after a setting in it was changed', async () => {
    const shared = unpack(code)
    shared.config.train.lr = 0.006
    const { page, close } = await visit(pack(shared))
    try {
      await page.locator('[data-testid=reproduce]:enabled').click()
      await verdict(
        page,
        /^\s*Not reproduced: at step \d+ the loss is \d\.\d{3} here and \d\.\d{3} in the link\. They differ by \S+%/,
      )
    } finally {
      await close()
    }
  })

  test('has a larger tolerance for another kind of device, and says so', async () => {
    const shared = unpack(code)
    shared.device = 'webgpu'
    shared.losses = shared.losses.map(([step, loss]) => [step, loss * 1.01])
    const { page, close } = await visit(pack(shared))
    try {
      await page.locator('[data-testid=reproduce]:enabled').click()
      await verdict(page, /Reproduced: all .* within 2\.0% \(different kinds of device\)/)
    } finally {
      await close()
    }
  })

  test('to a run on a pasted text asks for that text', async () => {
    const own = await trained({ steps: 12, text: OWN })
    assert.ok(!JSON.stringify(unpack(own)).includes('Ishmael'), 'the text is not in the link')
    const { page, close } = await visit(own)
    try {
      await verdict(page, /It was trained on “your text” \(3,160 characters\)\. Choose exactly that text/)
      assert.equal(await page.getByTestId('reproduce').isDisabled(), true)
      await openAll(page)
      await page.getByTestId('text-source').getByText('Paste').click()
      await page.getByTestId('paste').fill(OWN)
      await page.locator('[data-testid=reproduce]:enabled').click()
      await verdict(page, /^\s*Reproduced/)
    } finally {
      await close()
    }
  })
})

test('an adjusted run is shared up to the adjustment', async () => {
  const code = await trained({
    steps: 10,
    then: async (page) => {
      await page.getByTestId('steer-steps').fill('15')
      await page.getByTestId('steer-apply').click()
      await page.locator('#step-count', { hasText: 'Step 10 of 15' }).waitFor()
      await page.locator('#resume:visible').click()
      await page.locator('#step-count', { hasText: 'Step 15 of 15' }).waitFor()
      await page.locator('#stage', { hasText: 'Done' }).waitFor()
      await page.getByTestId('copy-link').click()
      await page.getByTestId('copy-link-said').filter({ hasText: 'up to step 10' }).waitFor()
    },
  })
  const { config, losses } = unpack(code)
  assert.equal(config.train.steps, 10)
  assert.equal(losses.at(-1)[0], 10)
})

test('a link to settings fills in the form', async () => {
  const first = await open({ webgpu: 'off', before: clipboard })
  let code
  try {
    await ready(first.page)
    await openAll(first.page)
    await first.page.getByTestId('setting-num_hidden_layers').fill('3')
    code = await copied(first.page)
  } finally {
    await first.close()
  }
  const { page, close } = await visit(code)
  try {
    await page.getByTestId('shared-about').filter({ hasText: 'Shared settings' }).waitFor()
    await page.waitForFunction(() => document.querySelector('#setting-num_hidden_layers').value === '3')
    assert.equal(await page.getByTestId('reproduce').count(), 0)
  } finally {
    await close()
  }
})

test('a damaged link shows one clear line, and the page keeps working', async () => {
  const good = { version: 1, config: {}, text: {}, device: '', losses: [] }
  const bad = [
    ['hello', /cannot be read/],
    [pack({ ...good, version: 9 }), /another version/],
    [pack(good).slice(0, 20), /cannot be read/],
    [pack(good), /does not fit this version/],
    [pack('x'.repeat(1e6)), /cannot be read/],
  ]
  const { page, errors, close } = await open({ webgpu: 'off' })
  try {
    for (const [code, expected] of bad) {
      await page.evaluate((code) => (location.hash = `#/train?share=${code}`), code)
      const line = page.getByTestId('shared-problem')
      await line.filter({ hasText: expected }).waitFor()
      assert.ok(!(await line.innerText()).trim().includes('\n'))
    }
    await ready(page)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})
