// Drives WebKitGTK's MiniBrowser with its WebDriver, on a virtual display.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { serve } from './harness.mjs'
import { freePort, remote } from './remote.mjs'

const inPath = (name) =>
  (process.env.PATH ?? '')
    .split(path.delimiter)
    .map((folder) => path.join(folder, name))
    .find((file) => fs.existsSync(file))

/** Paths of the required programs, and the name of a missing one. */
export function findWebKit() {
  const folders = fs.existsSync('/usr/lib')
    ? fs.readdirSync('/usr/lib').map((name) => `/usr/lib/${name}/webkit2gtk-4.1`)
    : []
  const programs = {
    driver: inPath('WebKitWebDriver'),
    browser: folders.map((folder) => path.join(folder, 'MiniBrowser')).find((file) => fs.existsSync(file)),
    display: inPath('Xvfb'),
  }
  const names = { driver: 'WebKitWebDriver', browser: 'MiniBrowser', display: 'Xvfb' }
  return {
    ...programs,
    missing: Object.keys(names)
      .filter((one) => !programs[one])
      .map((one) => names[one])[0],
  }
}

/** Opens dist/; returns the functions described in `remote.mjs`, and `reload()`, which reloads the page. */
export async function openWebKit({ driver, browser, display }, { timeout = 120_000 } = {}) {
  const server = await serve()
  const screen = spawn(display, ['-displayfd', '1', '-nolisten', 'tcp'], { stdio: ['ignore', 'pipe', 'ignore'] })
  const [number] = await once(screen.stdout, 'data')
  const port = await freePort()
  // The language of the page comes from here; “C” is not a language.
  const env = { ...process.env, DISPLAY: `:${String(number).trim()}`, LC_ALL: 'en_US.UTF-8' }
  const driving = spawn(driver, [`--port=${port}`], { env, stdio: 'ignore' })
  const send = async (method, command, body) => {
    const response = await fetch(`http://127.0.0.1:${port}/session${command}`, {
      method,
      body: body && JSON.stringify(body),
    })
    const { value } = await response.json()
    if (!response.ok) throw new Error(`${value.error}: ${value.message}`)
    return value
  }
  let session
  const close = async () => {
    if (session) await send('DELETE', session)
    for (const program of [driving, screen]) {
      program.kill()
      await once(program, 'exit')
    }
    await server.close()
  }
  const options = { 'webkitgtk:browserOptions': { binary: browser, args: ['--automation'] } }
  const begin = async (end) => {
    try {
      return await send('POST', '', { capabilities: { alwaysMatch: options } })
    } catch (error) {
      if (Date.now() > end || error.message !== 'fetch failed') throw error
      await wait(200) // The driver is not listening yet.
      return begin(end)
    }
  }
  try {
    session = `/${(await begin(Date.now() + timeout)).sessionId}`
    await send('POST', `${session}/url`, { url: server.url })
    const page = remote((script, args) => send('POST', `${session}/execute/sync`, { script, args }), timeout)
    return { ...page, reload: () => send('POST', `${session}/refresh`, {}), close }
  } catch (error) {
    await close()
    throw error
  }
}
