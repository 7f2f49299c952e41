// Seconds from opening the page to its first step and its first sample, with a new browser for each visit. Prints one JSON line per
// visit. `cargo xtask bench --first-visit` builds the page and runs this.

import { parseArgs } from 'node:util'
import { open, ready } from '../../tests/web/harness.mjs'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, adapter: { type: 'string', default: 'swiftshader' } } })
const DEVICES = { cpu: 'off', webgpu: values.adapter }

/** Visits the page on the given device, not the one that it would choose by measuring. */
async function visit(device) {
  const chosen = (context) => context.addInitScript((device) => (localStorage['blankslate.device'] = device), device)
  const began = performance.now()
  const { page, close } = await open({ webgpu: DEVICES[device], before: chosen, expert: false, kept: true, timeout: 300_000 })
  try {
    const seconds = () => (performance.now() - began) / 1000
    await ready(page)
    const usable = seconds()
    await page.getByTestId('train').click()
    await page.waitForFunction(() => /^Step [1-9]/.test(document.querySelector('#step-count').textContent))
    const step = seconds()
    await page.locator('#live-text:not(.quiet)').waitFor()
    const name = await page.getByTestId('device-name').innerText()
    return { device, name, usable, step, sample: seconds() }
  } finally {
    await close()
  }
}

for (let round = 1; round <= Number(values.rounds); round += 1) {
  for (const device of Object.keys(DEVICES)) console.log(JSON.stringify({ round, ...(await visit(device)) }))
}
