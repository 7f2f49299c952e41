// The glossary: entries of docs/glossary.md, which is served beside the page.

import url from '../../../docs/glossary.md?url'

export interface Entry {
  term: string
  definition: string
}

/** Parses paragraphs of the form `**Term**: definition`; other paragraphs are skipped. */
export const parse = (markdown: string): Entry[] =>
  [...markdown.matchAll(/^\*\*(.+?)\*\*: (.+)$/gm)].map(([, term = '', definition = '']) => ({
    term,
    definition: definition.replaceAll('*', ''),
  }))

export async function glossary(): Promise<Entry[]> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: ${response.status}`)
  return parse(await response.text())
}
