// A run survives the loss of the GPU device and a crash of the engine: it continues from the last saved step.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { begin, go, open, ready } from './harness.mjs'

const EVERY = 5

/** Records every reported step and its loss in `window.told`; the newest worker is `window.worker`. */
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
    }
  }, device)

/** Starts a run that saves often and does nothing else between steps. */
const train = (page, saveEvery = EVERY) =>
  begin(page, { steps: 2000, eval_every: 0, save_every: saveEvery, sample_every: 0, batch_size: 2, seq_len: 16 })

/** Lets the worker trap at its next look at the clock once `trap` is called. */
const trappable = (context) =>
  context.route('**/assets/worker-*.js', async (route) => {
    const response = await route.fetch()
    const headers = response.headers()
    delete headers['content-length']
    const trap = () =>
      self.addEventListener('message', ({ data }) => {
        if (!data.trap) return
        performance.now = Date.now = () => {
          throw new WebAssembly.RuntimeError('unreachable')
        }
      })
    await route.fulfill({ response, headers, body: `(${trap})();\n${await response.text()}` })
  })
const trap = (page) => page.evaluate(() => window.worker.postMessage({ kind: 'held', trap: true }))

const both = async (context) => {
  await listen('cpu')(context)
  await trappable(context)
}

/** Sends the page the message of a crashed engine. */
const CRASH = 'The engine stopped unexpectedly (unreachable).'

/** Waits for this many more steps, the last one between two saves, then runs `what` in the page. */
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

/** The step from which training continues, according to the notice. */
async function resumedFrom(page) {
  await page.getByTestId('notice').filter({ hasText: 'Training continues' }).waitFor()
  const notice = await page.getByTestId('notice').locator('p').innerText()
  await page.getByRole('button', { name: 'Dismiss the notice' }).click()
  return { notice, step: Number(notice.match(/from step (\d+), the last saved one/)?.[1]) }
}

test('training continues exactly after the device was lost', { timeout: 300_000 }, async () => {
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
    // Steps in progress when the device was lost may be reported a little later.
    const again = told.findIndex(([at], i) => i > 0 && at <= told[i - 1][0])
    const [first, second] = [new Map(told.slice(0, again)), told.slice(again)]
    assert.equal(second[0][0], step + 1, 'the first step made again')
    const twice = second.filter(([at]) => first.has(at))
    const worst = Math.max(...twice.map(([at, loss]) => Math.abs(loss - first.get(at))))
    console.log(
      `lost after step ${told[again - 1][0]}, went on from ${step}; ${twice.length} steps made twice, losses ${worst.toExponential(1)} apart`,
    )
    assert.ok(twice.length > 0 && worst < 1e-3, JSON.stringify(told))

    // The chart shows each step once.
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

test('a crashed engine restarts without a reload', { timeout: 120_000 }, async () => {
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

test('a run that was never saved restarts identically', { timeout: 120_000 }, async () => {
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

test('a WebAssembly trap is reported, and the run is restored', { timeout: 120_000 }, async () => {
  const { page, errors, close } = await open({ webgpu: 'off', before: both })
  try {
    await ready(page)
    await train(page)
    await page.waitForFunction(() => window.told.length > 5)
    await page.getByTestId('pause').click()
    await page.locator('#stage', { hasText: 'Paused' }).waitFor()
    const count = await page.getByTestId('step-count').innerText()
    await trap(page)
    await go(page, 'write')
    await page.getByTestId('generate').click()
    await page.getByTestId('stopped').filter({ hasText: 'The engine stopped unexpectedly' }).waitFor()
    await page.getByTestId('start-again').click()
    await page.getByTestId('notice').filter({ hasText: 'was restored from step' }).waitFor()
    await go(page, 'train')
    await page.locator('#stage', { hasText: 'Paused' }).waitFor()
    assert.equal(await page.getByTestId('step-count').innerText(), count)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('after a trap nothing runs in the old engine, and the form is back', { timeout: 120_000 }, async () => {
  const { page, errors, close } = await open({ webgpu: 'off', before: both })
  const part = (name) => page.getByTestId(name)
  try {
    await ready(page)
    await train(page)
    await page.waitForFunction((least) => window.told.length >= least, EVERY + 2)
    await trap(page)
    // More calls reach the trapped engine.
    await page.evaluate(() => {
      for (let n = 0; n < 20; n += 1) window.worker.postMessage({ kind: 'command', command: { type: 'save' } })
    })
    await part('stopped').filter({ hasText: 'The engine stopped unexpectedly (unreachable)' }).waitFor()
    const told = await page.evaluate(() => window.told.length)
    // Everything can be used again, without a click.
    await ready(page)
    assert.equal(await page.evaluate(() => window.told.length), told, 'nothing is resumed by itself')
    assert.equal(await part('setting-batch_size').inputValue(), '2', 'the settings are still there')
    assert.equal(await part('setting-batch_size').isEnabled(), true)
    await part('stopped').filter({ hasText: 'tiny-1 is saved at step' }).waitFor()
    await go(page, 'runs')
    assert.equal(await part('restore-tiny-1').isEnabled(), true)
    await go(page, 'train')
    await part('setting-batch_size').fill('1')
    await page.locator('#plan', { hasText: 'tiny-2' }).waitFor()
    await page.locator('#train:enabled').click()
    await page.waitForFunction((least) => window.told.length >= least, told + 2)
    assert.equal(await part('run-current').innerText(), 'tiny-2')
    assert.equal(await part('stopped').isVisible(), false)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('a crash can be dismissed, and one that repeats is not offered again', { timeout: 120_000 }, async () => {
  const { page, errors, close } = await open({ webgpu: 'off', before: listen('cpu') })
  const part = (name) => page.getByTestId(name)
  const crash = () =>
    page.evaluate((message) => {
      window.worker.dispatchEvent(new MessageEvent('message', { data: { kind: 'broken', message } }))
    }, CRASH)
  try {
    await ready(page)
    await begin(page, { steps: 1, eval_every: 0, save_every: 0, sample_every: 0 })
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    await crash()
    await part('start-again').filter({ hasText: 'Open tiny-1' }).click()
    await part('notice').filter({ hasText: 'tiny-1 was restored' }).waitFor()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    await crash()
    await part('stopped').filter({ hasText: 'unreachable' }).waitFor()
    await ready(page)
    assert.equal(await part('start-again').count(), 0)
    await part('leave-crash').click()
    await part('stopped').waitFor({ state: 'hidden' })
    await page.locator('#train:enabled').click()
    await page.locator('#step-count', { hasText: 'Step 1 of' }).waitFor()
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})
