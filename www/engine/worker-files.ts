// Where files are kept if the browser has no place for them: in a database, or else in the page, which outlives the worker.

import { kept, openDatabase } from './database'
import type { Reply, Request } from './wire'

/** Files by their paths, whose parts are divided by slashes. */
export interface Files {
  get(path: string): Promise<Blob | undefined>
  /** Whatever happens, either the old or the new content is there. */
  put(path: string, content: Blob): Promise<void>
  remove(paths: string[]): Promise<void>
  /** The paths that begin like this. */
  below(beginning: string): Promise<string[]>
}

const STORE = 'files'

export async function inDatabase(): Promise<Files> {
  const database = await openDatabase('blankslate-files', 1, (database) => database.createObjectStore(STORE))
  const store = (mode: IDBTransactionMode): IDBObjectStore => database.transaction(STORE, mode).objectStore(STORE)
  return {
    async get(path) {
      const content = await kept<Blob | ArrayBuffer | undefined>(store('readonly').get(path))
      return content && new Blob([content])
    },
    async put(path, content) {
      const put = (content: Blob | ArrayBuffer): Promise<unknown> => kept(store('readwrite').put(content, path))
      // A blob is read only where it is needed. WebKit's private windows take bytes alone.
      await put(content).catch(async () => put(await content.arrayBuffer()))
    },
    async remove(paths) {
      const files = store('readwrite')
      await Promise.all(paths.map((path) => kept(files.delete(path))))
    },
    async below(beginning) {
      const keys = await kept(store('readonly').getAllKeys(IDBKeyRange.bound(beginning, `${beginning}\uffff`)))
      return keys.map(String)
    },
  }
}

/** Here, and once more in the page, which hands them to the next worker. */
export async function heldByPage(post: (reply: Reply) => void): Promise<Files> {
  const files = await new Promise<Map<string, Blob>>((done) => {
    self.addEventListener('message', ({ data }: MessageEvent<Request>) => data.kind === 'held' && done(data.files))
  })
  return {
    get: async (path) => files.get(path),
    async put(path, content) {
      files.set(path, content)
      post({ kind: 'hold', path, content })
    },
    async remove(paths) {
      for (const path of paths) {
        files.delete(path)
        post({ kind: 'hold', path, content: null })
      }
    },
    below: async (beginning) => [...files.keys()].filter((path) => path.startsWith(beginning)),
  }
}
