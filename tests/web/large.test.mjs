// Look inside a model with many layers and heads, a large vocabulary, and one weight far from all others.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { go, open, openAll, ready } from './harness.mjs'

const [LAYERS, HEADS, WIDTH] = [12, 12, 96]

/** Files of the only checkpoint in the browser's storage, except for the training state. */
const checkpoint = (page) =>
  page.evaluate(async () => {
    const files = {}
    const walk = async (folder, at) => {
      for await (const entry of folder.values())
        if (entry.kind === 'directory') await walk(entry, `${at}${entry.name}/`)
        else if (at.includes('step-00000001')) files[entry.name] = await entry.getFile()
    }
    await walk(await navigator.storage.getDirectory(), '')
    const wanted = ['config.json', 'model.safetensors', 'tokenizer.json']
    return Promise.all(
      wanted.map(async (name) => {
        const bytes = new Uint8Array(await files[name].arrayBuffer())
        let text = ''
        for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768))
        return [name, btoa(text)]
      }),
    )
  })

/** Changes one element of a tensor in a safetensors file. */
function alter(file, wanted, value) {
  const length = Number(file.readBigUInt64LE(0))
  const header = JSON.parse(file.subarray(8, 8 + length).toString())
  const name = Object.keys(header).find((name) => wanted.test(name))
  file.writeFloatLE(value, 8 + length + header[name].data_offsets[0])
  return name
}

describe('a large model', () => {
  let it
  let page
  let vocabulary
  const part = (name) => page.getByTestId(name)
  const tab = async (name) => {
    await part(`inside-tab-${name}`).click()
    await page.locator(`[data-testid="inside-tab-${name}"][aria-selected="true"]`).waitFor()
  }

  before(async () => {
    it = await open({ webgpu: 'off', timeout: 120_000 })
    page = it.page
    await ready(page)
    await openAll(page)
    await part('tokenizer').selectOption('bpe')
    await part('vocab-size').fill('2300')
    const settings = {
      hidden_size: WIDTH,
      num_attention_heads: HEADS,
      num_hidden_layers: LAYERS,
      seq_len: 32,
      batch_size: 1,
      steps: 1,
      eval_every: 0,
      sample_every: 0,
      val_fraction: 0,
    }
    for (const [name, value] of Object.entries(settings)) await part(`setting-${name}`).fill(String(value))
    await ready(page)
    await part('train').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    const files = (await checkpoint(page)).map(([name, text]) => [name, Buffer.from(text, 'base64')])
    vocabulary = JSON.parse(Object.fromEntries(files)['tokenizer.json'].toString()).model.vocab
    const weights = Object.fromEntries(files)['model.safetensors']
    // The largest activations of GPT-2 are thousands of times as large as the others.
    alter(weights, /layers\.5\.mlp\.down_proj\.weight$/, 4000)
    await go(page, 'runs')
    await part('open').setInputFiles(files.map(([name, buffer]) => ({ name, mimeType: '', buffer })))
    await page.locator('.which', { hasText: 'opened is open' }).waitFor()
    await go(page, 'inside')
    await part('inside-prompt').fill('First Citizen: Before we proceed any further, hear me speak.')
    await part('inside-look').click()
    await page.locator(`[data-testid="head-${LAYERS - 1}-${HEADS - 1}"]`).waitFor()
  })
  after(() => it?.close())

  test('shows all heads, and the enlarged one beside them', async () => {
    assert.equal(await page.locator('[data-testid^="head-"]').count(), LAYERS * HEADS)
    const [grid, big] = await Promise.all([part('heads').boundingBox(), part('big-map').boundingBox()])
    assert.ok(big.x >= grid.x + grid.width / 2 && big.y < grid.y + 150, JSON.stringify([grid, big]))
    // It stays in view beside the last layer.
    await part(`head-${LAYERS - 1}-${HEADS - 1}`).click()
    await page.getByRole('heading', { name: `Layer ${LAYERS}, head ${HEADS}` }).waitFor()
    const seen = await part('big-map').evaluate((map) => {
      const { top, bottom } = map.getBoundingClientRect()
      return Math.min(bottom, innerHeight) - Math.max(top, 0)
    })
    assert.ok(seen > 100, `${seen} pixels are in view`)
  })

  test('shows the contribution of every layer without scrolling, whatever one of them adds', async () => {
    await tab('layers')
    const chart = part('stream')
    assert.equal(await chart.locator('.stack').count(), LAYERS + 1)
    const [wide, room] = await chart.evaluate((chart) => [
      chart.parentElement.scrollWidth,
      chart.parentElement.clientWidth,
    ])
    assert.ok(wide <= room, `${wide} of ${room} pixels`)
    assert.equal(await part('lens').locator('tbody tr').count(), LAYERS + 1)
    await part('stream-scale').filter({ hasText: 'on a logarithmic scale' }).waitFor()
    const heights = await chart
      .locator('.bar.attention')
      .evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().height))
    assert.equal(heights.length, LAYERS)
    assert.ok(
      heights.every((height) => height > 3),
      `one outlier flattens the bars: ${heights}`,
    )
  })

  test('has histograms that one outlier does not flatten', async () => {
    await tab('weights')
    await part('weights-summary').filter({ hasText: 'tensors' }).waitFor()
    const row = part('tensors').locator('li[data-tensor="layers.5.mlp.down_proj.weight"]')
    await row.waitFor()
    const stats = row.locator('.stats').first()
    assert.match(await stats.locator('.ends').innerText(), /▸/)
    assert.match(await stats.innerText(), /outliers from .* to 4,000/)
    const path = await stats.locator('path').getAttribute('d')
    const filled = new Set(path.match(/V[\d.]+/g)).size
    assert.ok(filled > 4, `heights of the bins: ${path}`)
  })

  test('has a token map with names, on which every token is found', async () => {
    await tab('map')
    await part('map').waitFor()
    assert.ok(Number(await part('map').getAttribute('data-named')) > 30, 'tokens are written out')
    await part('map-explained').filter({ hasText: '2,000 tokens with the smallest ids' }).waitFor()
    const [word, id] = Object.entries(vocabulary).find(([word, id]) => id >= 2200 && /^[a-z]{5,}$/.test(word))
    await part('map-find').fill(word)
    await part('map-found').filter({ hasText: /found/ }).waitFor()
    await page.locator('#inside-panel summary', { hasText: 'Show as a list' }).click()
    assert.ok((await part('map-list').locator('tbody th').allInnerTexts()).includes(word), `${word} (${id})`)
    await part('map-find').fill('no such token')
    await part('map-found').filter({ hasText: 'No token contains this text.' }).waitFor()
    assert.deepEqual(it.errors, [])
  })
})
