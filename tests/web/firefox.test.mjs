// The page in Firefox, on its CPU path: train, sample, reload, restore. Skipped where no Firefox is found.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firefoxPath, openFirefox } from './firefox.mjs'

const binary = firefoxPath()
if (!binary) console.error('SKIPPED: no Firefox found; install it, or set FIREFOX to its path')

test('Firefox trains, writes, and finds the run again', { skip: !binary && 'no Firefox', timeout: 300_000 }, async () => {
  const { run, until, reload, close } = await openFirefox(binary)
  const element = (selector) => run((selector) => document.querySelector(selector)?.innerText ?? null, selector)
  const click = (selector) => run((selector) => document.querySelector(selector).click(), selector)
  const visible = (selector) => until((selector) => [...document.querySelectorAll(selector)].some((one) => one.checkVisibility()), selector)
  const says = (selector, text) => until((selector, text) => document.querySelector(selector)?.innerText.includes(text), selector, text)
  const fill = (selector, value) =>
    run(
      (selector, value) => {
        const field = document.querySelector(selector)
        field.value = value
        field.dispatchEvent(new Event('input', { bubbles: true }))
      },
      selector,
      String(value),
    )
  try {
    console.log(await run(() => navigator.userAgent))
    // Errors that nobody catches, also those of a later load.
    await run(() => {
      window.failed = []
      addEventListener('error', ({ message }) => window.failed.push(message))
      addEventListener('unhandledrejection', ({ reason }) => window.failed.push(String(reason)))
    })
    await visible('#train:enabled')
    assert.match(await element('[data-testid="device-name"]'), /CPU/)
    await fill('[data-testid="knob-steps"]', 20)
    await visible('#train:enabled')
    await click('#train')
    await says('#stage', 'Done')
    assert.match(await element('#step-count'), /^Step 20 of 20/)
    const loss = Number(await element('#train-loss'))
    assert.ok(loss > 1 && loss < 4.4, String(loss))
    // The chart is drawn.
    assert.ok(await until(() => document.querySelector('.chart canvas').getContext('2d').getImageData(0, 0, 999, 200).data.some((byte) => byte)))

    await run(() => (location.hash = '#/write'))
    await visible('#generate:enabled')
    await click('#generate')
    await until(() => document.querySelectorAll('#output [data-at]').length > 20)
    await run(() => (location.hash = '#/inside'))
    await visible('[data-testid="next"]')
    await run(() => (location.hash = '#/runs'))
    await says('[data-testid="saved"]', 'Saved at step 20')
    assert.deepEqual(await run(() => window.failed), [])

    await reload()
    await visible('[data-testid^="restore-"]:enabled')
    await click('[data-testid^="restore-"]')
    await says('.which', 'at hand, step 20')
    await run(() => (location.hash = '#/train'))
    await visible('#resume:enabled')
    await fill('[data-testid="more-steps"]', 5)
    await click('#resume')
    await says('#step-count', 'Step 25')
    await says('#stage', 'Done')
    assert.equal(await element('#error p') || '', '')
  } finally {
    await close()
  }
})
