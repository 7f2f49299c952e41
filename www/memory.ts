// What the page itself remembers of a run: its text and its curve. The checkpoints are the worker's.

import type { Curve } from './curve'

export interface Remembered {
  run: string
  label: string
  /** None for the embedded text, which can always be fetched again. */
  text: string | null
  curve: Curve
}

const STORE = 'runs'

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('blankslate-page', 1)
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'run' })
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

async function use<T>(
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T | undefined> {
  try {
    const database = await open()
    return await new Promise<T>((resolve, reject) => {
      const request = work(database.transaction(STORE, mode).objectStore(STORE))
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    }).finally(() => database.close())
  } catch {
    return undefined // Private windows have no database: the user then chooses the text again.
  }
}

export const remember = (entry: Remembered): Promise<unknown> => use('readwrite', (store) => store.put(entry))
export const recall = (run: string): Promise<Remembered | undefined> => use('readonly', (store) => store.get(run))
export const forget = (run: string): Promise<unknown> => use('readwrite', (store) => store.delete(run))
