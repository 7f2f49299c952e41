// Drives Firefox over its own remote protocol, Marionette: a few commands over a socket, without a driver.
// https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html

import { spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { serve } from './harness.mjs'
import { freePort, remote } from './remote.mjs'

/** $FIREFOX, or the first of the usual names in PATH; undefined if there is none. */
export function firefoxPath() {
  if (process.env.FIREFOX) return process.env.FIREFOX
  const folders = (process.env.PATH ?? '').split(path.delimiter)
  const files = ['firefox', 'firefox-esr'].flatMap((name) => folders.map((folder) => path.join(folder, name)))
  return files.find((file) => fs.existsSync(file))
}

/** A connection on which each command waits for its answer. */
async function connect(port, until) {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1')
    const open = await new Promise((done) => socket.once('connect', () => done(true)).once('error', () => done(false)))
    if (open) return socket
    if (Date.now() > until) throw new Error('Firefox does not listen; start it by hand to see why')
    await wait(200)
  }
}

function control(socket) {
  const waiting = new Map()
  let received = Buffer.alloc(0)
  let commands = 0
  socket.on('data', (data) => {
    received = Buffer.concat([received, data])
    for (;;) {
      // Each message is its length, a colon, and that many bytes of JSON.
      const colon = received.indexOf(':')
      const end = colon + 1 + Number(received.subarray(0, Math.max(0, colon)))
      if (colon < 0 || received.length < end) return
      const message = JSON.parse(received.subarray(colon + 1, end))
      received = received.subarray(end)
      if (!Array.isArray(message)) continue
      const [, id, error, result] = message
      const { done, fail } = waiting.get(id)
      if (error) fail(new Error(`${error.error}: ${error.message}`))
      else done(result)
    }
  })
  return (name, parameters = {}) =>
    new Promise((done, fail) => {
      commands += 1
      waiting.set(commands, { done, fail })
      const message = JSON.stringify([0, commands, name, parameters])
      socket.write(`${Buffer.byteLength(message)}:${message}`)
    })
}

/**
 * Opens dist/ in a headless Firefox with its own profile.
 * @param {Record<string, unknown>} [options.preferences] preferences of that profile, in addition to the defaults
 * @returns the functions that `remote.mjs` describes, and `reload()`, which reloads the page
 */
export async function openFirefox(binary, { timeout = 120_000, preferences = {} } = {}) {
  const server = await serve()
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'blankslate-firefox-'))
  const port = await freePort()
  const usual = {
    'marionette.port': port,
    'browser.shell.checkDefaultBrowser': false,
    'datareporting.policy.dataSubmissionEnabled': false,
  }
  const lines = Object.entries({ ...usual, ...preferences }).map(
    ([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});`,
  )
  fs.writeFileSync(path.join(profile, 'user.js'), lines.join('\n'))
  const browser = spawn(binary, ['--headless', '--marionette', '--no-remote', '--profile', profile], {
    stdio: 'ignore',
  })
  const ended = new Promise((done) => browser.once('exit', done))
  let socket
  const close = async () => {
    socket?.destroy()
    browser.kill()
    await ended
    await server.close()
    fs.rmSync(profile, { recursive: true, force: true })
  }
  try {
    socket = await connect(port, Date.now() + timeout)
    const send = control(socket)
    await send('WebDriver:NewSession', {})
    await send('WebDriver:Navigate', { url: server.url })
    const execute = async (script, args) =>
      (await send('WebDriver:ExecuteScript', { script, args, newSandbox: false })).value
    return { ...remote(execute, timeout), reload: () => send('WebDriver:Refresh'), close }
  } catch (error) {
    await close()
    throw error
  }
}
