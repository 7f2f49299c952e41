// Helpers for browsers driven by their own remote protocol, and a first visit with them.

import assert from 'node:assert/strict'
import net from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

export async function freePort() {
  const server = net.createServer()
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

/**
 * @param {(script: string, args: unknown[]) => Promise<unknown>} execute runs a script in the page
 * @param {number} timeout maximum milliseconds of each wait
 * @returns `run(function, ...args)` runs a function in the page and returns its result; `until(function, ...args)` waits until it
 *   returns something truthy; the other functions do what their names say
 */
export function remote(execute, timeout) {
  const run = (script, ...args) => execute(`return (${script})(...arguments)`, args)
  const until = async (script, ...args) => {
    for (const end = Date.now() + timeout; Date.now() < end; await wait(100)) {
      const found = await run(script, ...args)
      if (found) return found
    }
    throw new Error(
      `not within ${timeout} ms: ${script}\n${await run(() => document.querySelector('main, body').innerText.slice(0, 600))}`,
    )
  }
  const set = (...what) =>
    run(
      (selector, value, event) => {
        const field = document.querySelector(selector)
        field.value = value
        field.dispatchEvent(new Event(event, { bubbles: true }))
      },
      ...what,
    )
  return {
    run,
    until,
    element: (selector) => run((selector) => document.querySelector(selector)?.innerText ?? null, selector),
    click: (selector) => run((selector) => document.querySelector(selector).click(), selector),
    visible: (selector) =>
      until((selector) => [...document.querySelectorAll(selector)].some((one) => one.checkVisibility()), selector),
    says: (selector, text) =>
      until((selector, text) => document.querySelector(selector)?.innerText.includes(text), selector, text),
    fill: (selector, value) => set(selector, String(value), 'input'),
    choose: (selector, value) => set(selector, value, 'change'),
  }
}

/** Trains 20 steps on the current device, generates text, opens Look inside, and finds the run saved. */
export async function firstVisit({ run, until, element, click, visible, says, fill }, device = 'CPU') {
  console.log(await run(() => navigator.userAgent))
  // Uncaught errors, including those after a reload.
  await run(() => {
    window.failed = []
    addEventListener('error', ({ message }) => window.failed.push(message))
    addEventListener('unhandledrejection', ({ reason }) => window.failed.push(String(reason)))
  })
  await visible('#train:enabled')
  assert.ok((await element('[data-testid="device-name"]')).startsWith(device))
  await fill('[data-testid="setting-steps"]', 20)
  await visible('#train:enabled')
  await click('#train')
  await says('#stage', 'Done')
  assert.match(await element('#step-count'), /^Step 20 of 20/)
  const loss = Number(await element('#train-loss'))
  assert.ok(loss > 1 && loss < 4.4, String(loss))
  // The chart is drawn.
  assert.ok(
    await until(() =>
      document
        .querySelector('.chart canvas')
        .getContext('2d')
        .getImageData(0, 0, 999, 200)
        .data.some((byte) => byte),
    ),
  )

  await run(() => (location.hash = '#/write'))
  await visible('#generate:enabled')
  await click('#generate')
  await until(() => document.querySelectorAll('#output [data-at]').length > 20)
  await run(() => (location.hash = '#/inside'))
  await visible('[data-testid="next"]')
  await run(() => (location.hash = '#/runs'))
  await says('[data-testid="saved"]', 'Saved at step 20')
  assert.deepEqual(await run(() => window.failed), [])
}

/** Loads the saved run and trains five more steps. */
export async function goOn({ run, element, click, visible, says, fill }) {
  await visible('[data-testid^="restore-"]:enabled')
  await click('[data-testid^="restore-"]')
  await says('.which', 'open at step 20')
  await run(() => (location.hash = '#/train'))
  await visible('#resume:enabled')
  await fill('[data-testid="more-steps"]', 5)
  await click('#resume')
  await says('#step-count', 'Step 25')
  await says('#stage', 'Done')
  assert.equal((await element('#error p')) || '', '')
}

/**
 * A first visit in a browser without file storage: the page says where runs are stored; they survive a change of device and can be deleted.
 * @param {string} said expected notice about the storage
 * @param {boolean} reloads whether runs survive a reload
 */
export async function privateVisit(page, said, reloads) {
  await page.says('[data-testid="notice"]', said)
  await firstVisit(page)
  await page.choose('#device', 'cpu')
  await page.says('#step-count', 'Step 20')
  if (reloads) await page.reload()
  await goOn(page)
  await page.run(() => (location.hash = '#/runs'))
  await page.visible('[data-testid^="delete-"]:enabled')
  await page.click('[data-testid^="delete-"]')
  await page.visible('[aria-label^="Confirm deleting"]')
  await page.click('[data-testid^="delete-"]')
  await page.until(() => !document.querySelector('[data-testid^="delete-"]'))
  // They are gone after a restart of the engine too.
  await page.choose('#device', 'auto')
  await page.until(() => document.querySelector('#train:enabled'))
  assert.equal(await page.run(() => document.querySelectorAll('[data-testid^="delete-"]').length), 0)
}
