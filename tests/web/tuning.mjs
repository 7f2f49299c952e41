// Basis of the fine-tuning tests: a small model trained on a few words.

import { open, openAll } from './harness.mjs'

const TEXT = 'the system, the user, the sea and the sky, who knows? a blank slate shells birds.\n'.repeat(40)
const SMALL = {
  'setting-max_position_embeddings': 64,
  'setting-hidden_size': 32,
  'setting-steps': 10,
  'setting-sample_every': 0,
  'setting-eval_every': 0,
  'setting-val_fraction': 0,
}

export const done = (page) => page.locator('#stage', { hasText: 'Done' }).waitFor()

export async function fill(page, values) {
  for (const [name, value] of Object.entries(values)) await page.getByTestId(name).fill(String(value))
}

/** Opens a page, as `open` does, and trains the model `base` with the settings `more`; `first` runs before that. */
export async function openWithBase({ first, ...options } = {}, more) {
  const it = await open({ webgpu: 'off', ...options })
  const { page } = it
  const part = (name) => page.getByTestId(name)
  await page.locator('#train:enabled').waitFor()
  await first?.(page)
  await openAll(page)
  await part('text-source').getByText('Paste').click()
  await part('paste').fill(TEXT)
  await fill(page, { ...SMALL, ...more, 'run-name': 'base' })
  await part('run-name').press('Tab')
  await page.locator('#plan', { hasText: 'base trains on your text' }).waitFor()
  await page.locator('#train:enabled').click()
  await done(page)
  return it
}
