// LoRA: explanation, number of trainable parameters, and training.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { go, onWebGpu } from './harness.mjs'
import { done, fill, openWithBase } from './tuning.mjs'

describe('LoRA', () => {
  let it
  let page
  const part = (name) => page.getByTestId(name)
  const unfold = () => part('tune').evaluate((one) => (one.open = true))
  const number = (text) => Number(text.replaceAll(/[^\d.]/g, ''))
  const losses = () => page.locator('.chart td:nth-child(2)').allTextContents()

  before(async () => {
    it = await openWithBase({ timeout: 20_000 })
    page = it.page
  })
  after(() => it?.close())

  test('the rank is 0 by default, is explained, and changes the number of trainable parameters', async () => {
    await unfold()
    assert.equal(await part('tune-rank').inputValue(), '0')
    assert.match(
      await page.locator('#tune-rank-tip').textContent(),
      /Usually 8.*W \+ \(α ∕ r\) · B · A.*Hu et al\. 2021/,
    )
    const lr = Number(await part('tune-lr').inputValue())
    await part('tune-cost').filter({ hasText: 'Parameters:' }).waitFor()
    const whole = await part('tune-cost').innerText()
    assert.doesNotMatch(whole, /trainable/)
    await part('tune-rank').fill('4')
    await part('tune-cost').filter({ hasText: 'trainable' }).waitFor()
    const [, own, all] = /: ([\d,]+) trainable of ([\d,]+)/.exec(await part('tune-cost').innerText())
    assert.ok(number(own) < number(all), `${own} of ${all}`)
    assert.match(whole, new RegExp(`: ${all}\\.`))
    // Adapters use a larger learning rate.
    assert.ok(Math.abs(Number(await part('tune-lr').inputValue()) / lr - 10) < 1e-6)
    // Two of the seven projections of a block.
    await part('tune-targets').fill('q_proj, v_proj')
    await part('tune-targets').press('Tab')
    await part('tune-cost')
      .filter({ hasNotText: `: ${own} trainable` })
      .waitFor()
    const [, fewer] = /: ([\d,]+) trainable/.exec(await part('tune-cost').innerText())
    assert.ok(number(fewer) < number(own) / 2, `${fewer} of ${own}`)
    await part('tune-alpha').fill('0')
    assert.match(await part('tune-problem').innerText(), /^LoRA α/)
    await part('tune-alpha').fill('8')
    await part('tune-targets').fill('query')
    await part('tune-targets').press('Tab')
    await part('tune-start').click()
    await part('error')
      .filter({ hasText: /no projection `query`.*q_proj, k_proj, v_proj/ })
      .waitFor()
    await part('tune-targets').fill('q_proj, v_proj')
    await part('tune-targets').press('Tab')
    await part('tune-rank').fill('1.5')
    assert.match(await part('tune-problem').innerText(), /^LoRA rank/)
  })

  test('a field is not changed while the user is in it', async () => {
    const lr = part('tune-lr')
    await fill(page, { 'tune-rank': 0 })
    await part('tune-cost').filter({ hasNotText: 'trainable' }).waitFor()
    await lr.blur()
    const before = await lr.inputValue()
    await lr.focus()
    // What follows from the rank may arrive between a click into the field and the first key.
    await part('tune-rank').evaluate((rank) => {
      rank.value = '4'
      rank.dispatchEvent(new Event('input', { bubbles: true }))
    })
    await part('tune-cost').filter({ hasText: 'trainable' }).waitFor()
    assert.equal(await lr.inputValue(), before)
    await lr.blur()
    assert.ok(Math.abs(Number(await lr.inputValue()) / Number(before) - 10) < 1e-6)
    await lr.clear()
    await lr.pressSequentially('3e-4')
    assert.equal(await lr.inputValue(), '3e-4', '“3e” is not a number yet')
    await lr.blur()
    assert.equal(await lr.inputValue(), '0.0003')
  })

  test('the model learns with adapters, and the plan counts the trainable parameters', async () => {
    await fill(page, { 'tune-rank': 4, 'tune-targets': 'all', 'tune-lr': 0.01, 'tune-steps': 60 })
    await part('tune-cost').filter({ hasText: 'trainable' }).waitFor()
    const told = /^Parameters: (.*?)\. Memory/.exec(await part('tune-cost').innerText())[1]
    const memory = /Memory: (.*)\.$/.exec(await part('tune-cost').innerText())[1]
    await part('tune-start').click()
    await page.locator('#step-count', { hasText: '60' }).waitFor()
    assert.equal(await part('parameters').innerText(), told)
    assert.equal(await part('memory').innerText(), memory)
    assert.equal(await part('setting-lora_alpha').inputValue(), '8')
    await page.locator('#step-count', { hasText: '60 of 60' }).waitFor()
    await done(page)
    const all = (await losses()).map(Number).filter((loss) => loss > 0)
    assert.ok(all.at(-1) < all[0] - 0.05, `losses: ${all}`)
  })

  test('the next run trains all weights again', async () => {
    // Until something is changed, the figures are those of the current run.
    assert.match(await part('parameters').innerText(), /trainable/)
    await part('setting-seed').fill('2')
    await part('parameters').filter({ hasNotText: 'trainable' }).waitFor()
    await unfold()
    assert.equal(await part('tune-rank').inputValue(), '0')
  })

  test('chapter 9 counts the adapters of the current model', async () => {
    await page.evaluate(() => (location.hash = '#/learn/9'))
    const words = await page.locator('.formula figcaption').last().innerText()
    const [width, inner, weights, own] = words.match(/\d[\d,]*\d/g).map(number)
    assert.deepEqual([width, weights, own], [32, width * inner, 8 * (width + inner)])
    await go(page, 'train')
    assert.deepEqual(it.errors, [])
  })
})

test('LoRA works on WebGPU', { timeout: 240_000 }, async () => {
  const { page, errors, close } = await openWithBase({ webgpu: 'swiftshader', timeout: 120_000, first: onWebGpu })
  const part = (name) => page.getByTestId(name)
  try {
    await part('tune').evaluate((one) => (one.open = true))
    await fill(page, { 'tune-rank': 4, 'tune-lr': 0.01, 'tune-steps': 30 })
    await part('tune-cost').filter({ hasText: 'trainable' }).waitFor()
    await part('tune-start').click()
    await page.locator('#step-count', { hasText: '30 of 30' }).waitFor()
    await done(page)
    assert.match(await part('device-name').innerText(), /WebGPU/)
    const losses = (await page.locator('.chart td:nth-child(2)').allTextContents())
      .map(Number)
      .filter((loss) => loss > 0)
    assert.ok(losses.at(-1) < losses[0] - 0.02, `losses: ${losses}`)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})
