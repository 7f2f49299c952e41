// Storage where the browser gives none, as in private windows: what the engine asks of the origin-private file system, in memory.

class MemoryFile {
  private content = new Blob()

  async getFile(): Promise<Blob> {
    return this.content
  }

  /** What is written takes the file's place when the stream is closed. */
  async createWritable(): Promise<{ write(part: BlobPart): Promise<void>; close(): Promise<void> }> {
    const parts: BlobPart[] = []
    return {
      write: async (part) => void parts.push(part),
      close: async () => void (this.content = new Blob(parts)),
    }
  }
}

class MemoryDirectory {
  private readonly entries = new Map<string, MemoryFile | MemoryDirectory>()

  getDirectoryHandle(name: string, options?: { create?: boolean }): Promise<MemoryDirectory> {
    return this.entry(name, MemoryDirectory, options?.create)
  }

  getFileHandle(name: string, options?: { create?: boolean }): Promise<MemoryFile> {
    return this.entry(name, MemoryFile, options?.create)
  }

  async removeEntry(name: string): Promise<void> {
    if (!this.entries.delete(name)) throw notThere(name)
  }

  async *keys(): AsyncGenerator<string> {
    yield* this.entries.keys()
  }

  async *values(): AsyncGenerator<MemoryFile | MemoryDirectory> {
    yield* this.entries.values()
  }

  private async entry<Kind extends MemoryFile | MemoryDirectory>(name: string, Kind: new () => Kind, create = false): Promise<Kind> {
    const found = this.entries.get(name)
    if (found instanceof Kind) return found
    if (found || !create) throw notThere(name)
    const made = new Kind()
    this.entries.set(name, made)
    return made
  }
}

const notThere = (name: string): DOMException => new DOMException(`${name} is not there`, 'NotFoundError')

/** Whether the browser keeps files for this page, in the way the engine writes them. */
async function keepsFiles(): Promise<boolean> {
  try {
    await navigator.storage.getDirectory()
    return 'createWritable' in FileSystemFileHandle.prototype
  } catch {
    return false
  }
}

/** Gives the engine something to save to in any case; says whether it outlives this worker. */
export async function provideStorage(): Promise<boolean> {
  if (await keepsFiles()) return true
  const root = new MemoryDirectory()
  Object.defineProperty(navigator, 'storage', { value: { getDirectory: async () => root } })
  // By which the engine tells directories from files.
  Object.defineProperty(self, 'FileSystemDirectoryHandle', { value: MemoryDirectory })
  return false
}
