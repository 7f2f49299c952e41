// A model that lies in a folder of several files, as Hugging Face's do and ours.

/** What a checkpoint is made of; anything else in its folder stays where it is. */
const PART = /\.(json|safetensors)$/i
/** A whole model in one file. */
const WHOLE = /\.gguf$/i

export const isPart = ({ name }: File): boolean => PART.test(name)

/** Whether it holds weights. */
export const isModel = ({ name }: File): boolean => WHOLE.test(name) || /\.safetensors$/i.test(name)

/** Where a file lies below the folder that was chosen. */
const place = (file: File): string => file.webkitRelativePath || file.name
const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1)
const depth = (path: string): number => path.split('/').length

export interface Folder {
  name: string
  files: File[]
}

/** The checkpoint among the files: of several the outermost, and of a run's the newest. Throws one line for people. */
export function checkpointIn(files: File[], called = 'opened'): Folder {
  const configs = files.filter(({ name }) => name === 'config.json').map(place)
  const whole = files.some((file) => isPart(file) && isModel(file))
    ? undefined
    : files.find(({ name }) => WHOLE.test(name))
  if (whole) return { name: runName(whole.name.replace(WHOLE, ''), called), files: [whole] }
  if (!configs.length)
    throw new Error(
      'These files have no config.json among them; choose a model’s folder: config.json, model.safetensors, tokenizer.json',
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
      'There are no weights beside config.json; this page reads model.safetensors or a .gguf file, not .bin',
    )
  return { name: runName(home.split('/')[0] || called, called), files: found }
}

const runName = (name: string, called: string): string =>
  name
    .replace(/[^\p{L}\p{N}._-]+/gu, '-')
    .replace(/^\.+/, '')
    .slice(0, 40) || called

/** The files of a drop, those of dropped folders included. */
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
  // It hands out its entries in portions, the last of them empty.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail))
    if (!some.length) break
    all.push(...some)
  }
  return (await Promise.all(all.map(within))).flat()
}

async function fileOf(entry: FileSystemFileEntry): Promise<File> {
  const file = await new Promise<File>((done, fail) => entry.file(done, fail))
  // Files of a drop do not know where they lay, unlike those of a folder that was chosen.
  Object.defineProperty(file, 'webkitRelativePath', { value: entry.fullPath.slice(1) })
  return file
}
