// The page in WebKit, Safari's engine, on its CPU path. Skipped where WebKitGTK's driver is not found.

import { test } from 'node:test'
import { privateVisit } from './remote.mjs'
import { findWebKit, openWebKit } from './webkit.mjs'

const { missing, ...programs } = findWebKit()
if (missing) console.error(`SKIPPED: no ${missing} found; on Debian: apt install webkit2gtk-driver xvfb`)

test(
  'WebKit trains, generates text, and keeps the run for the session',
  { skip: missing && `no ${missing}`, timeout: 300_000 },
  async () => {
    const page = await openWebKit(programs)
    try {
      // Under automation, WebKitGTK always uses a private session.
      await privateVisit(page, 'a database instead of files', true)
    } finally {
      await page.close()
    }
  },
)
