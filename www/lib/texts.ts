// Reads training text from files, folders and URLs.

import { SLICE, readText, turn } from '../state/look'

export interface Found {
  label: string
  text: string
}

/** Files read from a folder. */
const READABLE = /\.(txt|md|csv|jsonl)$/i
/** Maximum total size in bytes; browsers limit strings to slightly more. */
const MOST = 400e6

/** Joins the `text` fields of JSON lines; a line without one is kept as it is. */
async function jsonLines(name: string, content: string): Promise<string> {
  const lines = content.split('\n')
  const texts: string[] = []
  let since = 0
  for (const [i, line] of lines.entries()) {
    if (line.trim() === '') continue
    try {
      const value: unknown = JSON.parse(line)
      const text = typeof value === 'object' && value !== null && 'text' in value ? value.text : undefined
      texts.push(typeof text === 'string' ? text : line)
    } catch {
      throw new Error(`Line ${i + 1} of ${name} is not JSON`)
    }
    since += line.length
    if (since > SLICE) {
      since = 0
      await turn()
    }
  }
  return texts.join('\n')
}

const plain = (name: string, content: string): string | Promise<string> =>
  /\.jsonl$/i.test(name) ? jsonLines(name, content) : content

/** Joins files in the order of their names. In a folder, only text files are read. */
export async function fromFiles(all: File[]): Promise<Found> {
  const folder = all[0]?.webkitRelativePath.split('/')[0]
  const place = (file: File): string => file.webkitRelativePath || file.name
  const files = (folder ? all.filter(({ name }) => READABLE.test(name)) : all).sort((a, b) =>
    place(a).localeCompare(place(b), 'en', { numeric: true }),
  )
  const [first] = files
  if (!first) throw new Error(`${folder ?? 'The selection'} has no .txt, .md, .csv or .jsonl files`)
  if (files.reduce((sum, { size }) => sum + size, 0) > MOST)
    throw new Error('These files are too large for a browser tab. Choose less than 400 MB in total.')
  const texts: string[] = []
  for (const file of files) texts.push(await plain(file.name, await readText(file)))
  return { label: folder || (files.length > 1 ? `${files.length} files` : first.name), text: texts.join('\n') }
}

/** Downloads a text. The server must allow other pages to read it (CORS). */
export async function fromAddress(address: string): Promise<Found> {
  if (!URL.canParse(address) || !/^https?:/.test(address))
    throw new Error('This is not a valid URL. It must start with https://')
  const { href, host, pathname } = new URL(address)
  const name = decodeURIComponent(pathname.split('/').at(-1) || host)
  let response: Response
  try {
    response = await fetch(href)
  } catch {
    throw new Error(
      `${host} cannot be reached, or does not allow other pages to read the file (CORS). Download the file and choose it here.`,
    )
  }
  if (!response.ok) throw new Error(`${host} returned status ${response.status} for ${name}. Check the URL.`)
  const file = new File([await response.arrayBuffer()], name)
  return { label: name, text: (await fromFiles([file])).text }
}
