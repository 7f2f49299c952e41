// The page's client of the worker: sends commands, receives events, and matches calls with their answers.

import type { Command, Event, Query } from '../types'
import type { AnswerTo, Calls, Place, Reply, Request } from './wire'

export interface Listener {
  event(event: Event): void
  broken(message: string): void
  /** The GPU device is gone. */
  lost(reason: string): void
  /** The browser provides no files: runs are saved in this place instead. */
  storage(place: Place): void
}

/** Files kept in memory for engines that cannot save anywhere else. */
const held = new Map<string, Blob>()

/** A worker with one engine. Another device requires a new one. */
export class Engine {
  private readonly worker: Worker
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  private readonly listener: Listener
  private calls = 0

  constructor(listener: Listener) {
    this.listener = listener
    this.worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'blankslate' })
    this.worker.addEventListener('message', ({ data }: MessageEvent<Reply>) => this.receive(data))
    this.worker.addEventListener('error', (event) => {
      event.preventDefault()
      listener.broken(`The engine could not be started (${event.message || 'its script did not load'}).`)
    })
  }

  send(command: Command): void {
    this.post({ kind: 'command', command })
  }

  call<Name extends keyof Calls>(name: Name, ...args: Parameters<Calls[Name]>): Promise<ReturnType<Calls[Name]>> {
    return this.answer((id) => ({ kind: 'call', id, name, args }))
  }

  /** Sends a query about the current model; rejects with a one-line error. */
  ask<T extends Query['type']>(query: Extract<Query, { type: T }>): Promise<AnswerTo<T>> {
    return this.answer((id) => ({ kind: 'ask', id, query }))
  }

  close(): void {
    this.worker.terminate()
    for (const { reject } of this.waiting.values()) reject(new Error('The engine stopped before it answered.'))
    this.waiting.clear()
  }

  private answer<T>(request: (id: number) => Request): Promise<T> {
    const id = ++this.calls
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject })
      this.post(request(id))
    })
  }

  private post(request: Request): void {
    this.worker.postMessage(request)
  }

  private receive(reply: Reply): void {
    switch (reply.kind) {
      case 'event':
        return this.listener.event(reply.event)
      case 'broken':
        return this.listener.broken(reply.message)
      case 'lost':
        return this.listener.lost(reply.reason)
      case 'storage':
        if (reply.place === 'page') this.post({ kind: 'held', files: held })
        return this.listener.storage(reply.place)
      case 'hold':
        if (reply.content) held.set(reply.path, reply.content)
        else held.delete(reply.path)
        return
      case 'answer':
        this.waiting.get(reply.id)?.resolve(reply.value)
        break
      case 'refused':
        this.waiting.get(reply.id)?.reject(new Error(reply.message))
        break
    }
    this.waiting.delete(reply.id)
  }
}
