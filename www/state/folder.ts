// Finds a model in a folder of files, as Hugging Face and this page store it.

/** Files of a checkpoint; others, such as the ._ files of macOS, are ignored. */
const PART = /(?<!^\._.*)\.(jinja|json|safetensors|txt)$/i
/** A model in a single file. */
const WHOLE = /(?<!^\._.*)\.gguf$/i

export const isPart = ({ name }: File): boolean => PART.test(name)

/** Whether the file holds weights. */
export const isModel = ({ name }: File): boolean => WHOLE.test(name) || /\.safetensors$/i.test(name)

/** Path of a file below the chosen folder. */
const place = (file: File): string => file.webkitRelativePath || file.name
const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1)
const depth = (path: string): number => path.split('/').length

export interface Folder {
  name: string
  files: File[]
}

/** Finds the checkpoint among files: the outermost one, and the newest one of a run. Throws an error with a one-line message for the user. */
export function checkpointIn(files: File[], called = 'opened'): Folder {
  const configs = files.filter(({ name }) => name === 'config.json').map(place)
  const whole = files.some((file) => isPart(file) && isModel(file))
    ? undefined
    : files.find(({ name }) => WHOLE.test(name))
  if (whole) return { name: runName(whole.name.replace(WHOLE, ''), called), files: [whole] }
  if (!configs.length)
    throw new Error(
      'There is no config.json among these files. Choose the folder of a model, with config.json, model.safetensors and tokenizer.json.',
    )
  const least = Math.min(...configs.map(depth))
  const home = folderOf(
    configs
      .filter((path) => depth(path) === least)
      .sort()
      .at(-1) ?? '',
  )
  const found = files.filter((file) => isPart(file) && folderOf(place(file)) === home)
  if (!found.some(isModel))
    throw new Error(
      'There are no weights next to config.json. This page reads .safetensors and .gguf files, not .bin files.',
    )
  return { name: runName(home.split('/')[0] || called, called), files: found }
}

const runName = (name: string, called: string): string =>
  name
    .replace(/[^\p{L}\p{N}._-]+/gu, '-')
    .replace(/^\.+/, '')
    .slice(0, 40) || called

/** The dropped files, including those in dropped folders. */
export async function dropped(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry())
  const plain = [...transfer.files]
  if (!entries.some((entry) => entry?.isDirectory)) return plain
  return (await Promise.all(entries.map((entry) => (entry ? within(entry) : [])))).flat()
}

async function within(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) return [await fileOf(entry as FileSystemFileEntry)]
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const all: FileSystemEntry[] = []
  // readEntries returns entries in batches; an empty batch ends them.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail))
    if (!some.length) break
    all.push(...some)
  }
  return (await Promise.all(all.map(within))).flat()
}

async function fileOf(entry: FileSystemFileEntry): Promise<File> {
  const file = await new Promise<File>((done, fail) => entry.file(done, fail))
  // Dropped files lack the path that files of a chosen folder have.
  Object.defineProperty(file, 'webkitRelativePath', { value: entry.fullPath.slice(1) })
  return file
}
