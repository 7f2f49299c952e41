// Reads training text from files, folders and URLs.

import { readText } from '../state/look'
import type { FoundText } from '../types'

export interface Found {
  label: string
  text: string
}

/** Has the engine read the contents of files. */
export type TextOf = (files: [name: string, content: string][]) => Promise<FoundText>

/** Files read from a folder. */
const READABLE = /\.(txt|md|csv|jsonl?|jsonlines|ndjson)$/i
const JSON_FILE = /\.(jsonl?|jsonlines|ndjson)$/i
/** Maximum total size in bytes; browsers limit strings to slightly more. */
const MOST = 400e6

/** Joins files in the order of their names. In a folder, only text files are read. */
export async function fromFiles(all: File[], textOf: TextOf): Promise<Found> {
  const folder = all[0]?.webkitRelativePath.split('/')[0]
  const place = (file: File): string => file.webkitRelativePath || file.name
  const files = (folder ? all.filter(({ name }) => READABLE.test(name)) : all).sort((a, b) =>
    place(a).localeCompare(place(b), 'en', { numeric: true }),
  )
  const [first] = files
  if (!first) throw new Error(`${folder ?? 'The selection'} has no .txt, .md, .csv or .json files`)
  if (files.reduce((sum, { size }) => sum + size, 0) > MOST)
    throw new Error('These files are too large for a browser tab. Choose less than 400 MB in total.')
  const contents: [string, string][] = []
  for (const file of files) contents.push([file.name, await readText(file)])
  const label = folder || (files.length > 1 ? `${files.length} files` : first.name)
  // Only JSON is worth the way to the engine and back.
  if (!files.some(({ name }) => JSON_FILE.test(name)))
    return { label, text: contents.map(([, content]) => content).join('\n') }
  const { text, records } = await textOf(contents)
  return { label: records ? `${label}: ${records}` : label, text }
}

/** Downloads a text. The server must allow other pages to read it (CORS). */
export async function fromAddress(address: string, textOf: TextOf): Promise<Found> {
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
  return fromFiles([file], textOf)
}
