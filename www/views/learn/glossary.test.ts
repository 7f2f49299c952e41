import { expect, test } from 'vitest'
import source from '../../../docs/glossary.md?raw'
import { parse } from './glossary'

const GLOSSARY = parse(source)

test('every entry of docs/glossary.md is shown, in alphabetical order and once', () => {
  const paragraphs = source.split('\n\n').filter((paragraph) => paragraph.startsWith('**'))
  expect(GLOSSARY).toHaveLength(paragraphs.length)
  expect(GLOSSARY.length).toBeGreaterThan(50)
  const terms = GLOSSARY.map(({ term }) => term.toLowerCase())
  expect(terms).toEqual([...new Set(terms)].sort())
})

test('every definition is one or more whole sentences, and every reference exists', () => {
  for (const { term, definition } of GLOSSARY) expect(definition, term).toMatch(/^[^a-z].*\.$/)
  const terms = GLOSSARY.map(({ term }) => term)
  for (const [, reference] of source.matchAll(/See \*(.+?)\*/g)) expect(terms).toContain(reference)
})

test('the markup is removed, and other paragraphs are skipped', () => {
  expect(parse('# Title\n\nIntro.\n\n**A**: One. See *B*.\n\n**B, C**: Two: three.\n')).toEqual([
    { term: 'A', definition: 'One. See B.' },
    { term: 'B, C', definition: 'Two: three.' },
  ])
})
