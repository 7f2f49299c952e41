// Storage for files if the browser provides none: a database or, failing that, the memory of the page, which outlives the worker.

import { kept, openDatabase } from './database'
import type { Reply, Request } from './wire'

/** Files by path, with slashes as separators. */
export interface Files {
  get(path: string): Promise<Blob | undefined>
  /** Writes atomically: after a failure, the file has either its old or its new content. */
  put(path: string, content: Blob): Promise<void>
  remove(paths: string[]): Promise<void>
  /** The paths with this prefix. */
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
      // A blob is read only when needed. WebKit's private windows can only store bytes.
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

/** In memory, with a copy in the page for the next worker. */
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
