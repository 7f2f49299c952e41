// The page in WebKit, Safari's engine, on the CPU. Skipped without WebKitGTK's driver; with CI=true that is an error.

import { test } from 'node:test'
import { skipWithout } from './harness.mjs'
import { privateVisit } from './remote.mjs'
import { findWebKit, openWebKit } from './webkit.mjs'

const { missing, ...programs } = findWebKit()
const skip = skipWithout(missing && `no ${missing} found: on Debian, apt install webkit2gtk-driver xvfb`)

test('WebKit trains, generates text, and keeps the run for the session', { skip, timeout: 300_000 }, async () => {
  const page = await openWebKit(programs)
  try {
    // Under automation, WebKitGTK always uses a private session.
    await privateVisit(page, 'a database instead of files', true)
  } finally {
    await page.close()
  }
})
