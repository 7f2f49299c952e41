// Example texts: choosing one, finding it again with its run, and sharing it by name.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { go, open, openAll, ready } from './harness.mjs'

const size = (page, text) => page.getByTestId('text-size').filter({ hasText: text }).waitFor()
const fill = async (page, settings) => {
  for (const [name, value] of Object.entries(settings)) await page.getByTestId(`setting-${name}`).fill(String(value))
}

test('an example is chosen, trained on, found again after a reload, and shared', async () => {
  const first = await open({
    webgpu: 'off',
    before: (context) => context.grantPermissions(['clipboard-read', 'clipboard-write']),
  })
  let link
  try {
    const { page } = first
    await ready(page)
    await openAll(page)
    const example = page.getByTestId('example')
    await example.locator('option', { hasText: 'Sums' }).waitFor({ state: 'attached' })
    assert.deepEqual(await example.locator('option').allInnerTexts(), [
      'Shakespeare',
      'Stories',
      'Sums',
      'Sorting',
      'Reversing',
    ])
    // The same texts as natively: `src/data/synthetic.rs` has the same numbers.
    const natively = {
      Stories: ['602,347', 'Ida and Clara wanted to make a kite.'],
      Sorting: ['259,534', 'egaifij>aefgiij'],
      Reversing: ['259,534', 'egaifij>jifiage'],
    }
    for (const [name, [characters, beginning]] of Object.entries(natively)) {
      await example.selectOption(name)
      await page.locator('#plan', { hasText: `trains on ${name}` }).waitFor()
      await size(page, `${characters} characters`)
      assert.ok((await page.locator('.words.first').innerText()).startsWith(beginning), name)
    }
    // Of two quick choices, the last one wins.
    await example.selectOption('Stories')
    await example.selectOption('Sums')
    await size(page, '13 distinct')
    assert.match(await page.getByTestId('text-words').innerText(), /10,000 lines, 10,000 words/)
    await page.locator('#plan', { hasText: 'trains on Sums' }).waitFor()
    assert.match(await page.locator('.words.first').innerText(), /^50\+73=123\s+32\+54=86\s/)
    await size(page, '92,895 characters')

    await fill(page, { steps: 40, hidden_size: 32, sample_every: 0, eval_every: 0 })
    await page.locator('#train:enabled').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    await page.getByTestId('copy-link').click()
    await page.getByTestId('copy-link-said').filter({ hasText: 'Copied' }).waitFor()
    link = await page.evaluate(() => navigator.clipboard.readText())

    await go(page, 'runs')
    await page.getByTestId('restore-tiny-1').waitFor()
    await page.reload()
    await page.getByTestId('restore-tiny-1').click()
    await go(page, 'train')
    await page.locator('#resume:enabled').waitFor()
    await page.locator('#plan', { hasText: 'trained on Sums' }).waitFor()
    assert.equal(await page.locator('#source-embedded').isChecked(), true)
    assert.equal(await example.inputValue(), 'Sums')
    assert.deepEqual(first.errors, [])
  } finally {
    await first.close()
  }

  const { page, errors, close } = await open({ webgpu: 'off', path: link.slice(link.indexOf('#')) })
  try {
    await page.locator('[data-testid=reproduce]:enabled').click()
    await page
      .getByTestId('verdict')
      .filter({ hasText: /^\s*Reproduced: all/ })
      .waitFor()
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})
