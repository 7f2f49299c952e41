// Page of blankslate for the decoding benchmark, benches/decode/tab. Its driver serves this page and measures; the page only generates.

import init, { Handle, default_sample } from '../../pkg/blankslate.js'
import { version } from '../../package.json'
import type { Command, Event, NamedFile, SampleConfig } from '../types'

const FILES = ['config.json', 'tokenizer.json', 'model.safetensors']

await init()

/** Handler of the engine's events, set by `carryOut`. */
let hear: (event: Event) => void = () => undefined
const handle = new Handle((event: Event) => hear(event))

/** Sends a command and passes the events to `take` until it returns true. */
function carryOut(command: Command, take: (event: Event) => boolean): Promise<void> {
  return new Promise((done, refuse) => {
    hear = (event) => {
      if (event.type === 'failed') refuse(new Error(event.message))
      else if (take(event)) done()
    }
    handle.send(command).catch(refuse)
  })
}

async function file(name: string): Promise<NamedFile> {
  const response = await fetch(`/model/${name}`)
  if (!response.ok) throw new Error(`${name}: ${response.status}`)
  return { name, bytes: new Uint8Array(await response.arrayBuffer()) }
}

const peer = {
  name: 'blankslate',
  version,
  /** Loads the model on `cpu` or `webgpu`; resolves to the adapter. */
  async open(device: string): Promise<string> {
    let adapter = ''
    await carryOut({ type: 'init', device }, (event) => {
      if (event.type === 'ready') adapter = event.device.adapter
      return event.type === 'ready'
    })
    const files = await Promise.all(FILES.map(file))
    await carryOut({ type: 'open_files', name: 'model', files }, (event) => event.type === 'loaded')
    return adapter
  },
  /** Generates the `count` most likely tokens after `ids`. */
  async write(ids: number[], count: number): Promise<number[]> {
    const drawn: number[] = []
    const config: SampleConfig = { ...default_sample(), max_new_tokens: count, temperature: 0 }
    await carryOut({ type: 'generate', id: 1, prompt: '', ids, config, alternatives: 0 }, (event) => {
      if (event.type === 'text') drawn.push(...event.drawn.map(({ token }) => token.id))
      return event.type === 'text' && event.done
    })
    return drawn
  },
}

Object.assign(window, { peer })
