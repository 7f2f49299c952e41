// The glossary: entries of docs/glossary.md.

import source from '../../../docs/glossary.md?raw'

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

export const GLOSSARY = parse(source)
