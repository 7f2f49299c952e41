// Look inside: attention, layers, ablations, sampling, training steps, weights, token map, circuits, neurons, KV cache.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { go, open, openAll, ready } from './harness.mjs'

const TEXT = fs.readFileSync(new URL('../../assets/text/shakespeare.txt', import.meta.url), 'utf8').slice(0, 20_000)
const STEPS = 30

const number = (text) => Number(text.match(/-?[\d.]+/)?.[0])

describe('Look inside', () => {
  let it
  let page
  const part = (name) => page.getByTestId(name)
  const text = (name) => part(name).innerText()
  const tab = async (name) => {
    await part(`inside-tab-${name}`).click()
    await page.locator(`[data-testid="inside-tab-${name}"][aria-selected="true"]`).waitFor()
  }
  /** Tokens of a table of bars, and their values. */
  const bars = (name) =>
    part(name)
      .locator('tbody tr')
      .evaluateAll((rows) =>
        rows.map((row) => ({
          token: row.dataset.token,
          faded: row.classList.contains('faded'),
          figures: [...row.querySelectorAll('.figure')].map((figure) => figure.textContent),
        })),
      )
  /** Attention weights of the selected token, over itself and earlier tokens. */
  const weights = async () => {
    const row = (await part('row-table').locator('td').allTextContents()).map(Number)
    const count = await part('inside-tokens').locator('button').count()
    return [...row, ...Array(count - row.length).fill(0)]
  }

  before(async () => {
    it = await open({ webgpu: 'off' })
    page = it.page
    await ready(page)
  })
  after(() => it?.close())

  test('without a model it says how to get one', async () => {
    await go(page, 'inside')
    assert.match(await text('inside-none'), /Train or open a model first/)
    await part('inside-none').getByRole('link', { name: 'Train' }).click()
    await page.locator('.view[data-view="train"]').waitFor()
  })

  test('shows the tokens of a text, every head, and the next-token prediction', async () => {
    await openAll(page)
    await part('text-source').getByText('Paste').click()
    await part('paste').fill(TEXT)
    const settings = {
      num_attention_heads: 2,
      steps: STEPS,
      save_every: 10,
      keep_last: 5,
      eval_every: STEPS,
      sample_every: 0,
    }
    for (const [name, value] of Object.entries(settings)) await part(`setting-${name}`).fill(String(value))
    await page.locator('#plan', { hasText: 'your text' }).waitFor()
    await page.locator('#train:enabled').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    await go(page, 'inside')
    await part('next').waitFor()
    await part('inside-step')
      .filter({ hasText: `step ${STEPS}` })
      .waitFor()

    const prompt = await part('inside-prompt').inputValue()
    assert.ok(TEXT.includes(prompt) && prompt.length > 10, prompt)
    // One token per character: spaces are made visible.
    assert.equal((await text('inside-tokens')).replace(/\s/g, ''), prompt.replaceAll(' ', '·'))
    assert.equal(await page.locator('[data-testid^="head-"]').count(), 4)
    const next = await bars('next')
    assert.equal(next.length, 8)
    const shares = next.map(({ figures }) => number(figures[0]))
    assert.ok(
      shares.every((share, i) => share > 0 && share <= (shares[i - 1] ?? 100)),
      String(shares),
    )
    assert.ok(number(await text('inside-loss')) > 1)
    assert.deepEqual(it.errors, [])
  })

  test('attention is causal, and the weights of a token add up to one', async () => {
    const chips = part('inside-tokens').locator('button')
    const last = (await chips.count()) - 1
    await chips.nth(5).click()
    const row = await weights()
    assert.ok(Math.abs(row.reduce((sum, weight) => sum + weight, 0) - 1) < 0.005, String(row))
    assert.ok(
      row.slice(6).every((weight) => weight === 0) && row.slice(0, 6).every((weight) => weight > 0),
      String(row),
    )
    await page.keyboard.press('Home')
    assert.deepEqual((await weights()).slice(0, 2), [1, 0])
    await page.keyboard.press('End')
    assert.equal(await chips.nth(last).getAttribute('aria-pressed'), 'true')
  })

  test('a head can be enlarged and read with the keyboard and as a table', async () => {
    await part('head-1-1').click()
    await part('inside-line').filter({ hasText: 'layer 2, head 2' }).waitFor()
    const [first, later] = await part('head-1-1')
      .locator('canvas')
      .evaluate(async (canvas) => {
        await new Promise((done) => setTimeout(done, 200))
        const alpha = (x, y) => canvas.getContext('2d').getImageData(x, y, 1, 1).data[3]
        return [alpha(0, 0), alpha(3, 0)]
      })
    assert.deepEqual([first, later], [255, 0])
    const row = await weights()
    await part('big-map').focus()
    await page.keyboard.press('ArrowLeft')
    await page.keyboard.press('ArrowLeft')
    const [, read] = (await text('map-reading')).match(/attends to “.”: ([\d.]+)/)
    assert.ok(Math.abs(read - row.at(-3)) < 0.01, `${read} ${row}`)
    await page.locator('#inside-panel summary', { hasText: 'Show as a table' }).first().click()
    const table = (await part('row-table').locator('td').allInnerTexts()).map(Number)
    assert.equal(table.length, row.length)
    assert.ok(
      table.every((weight, i) => Math.abs(weight - row[i]) < 0.001),
      `${table} ${row}`,
    )
    // A click on a row selects its token.
    const box = await part('big-map').boundingBox()
    await part('big-map').click({ position: { x: box.width * 0.12, y: box.height * 0.45 } })
    assert.notEqual(
      await part('inside-tokens')
        .locator('button[aria-pressed="true"]')
        .evaluate((chip) => [...chip.parentNode.querySelectorAll('button')].indexOf(chip)),
      row.length - 1,
    )
  })

  test('a head and an MLP can be switched off, with the mouse and the keyboard', async () => {
    const plain = await text('inside-loss')
    await page.locator('label', { has: part('mode-off') }).click()
    await part('mlp-0').click()
    await part('inside-loss').filter({ hasText: '→' }).waitFor()
    const [was, now, change] = (await text('inside-loss')).match(/[\d.]+/g).map(Number)
    assert.equal(was.toFixed(3), plain.trim())
    assert.ok(Math.abs(Math.abs(now - was) - change) < 0.0015 && now !== was, `${was} ${now} ${change}`)
    assert.match(await text('inside-off'), /MLP of layer 1/)
    assert.ok((await bars('next')).every(({ figures }) => figures.length === 2))
    await page.keyboard.press('ArrowLeft')
    await page.keyboard.press('Space')
    await part('inside-off').filter({ hasText: 'layer 1, head 2' }).waitFor()
    assert.equal(await part('head-0-1').getAttribute('aria-pressed'), 'true')
    await part('all-on').click()
    await page.waitForFunction(
      (loss) => document.querySelector('[data-testid="inside-loss"]').textContent.trim() === loss,
      plain.trim(),
    )
    await page.locator('label', { has: part('mode-look') }).click()
  })

  test('the logit lens ends in the prediction, and the residual stream has values', async () => {
    const [likeliest] = await bars('next')
    await part('inside-tokens').locator('button').last().click()
    await tab('layers')
    const top = part('lens').locator('tbody tr').first().locator('button').last()
    assert.match(await top.getAttribute('aria-label'), new RegExp(`${likeliest.figures[0]}$`))
    assert.match((await text('lens-top')).replace(/\s+/g, ' '), /After layer 2.*Entropy [\d.]+ bits/)
    assert.equal(await part('lens-top').locator('li').count(), 8)
    await top.focus()
    await page.keyboard.press('ArrowDown')
    assert.match(await text('lens-top'), /After layer 1/)
    await page.locator('#inside-panel summary', { hasText: 'Show as a table' }).click()
    const rows = await part('stream-table').locator('tbody tr').allInnerTexts()
    assert.equal(rows.length, 3)
    assert.ok(
      rows[0]
        .match(/\d\.\d{3}/g)
        .map(Number)
        .every((value) => value > 0),
      rows[0],
    )
  })

  test('the candidates follow the sampling settings', async () => {
    await tab('sampling')
    const kept = async (count) =>
      part('cut-kept')
        .filter({ hasText: `among ${count} candidate` })
        .waitFor()
    const slide = (name, value) => part(`cut-${name}`).fill(String(value))
    await slide('top_k', 3)
    await slide('top_p', 1)
    await slide('min_p', 0)
    await kept(3)
    const three = await bars('cut')
    assert.deepEqual(
      three.map(({ faded }) => faded),
      three.map((_, i) => i >= 3),
    )
    const drawn = three.slice(0, 3).map(({ figures }) => number(figures[1]))
    assert.ok(Math.abs(drawn.reduce((a, b) => a + b) - 100) < 2, String(drawn))
    await slide('temperature', 0)
    await kept(1)
    assert.equal(number((await bars('cut'))[0].figures[1]), 100)
    await part('cut-use').click()
    assert.equal(await part('cut-use').isDisabled(), true)
  })

  test('kept checkpoints of the run can be inspected', async () => {
    await tab('attention')
    const late = number(await text('inside-loss'))
    assert.equal(await part('inside-time').getAttribute('max'), '3')
    await part('inside-time').fill('1')
    await part('inside-step')
      .filter({ hasText: /^step 10 of 30/ })
      .waitFor()
    await page.waitForFunction(
      (loss) => parseFloat(document.querySelector('[data-testid="inside-loss"]').textContent) > loss,
      late,
    )
    await part('inside-play').click()
    await part('inside-step')
      .filter({ hasText: /^step 20/ })
      .waitFor()
    await part('inside-step')
      .filter({ hasText: /^step 30 \(current\)/ })
      .waitFor()
    await page.waitForFunction(
      (loss) => parseFloat(document.querySelector('[data-testid="inside-loss"]').textContent) === loss,
      late,
    )
  })

  test('weights, gradients, token map and circuits are those of the selected step', async () => {
    const seen = {
      weights: () => part('tensors').locator('.figures').allTextContents(),
      map: () => text('map-explained'),
      sampling: () => part('cut').innerText(),
      circuits: () => part('circuit-promoted').innerText(),
      neurons: () => part('neurons').innerText(),
      cached: () => part('cached-table').textContent(),
    }
    for (const [name, read] of Object.entries(seen)) {
      await tab(name)
      const other = async (than) => {
        for (const end = Date.now() + 20_000; Date.now() < end;) {
          const found = String(await read())
          if (found !== than) return found
          await page.waitForTimeout(50)
        }
        throw new Error(`${name} stays the same`)
      }
      const now = await other('')
      await part('inside-time').fill('1')
      await part('inside-step')
        .filter({ hasText: /^step 10 / })
        .waitFor()
      const then = await other(now)
      await part('inside-time').fill('3')
      assert.notEqual(await other(then), then)
      await part('inside-step')
        .filter({ hasText: /\(current\)/ })
        .waitFor()
    }
  })

  test('circuits of a head: scores with and without the text, and promoted tokens', async () => {
    await tab('circuits')
    await part('circuit-layer').selectOption('1')
    await part('circuit-head').selectOption('0')
    await part('circuit-promoted').waitFor()
    const tokens = await part('inside-tokens').locator('button').count()
    const read = async () => Number((await text('circuit-reading')).match(/score (-?[\d.]+)/)[1])
    const walk = async () => {
      await part('circuit-map').focus()
      await page.keyboard.press('ArrowUp')
      const up = await read()
      // Scores of later tokens are included.
      await page.keyboard.press('ArrowRight')
      return [up, await read()]
    }
    await part('inside-tokens').locator('button').last().click()
    const inText = await walk()
    await page.locator('label', { has: part('circuit-alone') }).click()
    assert.notDeepEqual(await walk(), inText)
    const rows = await part('circuit-promoted')
      .locator('tbody tr')
      .evaluateAll((all) =>
        all.map((row) => [...row.querySelectorAll('.one .quiet')].map((gain) => Number(gain.textContent))),
      )
    const different = new Set((await part('inside-prompt').inputValue()).split('')).size
    assert.equal(rows.length, different)
    assert.ok(tokens >= different)
    assert.ok(
      rows.every((gains) => gains.length === 5 && gains.every((gain, i) => i === 0 || gain <= gains[i - 1])),
      JSON.stringify(rows),
    )
    assert.match(await text('circuit-copies'), /copies \d+ of \d+ tokens?/)
    const tip = page.locator('#inside-panel h3 .tip').first()
    assert.match(await tip.textContent(), /Elhage\s+et al\. 2021/)
    assert.deepEqual(it.errors, [])
  })

  test('weights, gradients and the token map', async () => {
    await tab('weights')
    await part('weights-summary')
      .filter({ hasText: /^\d+ tensors/ })
      .waitFor()
    const names = await part('tensors')
      .locator('li')
      .evaluateAll((rows) => rows.map((row) => row.dataset.tensor))
    assert.ok(names.length > 10 && names.some((name) => /layers\.1\..*mlp/.test(name)), String(names))
    assert.equal(await part('tensors').locator('svg').count(), 2 * names.length)
    const curves = await part('tensors')
      .locator('path')
      .evaluateAll((paths) => new Set(paths.map((path) => path.getAttribute('d'))).size)
    assert.ok(curves > names.length, `${curves} different histograms`)
    await tab('map')
    assert.match((await text('map-explained')).replace(/\s+/g, ' '), /explain [\d.]+% of the variance/)
    await part('map').focus()
    await page.keyboard.press('ArrowRight')
    assert.match(await text('map-label'), /token 0$/)
    await part('map-find').fill('z')
    await page.locator('#inside-panel summary', { hasText: 'Show as a list' }).click()
    assert.deepEqual(await part('map-list').locator('tbody th').allInnerTexts(), ['z'])
  })

  test('activations are listed for every part', async () => {
    await tab('weights')
    await part('activations-summary').filter({ hasText: '9 outputs: no warnings' }).waitFor()
    const names = await part('activations')
      .locator('li')
      .evaluateAll((rows) => rows.map((row) => row.dataset.tensor))
    const parts = [0, 1].flatMap((layer) => ['.self_attn', '.mlp.act', '.mlp', ''].map((of) => `layers.${layer}${of}`))
    assert.deepEqual(names, ['embed_tokens', ...parts])
    const figures = await part('activations').locator('.figures').allTextContents()
    assert.equal(new Set(figures).size, names.length, String(figures))
  })

  test('neurons of the selected token are listed and can be switched off', async () => {
    await tab('neurons')
    await part('neurons-layer').selectOption({ label: '2' })
    const rows = part('neurons').locator('tbody tr')
    await rows.nth(11).waitFor()
    assert.equal(await rows.count(), 12)
    const first = async () => (await rows.first().innerText()).replace(/\s+/g, ' ')
    const atLast = await first()
    await part('inside-tokens').locator('button').nth(3).click()
    await page.waitForFunction(
      (text) => document.querySelector('[data-testid="neurons"] tbody tr').innerText.replace(/\s+/g, ' ') !== text,
      atLast,
    )
    await part('inside-tokens').locator('button').last().click()
    await page.waitForFunction(
      (text) => document.querySelector('[data-testid="neurons"] tbody tr').innerText.replace(/\s+/g, ' ') === text,
      atLast,
    )
    // The strongest activation is where the label says.
    const label = await rows.first().locator('svg').getAttribute('aria-label')
    assert.match(label, /^Activations from -?[\d.e-]+ to [\d.e-]+, strongest at token \d+/)
    assert.equal(await rows.first().locator('.promotes .serif').count(), 4)

    const plain = await text('inside-loss')
    const name = (await rows.first().locator('th').innerText()).trim()
    await part('neuron-off').first().check()
    await part('inside-loss').filter({ hasText: '→' }).waitFor()
    assert.match(await text('inside-off'), new RegExp(`Switched off: neuron ${name} of layer 2`))
    assert.equal((await text('inside-loss')).match(/[\d.]+/)[0], plain.trim())
    const changed = (await bars('next')).filter(({ figures }) => figures[0] !== figures[1])
    assert.ok(changed.length > 0, 'switching it off changes a probability')
    await part('neuron-off').first().uncheck()
    await page.waitForFunction(
      (loss) => document.querySelector('[data-testid="inside-loss"]').textContent.trim() === loss,
      plain.trim(),
    )
    assert.deepEqual(it.errors, [])
  })

  test('the KV cache fills token by token', async () => {
    await tab('cached')
    const tokens = await part('inside-tokens').locator('button').count()
    // 2 layers of 64 keys and 64 values, four bytes each; the context holds 64 tokens.
    const each = 2 * 2 * 64 * 4
    const told = (n) =>
      `${n} of ${tokens} tokens: ${n * each < 1000 ? `${n * each} bytes` : `${((n * each) / 1000).toPrecision(2)} KB`} of 66 KB`
    await part('cached-size')
      .filter({ hasText: told(tokens) })
      .waitFor()
    await part('cached-at').fill('2')
    await part('cached-size')
      .filter({ hasText: told(2) })
      .waitFor()
    assert.match(
      (await text('cached-said')).replace(/\s+/g, ' '),
      /compares it with 2 cached keys\. Without the cache, all 3 tokens/,
    )
    await page.locator('#inside-panel summary', { hasText: 'Show as a table' }).click()
    assert.equal(await part('cached-table').locator('tbody tr').count(), 2)
    await part('cached-play').click()
    await part('cached-size')
      .filter({ hasText: told(tokens) })
      .waitFor()
    const sizes = (await part('cached-table').locator('td').allInnerTexts()).map(Number)
    assert.equal(sizes.length, 2 * tokens)
    assert.ok(
      sizes.every((size) => size > 0),
      String(sizes),
    )
    assert.deepEqual(it.errors, [])
  })

  test('another text can be inspected; one with unknown characters is refused in place', async () => {
    await tab('attention')
    await part('inside-prompt').fill('sea and sea')
    await page.keyboard.press('Control+Enter')
    await page.waitForFunction(
      () => document.querySelector('[data-testid="inside-tokens"]').textContent.replace(/\s/g, '') === 'sea·and·sea',
    )
    await part('inside-prompt').fill('日本')
    await part('inside-look').click()
    await part('inside-problem').waitFor()
    assert.ok((await text('inside-problem')).length > 10)
    assert.deepEqual(it.errors, [])
  })

  test('the view updates during training and after it', async () => {
    await part('inside-prompt').fill('the sea')
    await part('inside-look').click()
    await page.waitForFunction(() => document.querySelectorAll('[data-testid="inside-tokens"] button').length === 7)
    await go(page, 'train')
    await part('setting-steps').fill('2000')
    await page.locator('#train:enabled').click()
    await page.locator('#step-count', { hasText: 'of 2,000' }).waitFor()
    await go(page, 'inside')
    await part('inside-follow').waitFor()
    const step = async () => number((await text('inside-step')).replaceAll(',', ''))
    const later = (than) =>
      page.waitForFunction(
        (n) => parseInt(document.querySelector('[data-testid="inside-step"]').textContent.replace(/\D/g, '')) > n,
        than,
      )
    await later(0)
    await later(await step())
    await go(page, 'train')
    await part('stop').click()
    await page.locator('#resume:visible').waitFor()
    const ended = (await part('step-count').innerText()).match(/[\d,]+/)[0]
    await go(page, 'inside')
    await part('inside-step')
      .filter({ hasText: `step ${ended} ` })
      .waitFor()
    assert.deepEqual(it.errors, [])
  })

  test('fits a phone, tab by tab', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    for (const name of ['attention', 'layers', 'sampling', 'map', 'weights', 'circuits', 'neurons', 'cached']) {
      await tab(name)
      const wide = await page.evaluate(() => document.documentElement.scrollWidth)
      assert.ok(wide <= 360, `${name}: ${wide} pixels wide`)
    }
  })
})
