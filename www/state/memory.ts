// What the page itself remembers of a run: its text, its curve, a note. The checkpoints are the worker's.

import type { Curve } from './curve'
import { kept, openDatabase } from '../engine/database'
import type { RunConfig } from '../types'

/** How a run of this page began: what it takes to make it again. */
export interface Origin {
  config: RunConfig
  /** The kind of device that trains. */
  device: string
  /** The step from which on its settings or its device were others; none while they are the same. */
  until: number | null
}

export interface Remembered {
  run: string
  label: string
  /** None for a text that comes with the page, and is found by its label. */
  text: string | null
  curve: Curve
  /** None for a model from elsewhere. */
  origin?: Origin | null
}

/** What is shown of a run without reading its text and its curve. */
export interface About {
  run: string
  note?: string
  /** What its text is called. */
  label?: string
}

type Store = 'runs' | 'about'

const open = (): Promise<IDBDatabase> =>
  openDatabase('blankslate-page', 2, (database, from) => {
    if (from < 1) database.createObjectStore('runs', { keyPath: 'run' })
    database.createObjectStore('about', { keyPath: 'run' })
  })

/** What a request gave whose transaction is kept; none where nothing can be. */
async function use<T>(
  name: Store,
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<{ result: T } | null> {
  try {
    const database = await open()
    const result = await kept(work(database.transaction(name, mode).objectStore(name))).finally(() => database.close())
    return { result }
  } catch {
    return null // Some private windows have no database: what is remembered is then gone with the page.
  }
}

/** Where there is no database. */
const unkept = new Map<string, Remembered>()

export async function remember(entry: Remembered): Promise<void> {
  if (!(await use('runs', 'readwrite', (store) => store.put(entry)))) unkept.set(entry.run, entry)
  await describe(entry.run, { label: entry.label })
}

export const recall = async (run: string): Promise<Remembered | undefined> =>
  (await use<Remembered | undefined>('runs', 'readonly', (store) => store.get(run)))?.result ?? unkept.get(run)

export async function forget(run: string): Promise<void> {
  unkept.delete(run)
  await use('runs', 'readwrite', (store) => store.delete(run))
  await use('about', 'readwrite', (store) => store.delete(run))
}

/** Adds to what is known of a run; false where nothing can be kept. */
export async function describe(run: string, change: Omit<About, 'run'>): Promise<boolean> {
  const written = await use<About | undefined>('about', 'readwrite', (store) => {
    const before: IDBRequest<About | undefined> = store.get(run)
    before.onsuccess = () => store.put({ ...before.result, ...change, run })
    return before
  })
  return written !== null
}

export async function abouts(): Promise<Map<string, About>> {
  const all = await use<About[]>('about', 'readonly', (store) => store.getAll())
  return new Map((all?.result ?? []).map((about) => [about.run, about]))
}

let asked = false

/** Asks the browser, once there is something to lose, not to clear the runs when the disk runs full. */
export async function persist(): Promise<void> {
  if (asked) return
  asked = true
  try {
    if (!(await navigator.storage.persisted())) await navigator.storage.persist()
  } catch {
    // Not every browser can: the runs then stay as long as it pleases.
  }
}

/** Bytes that the page's storage holds and may hold; none where the browser does not tell. */
export async function room(): Promise<{ used: number; quota: number } | null> {
  try {
    const { usage = 0, quota = 0 } = await navigator.storage.estimate()
    return quota ? { used: usage, quota } : null
  } catch {
    return null
  }
}
