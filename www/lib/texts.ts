// Texts from files, folders and addresses, made into one.

import { SLICE, readText, turn } from '../state/look'

export interface Found {
  label: string
  text: string
}

/** What is taken from a folder. */
const READABLE = /\.(txt|md|csv|jsonl)$/i
/** Browsers' strings end not far above this. */
const MOST = 400e6

/** Each line's field `text`; a line that has none stays as it is. */
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

/** One text of all files, in the order of their names; of a folder, those that are texts. */
export async function fromFiles(all: File[]): Promise<Found> {
  const folder = all[0]?.webkitRelativePath.split('/')[0]
  const place = (file: File): string => file.webkitRelativePath || file.name
  const files = (folder ? all.filter(({ name }) => READABLE.test(name)) : all).sort((a, b) =>
    place(a).localeCompare(place(b), 'en', { numeric: true }),
  )
  const [first] = files
  if (!first) throw new Error(`${folder ?? 'The choice'} has no .txt, .md, .csv or .jsonl files`)
  if (files.reduce((sum, { size }) => sum + size, 0) > MOST)
    throw new Error('These files are larger than a tab can hold; choose less than 400 MB')
  const texts: string[] = []
  for (const file of files) texts.push(await plain(file.name, await readText(file)))
  return { label: folder || (files.length > 1 ? `${files.length} files` : first.name), text: texts.join('\n') }
}

/** The text at an address, if its server lets other pages read it. */
export async function fromAddress(address: string): Promise<Found> {
  if (!URL.canParse(address) || !/^https?:/.test(address))
    throw new Error('This is no address; it begins with https://')
  const { href, host, pathname } = new URL(address)
  const name = decodeURIComponent(pathname.split('/').at(-1) || host)
  let response: Response
  try {
    response = await fetch(href)
  } catch {
    throw new Error(
      `${host} is out of reach, or does not let other pages read it (CORS); download the file and choose it here`,
    )
  }
  if (!response.ok) throw new Error(`${host} answered ${response.status} for ${name}; check the address`)
  const file = new File([await response.arrayBuffer()], name)
  return { label: name, text: (await fromFiles([file])).text }
}
