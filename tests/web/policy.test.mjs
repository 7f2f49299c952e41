// The content security policy: the page runs its own code only, whatever is injected into it. Only texts come from other places, by HTTPS.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open, ready } from './harness.mjs'

test('the policy is part of the page and stops code and requests that are not its own', async () => {
  const { page, errors, close } = await open({ webgpu: 'off' })
  try {
    await ready(page)
    assert.deepEqual(errors, [])
    const policy = page.locator('meta[http-equiv="Content-Security-Policy"]')
    assert.match(
      (await policy.getAttribute('content')) ?? '',
      /^default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; /,
    )
    const violated = await page.evaluate(async () => {
      const found = new Set()
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => found.add(effectiveDirective))
      const inline = document.createElement('script')
      inline.textContent = 'window.intruder = true'
      const other = document.createElement('script')
      other.src = 'https://example.com/intruder.js'
      document.head.append(inline, other)
      await fetch('http://example.com/').catch(() => null)
      await new Promise((done) => setTimeout(done, 100))
      return { found: [...found].sort(), intruder: 'intruder' in window }
    })
    assert.deepEqual(violated, { found: ['connect-src', 'script-src-elem'], intruder: false })
  } finally {
    await close()
  }
})
