// The page in WebKit, Safari's engine, on its CPU path. Skipped where WebKitGTK's driver is not found.

import { test } from 'node:test'
import { firstVisit, goOn } from './remote.mjs'
import { findWebKit, openWebKit } from './webkit.mjs'

const { missing, ...programs } = findWebKit()
if (missing) console.error(`SKIPPED: no ${missing} found; on Debian: apt install webkit2gtk-driver xvfb`)

test('WebKit trains, writes, and keeps the run as long as the tab', { skip: missing && `no ${missing}`, timeout: 300_000 }, async () => {
  const page = await openWebKit(programs)
  try {
    // Under remote control WebKitGTK is always in a private session.
    await page.says('[data-testid="notice"]', 'gone with the tab')
    await firstVisit(page)
    await goOn(page)
  } finally {
    await page.close()
  }
})
