// A run survives the loss of its device, and a crash of the engine: it goes on from the last saved step.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { begin, go, open, ready } from './harness.mjs'

const EVERY = 5

/** Notes every step and its loss, as the engine tells them, in `window.told`; the newest worker is `window.worker`. */
const listen = (device) => (context) =>
  context.addInitScript((device) => {
    window.told = []
    localStorage.setItem('blankslate.device', device)
    const { Worker } = window
    window.Worker = class extends Worker {
      constructor(...args) {
        super(...args)
        window.worker = this
        this.addEventListener('message', ({ data }) => {
          if (data.event?.type !== 'step') return
          window.told.push([data.event.report.step, data.event.report.loss])
          window.stepTold?.()
        })
      }
      postMessage(message, ...rest) {
        if (message.command?.type === 'create') window.created = message
        super.postMessage(message, ...rest)
      }
    }
  }, device)

/** Starts a run that saves often, and does nothing else between its steps. */
const train = (page, saveEvery = EVERY) =>
  begin(page, { steps: 2000, eval_every: 0, save_every: saveEvery, sample_every: 0, batch_size: 2, seq_len: 16 })

/** Tells the page what a worker tells when its engine has crashed. */
const CRASH = 'The engine stopped unexpectedly (unreachable).'

/** Waits until this many steps more were made, the last of them between two savings; then does `what` to the page. */
async function between(page, more, what) {
  return page.evaluate(
    ([more, every, what]) =>
      new Promise((done) => {
        const least = window.told.length + more
        window.stepTold = () => {
          if (window.told.length < least || ![2, 3].includes(window.told.at(-1)[0] % every)) return
          window.stepTold = null
          if (what === 'destroy') document.querySelector('[data-testid="destroy"]').click()
          else window.worker.dispatchEvent(new MessageEvent('message', { data: { kind: 'broken', message: what } }))
          done(window.told.length)
        }
      }),
    [more, EVERY, what],
  )
}

/** The step that the notice says training goes on from. */
async function resumedFrom(page) {
  await page.getByTestId('notice').filter({ hasText: 'Training continues' }).waitFor()
  const notice = await page.getByTestId('notice').locator('p').innerText()
  await page.getByRole('button', { name: 'Dismiss the notice' }).click()
  return { notice, step: Number(notice.match(/from step (\d+), the last saved one/)?.[1]) }
}

test('training goes on after the device was lost, exactly', { timeout: 300_000 }, async () => {
  const { page, errors, close } = await open({ before: listen('webgpu'), timeout: 120_000 })
  try {
    await ready(page)
    await train(page)
    await go(page, 'device')
    await page.getByTestId('facts').getByText('Adapter').waitFor()

    const cut = await between(page, 11, 'destroy')
    const { notice, step } = await resumedFrom(page)
    assert.match(notice, /^The GPU device was lost: it was destroyed\./)
    assert.ok(step >= EVERY && step % EVERY === 0, notice)
    await page.waitForFunction((least) => window.told.length >= least, cut + EVERY + 3)
    const told = await page.evaluate(() => window.told)
    // Those that were under way when the device was lost may have been told a little later.
    const again = told.findIndex(([at], i) => i > 0 && at <= told[i - 1][0])
    const [first, second] = [new Map(told.slice(0, again)), told.slice(again)]
    assert.equal(second[0][0], step + 1, 'the first step made again')
    const twice = second.filter(([at]) => first.has(at))
    const worst = Math.max(...twice.map(([at, loss]) => Math.abs(loss - first.get(at))))
    console.log(
      `lost after step ${told[again - 1][0]}, went on from ${step}; ${twice.length} steps made twice, losses ${worst.toExponential(1)} apart`,
    )
    assert.ok(twice.length > 0 && worst < 1e-3, JSON.stringify(told))

    // The chart has each step once.
    await go(page, 'train')
    assert.match(await page.getByTestId('device-name').innerText(), /^WebGPU/)
    await go(page, 'device')

    for (let time = 2; time <= 3; time += 1) {
      await between(page, 1, 'destroy')
      await resumedFrom(page)
    }
    await between(page, 1, 'destroy')
    await page.getByTestId('stopped').filter({ hasText: 'several times' }).waitFor()
    await page.getByTestId('start-cpu').click()
    const onCpu = await resumedFrom(page)
    await page.getByTestId('device-name').filter({ hasText: 'CPU' }).waitFor()
    await page.waitForFunction((least) => window.told.at(-1)[0] >= least, onCpu.step + 3)
    assert.deepEqual(
      errors.filter((error) => !/lost|destroyed|panicked|unreachable/i.test(error)),
      [],
    )
  } finally {
    await close()
  }
})

test('after a crash the engine is started again without a reload', { timeout: 120_000 }, async () => {
  const { page, errors, close } = await open({ webgpu: 'off', before: listen('cpu') })
  try {
    await ready(page)
    await train(page)
    await between(page, 11, CRASH)
    await page.getByTestId('stopped').filter({ hasText: 'unreachable' }).waitFor()
    assert.equal(await page.getByTestId('start-cpu').count(), 0, 'it is the CPU that computes')
    const steps = await page.evaluate(() => window.told.length)
    await page.getByTestId('start-again').click()
    const { step } = await resumedFrom(page)
    assert.ok(step >= EVERY, String(step))
    await page.waitForFunction((least) => window.told.length >= least, steps + EVERY)
    const told = await page.evaluate(() => window.told)
    assert.equal(told[steps][0], step + 1)
    assert.equal(await page.getByTestId('stopped').isVisible(), false)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('a run of which nothing was saved begins again, the same', { timeout: 120_000 }, async () => {
  const { page, errors, close } = await open({ webgpu: 'off', before: listen('cpu') })
  try {
    await ready(page)
    await train(page, 0)
    const made = await between(page, 11, CRASH)
    await page.getByTestId('start-again').click()
    const { notice } = await resumedFrom(page)
    assert.match(notice, /from the beginning, because nothing had been saved yet/)
    await page.waitForFunction((least) => window.told.length >= least, 2 * made)
    const told = await page.evaluate(() => window.told)
    assert.deepEqual(told.slice(made, 2 * made), told.slice(0, made))
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('a trap of the engine is told, and the run is there again', { timeout: 120_000 }, async () => {
  const { page, errors, close } = await open({ webgpu: 'off', before: listen('cpu') })
  try {
    await ready(page)
    await train(page)
    await page.waitForFunction(() => window.told.length > 5)
    await page.getByTestId('pause').click()
    await page.locator('#stage', { hasText: 'Paused' }).waitFor()
    const count = await page.getByTestId('step-count').innerText()
    // A matrix that no 32-bit memory can hold.
    await page.evaluate(() => {
      const message = structuredClone(window.created)
      const wide = { hidden_size: 32768, num_attention_heads: 256, num_key_value_heads: 256, head_dim: 128 }
      message.command.config.name = 'huge'
      Object.assign(message.command.config.model, wide)
      window.worker.postMessage(message)
    })
    await page.getByTestId('stopped').filter({ hasText: 'The engine stopped unexpectedly' }).waitFor()
    await page.getByTestId('start-again').click()
    await page.getByTestId('notice').filter({ hasText: 'was restored from step' }).waitFor()
    await page.locator('#stage', { hasText: 'Paused' }).waitFor()
    assert.equal(await page.getByTestId('step-count').innerText(), count)
    assert.ok(
      errors.every((error) => error.includes('panicked')),
      String(errors),
    )
  } finally {
    await close()
  }
})
