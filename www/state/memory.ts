// What the page stores about a run: its text, curve and note. The worker stores the checkpoints.

import type { Curve } from './curve'
import type { LiveSample } from './live'
import { kept, openDatabase } from '../engine/database'
import type { RunConfig } from '../types'

/** The start of a run: what is needed to reproduce it. */
export interface Origin {
  config: RunConfig
  /** Kind of device that trains. */
  device: string
  /** Step after which the settings or the device changed; null if they have not. */
  until: number | null
}

export interface Remembered {
  run: string
  label: string
  /** Null for an example text, which is found by its label. */
  text: string | null
  curve: Curve
  /** Samples from training. Runs stored by earlier versions have none. */
  live?: LiveSample[]
  /** Null for a model that was opened or fine-tuned. */
  origin?: Origin | null
}

/** Details of a run that are shown without loading its text and curve. */
export interface About {
  run: string
  note?: string
  /** Label of its text. */
  label?: string
}

type Store = 'runs' | 'about'

const open = (): Promise<IDBDatabase> =>
  openDatabase('blankslate-page', 2, (database, from) => {
    if (from < 1) database.createObjectStore('runs', { keyPath: 'run' })
    database.createObjectStore('about', { keyPath: 'run' })
  })

/** The result of a committed request; null if the browser has no database. */
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
    return null // Some private windows have no database: the data is then lost with the page.
  }
}

/** Entries kept in memory if there is no database. */
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

/** Updates the details of a run; returns false if they could not be stored. */
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

/** Asks the browser for persistent storage, so that it does not clear the runs when the disk is full. Called after the first save. */
export async function persist(): Promise<void> {
  if (asked) return
  asked = true
  try {
    if (!(await navigator.storage.persisted())) await navigator.storage.persist()
  } catch {
    // Not every browser supports it: runs are then kept at the browser's discretion.
  }
}

/** Used and available bytes of the page's storage, and those of the page itself among them; null if the browser does not report them. */
export async function room(): Promise<{ used: number; own: number; quota: number } | null> {
  try {
    const found: StorageEstimate & { usageDetails?: { caches?: number } } = await navigator.storage.estimate()
    const { usage = 0, quota = 0, usageDetails } = found
    return quota ? { used: usage, own: usageDetails?.caches ?? 0, quota } : null
  } catch {
    return null
  }
}
