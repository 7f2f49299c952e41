// Storage for browsers without the origin-private file system, as in private windows: the part of its interface that the engine uses,
// on top of files stored elsewhere.

import type { Reply } from './wire'
import { type Files, heldByPage, inDatabase } from './worker-files'

const notThere = (path: string): DOMException => new DOMException(`${path} is not there`, 'NotFoundError')

class FileHandle {
  private readonly files: Files
  private readonly path: string

  constructor(files: Files, path: string) {
    this.files = files
    this.path = path
  }

  async getFile(): Promise<Blob> {
    const content = await this.files.get(this.path)
    if (!content) throw notThere(this.path)
    return content
  }

  /** Replaces the file when the stream is closed. */
  async createWritable(): Promise<{ write(part: BlobPart): Promise<void>; close(): Promise<void> }> {
    const parts: BlobPart[] = []
    return {
      write: async (part) => void parts.push(part),
      close: () => this.files.put(this.path, new Blob(parts)),
    }
  }
}

/** A directory exists as long as it contains files. */
class DirectoryHandle {
  private readonly files: Files
  /** Path prefix: empty for the root, otherwise ending in a slash. */
  private readonly path: string

  constructor(files: Files, path: string) {
    this.files = files
    this.path = path
  }

  async getDirectoryHandle(name: string, options?: { create?: boolean }): Promise<DirectoryHandle> {
    const path = `${this.path}${name}/`
    if (!options?.create && (await this.files.below(path)).length === 0) throw notThere(path)
    return new DirectoryHandle(this.files, path)
  }

  async getFileHandle(name: string): Promise<FileHandle> {
    return new FileHandle(this.files, this.path + name)
  }

  async removeEntry(name: string): Promise<void> {
    const path = this.path + name
    const all = [...(await this.files.below(`${path}/`)), ...((await this.files.get(path)) ? [path] : [])]
    if (all.length === 0) throw notThere(path)
    await this.files.remove(all)
  }

  async *keys(): AsyncGenerator<string> {
    yield* (await this.entries()).keys()
  }

  async *values(): AsyncGenerator<FileHandle | DirectoryHandle> {
    for (const [name, isDirectory] of await this.entries())
      yield isDirectory ? this.getDirectoryHandle(name, { create: true }) : this.getFileHandle(name)
  }

  /** Entries by name: whether each is a directory. */
  private async entries(): Promise<Map<string, boolean>> {
    const paths = await this.files.below(this.path)
    return new Map(
      paths
        .map((path) => path.slice(this.path.length).split('/'))
        .map(([name = '', ...inside]) => [name, inside.length > 0]),
    )
  }
}

/** Whether the browser provides files that the engine can write. */
async function keepsFiles(): Promise<boolean> {
  try {
    await navigator.storage.getDirectory()
    return 'createWritable' in FileSystemFileHandle.prototype
  } catch {
    return false
  }
}

/** Makes sure that the engine can save somewhere; tells the page if that is not the usual place. */
export async function provideStorage(post: (reply: Reply) => void): Promise<void> {
  if (await keepsFiles()) return
  const database = await inDatabase().catch(() => null)
  post({ kind: 'storage', place: database ? 'database' : 'page' })
  const root = new DirectoryHandle(database ?? (await heldByPage(post)), '')
  Object.defineProperty(navigator, 'storage', { value: { getDirectory: async () => root } })
  // The engine distinguishes directories from files by class.
  Object.defineProperty(self, 'FileSystemDirectoryHandle', { value: DirectoryHandle })
}
