// “Expert”: a simple page by default, everything on request, and no hidden settings in effect without a hint.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addAxe, go, open, openAll, ready } from './harness.mjs'

test('the page is simple by default, shows everything with the switch, and remembers it', async () => {
  const { page, errors, close } = await open({ webgpu: 'off', expert: false })
  try {
    await ready(page)
    const toggle = page.getByTestId('expert')
    assert.equal(await toggle.isChecked(), false)
    assert.equal(await page.getByTestId('setting-grad_clip').count(), 0)
    assert.equal(await page.getByTestId('steer').count(), 0)
    for (const name of ['steps', 'lr', 'num_hidden_layers'])
      assert.equal(await page.getByTestId(`setting-${name}`).count(), 1)
    assert.equal(await page.getByTestId('hidden-settings').count(), 0)
    await go(page, 'device')
    await page.getByTestId('check').waitFor()
    assert.equal(await page.getByTestId('profile').count(), 0)

    // With the keyboard.
    await toggle.focus()
    await page.keyboard.press('Space')
    await page.getByTestId('profile').waitFor()
    await page.reload()
    await page.getByTestId('profile').waitFor()
    await go(page, 'train')
    await ready(page)
    assert.equal(await page.getByTestId('setting-grad_clip').count(), 1)
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('hidden settings in effect are listed', async () => {
  const { page, errors, close } = await open({ webgpu: 'off' })
  try {
    await ready(page)
    await openAll(page)
    await page.getByTestId('setting-grad_clip').fill('0.25')
    await page.getByTestId('setting-dropout').fill('0.1')
    await page.getByTestId('expert').uncheck()
    await page.getByTestId('hidden-settings').filter({ hasText: 'Dropout 0.1' }).waitFor()
    const told = await page.getByTestId('hidden-settings').innerText()
    assert.match(told, /Gradient clipping 0\.25/)
    // Settings that follow from visible ones are not listed.
    await page.getByTestId('setting-hidden_size').fill('32')
    await page.getByTestId('setting-steps').fill('50')
    assert.equal(await page.getByTestId('hidden-settings').innerText(), told)
    await ready(page)
    await page.getByTestId('tune').evaluate((one) => (one.open = false))
    // The progress stays in its place while the run starts and ends.
    const top = () => page.locator('#progress').evaluate((one) => one.getBoundingClientRect().top + scrollY)
    const before = await top()
    await page.getByTestId('train').click()
    await page.locator('#stage', { hasText: 'Done' }).waitFor()
    assert.equal(await top(), before)
    assert.equal(await page.getByTestId('hidden-settings').innerText(), told)

    // An expert tab is closed, and a changed sampling setting stays visible.
    await page.getByTestId('expert').check()
    await go(page, 'inside')
    await page.getByTestId('inside-tab-weights').click()
    await page.getByTestId('expert').uncheck()
    await page.locator('[data-testid="inside-tab-attention"][aria-selected="true"]').waitFor()
    assert.equal(await page.getByTestId('inside-tab-weights').count(), 0)
    await page.getByTestId('inside-tab-sampling').click()
    await page.getByTestId('cut-top_k').fill('3')
    await page.getByTestId('cut-use').click()
    await go(page, 'write')
    assert.equal(await page.getByTestId('setting-top_k').inputValue(), '3')
    assert.equal(await page.getByTestId('beside-write').count(), 0)
    await addAxe(page)
    const found = await page.evaluate(async () =>
      (
        await window.axe.run(document, {
          runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'],
          resultTypes: ['violations'],
        })
      ).violations.map(({ id }) => id),
    )
    assert.deepEqual(found, [])
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('every setting has an explanation, and a formula or source where there is one', async () => {
  const { page, errors, close } = await open({ webgpu: 'off' })
  try {
    await ready(page)
    await openAll(page)
    await go(page, 'write')
    const tips = await page.locator('.setting:has([role="tooltip"])').evaluateAll((settings) =>
      settings.map((setting) => {
        const tip = setting.querySelector('[role="tooltip"]')
        const field = setting.querySelector('[aria-describedby]')
        return {
          id: field.id,
          described: field.getAttribute('aria-describedby') === tip.id,
          words: tip.textContent.trim().split(/\s+/).length,
          more: tip.querySelectorAll('.formula, .from').length,
        }
      }),
    )
    assert.ok(tips.length > 50, `${tips.length} settings`)
    for (const { id, described, words } of tips) assert.ok(described && words >= 5, id)
    // Settings that only say how often something happens have neither.
    const plain = tips.filter(({ more }) => more === 0).map(({ id }) => id.replace(/.*setting-/, ''))
    const own = [
      'order',
      'seed',
      'eval_every',
      'sample_every',
      'save_every',
      'keep_last',
      'keep_spread',
      'max_new_tokens',
      'sample_seed',
      'draft-length',
      'stop',
      'vocab',
    ]
    assert.deepEqual(
      plain.filter((name) => !own.includes(name)),
      [],
    )
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('the time estimate belongs to the latest settings', async () => {
  const { page, errors, close } = await open({ webgpu: 'off' })
  try {
    await ready(page)
    await openAll(page)
    const time = page.getByTestId('time-estimate')
    await time.filter({ hasText: 'about' }).waitFor()
    // Measuring the first configuration takes a second; the form changes before it is done.
    await page.getByTestId('setting-hidden_size').fill('128')
    await page.waitForTimeout(500)
    await page.getByTestId('setting-hidden_size').fill('160')
    await time.filter({ hasText: 'measuring' }).waitFor()
    await time.filter({ hasText: 'about' }).waitFor({ timeout: 20_000 })
    assert.deepEqual(errors, [])
  } finally {
    await close()
  }
})

test('the memory warning comes earlier on a phone than on a desktop', async () => {
  const asked = async (before) => {
    const { page, errors, close } = await open({ webgpu: 'off', before })
    try {
      await ready(page)
      await openAll(page)
      const settings = {
        hidden_size: 384,
        num_attention_heads: 6,
        num_hidden_layers: 6,
        batch_size: 24,
        max_position_embeddings: 256,
        seq_len: 256,
        steps: 1000,
      }
      for (const [name, value] of Object.entries(settings))
        await page.getByTestId(`setting-${name}`).fill(String(value))
      await page
        .getByTestId('memory')
        .filter({ hasText: /about [5-9]\d\d MB|about 1\.\d GB/ })
        .waitFor()
      await page
        .getByTestId('time-estimate')
        .filter({ hasText: /^about .* (min|h|days)/ })
        .waitFor()
      await page.locator('#train:enabled').click()
      const reasons = await page.getByTestId('heavy').locator('li').allInnerTexts()
      await page.getByTestId('heavy-cancel').click()
      assert.deepEqual(errors, [])
      return reasons
    } finally {
      await close()
    }
  }
  const phone = (context) =>
    context.addInitScript(() =>
      Object.defineProperty(navigator, 'userAgent', {
        value: 'Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) Mobile/15E148',
      }),
    )
  const [desktop, small] = [await asked(), await asked(phone)]
  assert.ok(!desktop.some((reason) => /memory/.test(reason)), String(desktop))
  assert.ok(
    small.some((reason) => /of memory, more than many browsers give a tab/.test(reason)),
    String(small),
  )
})
