// The worker: loads the wasm package and passes messages on. All the work is done in Rust.

import init, * as blankslate from '../pkg/blankslate.js'
import type { Event as EngineEvent } from './types'
import type { Calls, Reply, Request } from './wire'

const post = (reply: Reply): void => self.postMessage(reply)
const say = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const calls: Calls = {
  presets: blankslate.presets,
  estimate: blankslate.estimate,
  validate: blankslate.validate,
  default_sample: blankslate.default_sample,
}

/** A WebAssembly trap leaves the engine's memory in an unknown state: nothing more may be asked of it. */
function report(error: unknown): void {
  if (error instanceof WebAssembly.RuntimeError) {
    post({ kind: 'broken', message: `The engine stopped unexpectedly (${error.message}).` })
  } else {
    post({ kind: 'event', event: { type: 'failed', message: say(error) } })
  }
}

const started = init().then(
  () => new blankslate.Handle((event: EngineEvent) => post({ kind: 'event', event })),
  (error: unknown) => {
    post({ kind: 'broken', message: `The engine could not be loaded (${say(error)}).` })
    return null
  },
)

self.addEventListener('message', async ({ data: request }: MessageEvent<Request>) => {
  const handle = await started
  if (!handle) return
  if (request.kind === 'command') {
    handle.send(request.command).catch(report)
    return
  }
  try {
    const call = calls[request.name] as (...args: unknown[]) => unknown
    post({ kind: 'answer', id: request.id, value: call(...request.args) })
  } catch (error) {
    post({ kind: 'refused', id: request.id, message: say(error) })
  }
})

self.addEventListener('unhandledrejection', (event) => report(event.reason))
self.addEventListener('error', (event) => report(event.error ?? event.message))
