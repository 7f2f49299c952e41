// The worker: loads the wasm package and forwards messages. All work is done in Rust.

import init, * as blankslate from '../../pkg/blankslate.js'
import type { Answer, Event as EngineEvent } from '../types'
import type { Calls, Reply, Request } from './wire'
import { destroyDevice, hurryReadings, watchDevice } from './worker-gpu'
import { provideStorage } from './worker-storage'
import { hasTrapped, watchTraps } from './worker-trap'

/** A trap is reported after this delay, in case a lost device turns out to be the cause. */
const CAUSE_MS = 300
const MEMORY = 'Usually this means that memory ran out.'

const post = (reply: Reply, handedOver: Transferable[] = []): void => self.postMessage(reply, { transfer: handedOver })
const say = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const stop = (message: string): void => post({ kind: 'broken', message })
watchDevice(
  (reason) => post({ kind: 'lost', reason }),
  () => stop('The GPU has no memory left.'),
)
watchTraps((error) => setTimeout(() => stop(`The engine stopped unexpectedly (${say(error)}). ${MEMORY}`), CAUSE_MS))
hurryReadings()
const loading = init()
const storing = provideStorage(post)

const calls: { [Name in keyof Calls]: (...args: Parameters<Calls[Name]>) => unknown } = {
  presets: blankslate.presets,
  examples: blankslate.examples,
  example: blankslate.example,
  estimate: blankslate.estimate,
  form: blankslate.form,
  tuning: blankslate.tuning,
  kind_of: blankslate.kind_of,
  text_of_files: blankslate.text_of_files,
  default_sample: blankslate.default_sample,
  explanations: blankslate.explanations,
  memory: async () => (await loading).memory.buffer.byteLength,
  destroy_device: destroyDevice,
}

/** Reports an error that belongs to no command. After a trap, all others only follow from it. */
function report(error: unknown): void {
  if (!hasTrapped()) post({ kind: 'event', event: { type: 'failed', message: say(error) } })
}

const started = Promise.all([loading, storing]).then(
  () => new blankslate.Handle((event: EngineEvent) => post({ kind: 'event', event })),
  (error: unknown) => {
    stop(`The engine could not be loaded (${say(error)}).`)
    return null
  },
)

self.addEventListener('message', async ({ data: request }: MessageEvent<Request>) => {
  const handle = await started
  if (!handle || request.kind === 'held' || hasTrapped()) return
  if (request.kind === 'command') {
    handle.send(request.command).catch(report)
    return
  }
  try {
    if (request.kind === 'ask') {
      const value: Answer = await handle.ask(request.query)
      // Attention weights of a long text take many megabytes: transfer them instead of copying.
      post(
        { kind: 'answer', id: request.id, value },
        value.type === 'inspect' ? [value.inspection.attention.buffer] : [],
      )
      return
    }
    const call = calls[request.name] as (...args: unknown[]) => unknown
    post({ kind: 'answer', id: request.id, value: await call(...request.args) })
  } catch (error) {
    post({ kind: 'refused', id: request.id, message: say(error) })
  }
})

self.addEventListener('unhandledrejection', (event) => report(event.reason))
self.addEventListener('error', (event) => {
  // Report it here: without preventDefault the page would report a script that did not load.
  event.preventDefault()
  report(event.error ?? event.message)
})
