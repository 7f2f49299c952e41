// The text to learn from and how it is cut into tokens.

import { takeFile } from '../actions'
import { byId, h, show, text } from '../dom'
import { setTokenizer } from '../form'
import { bytes, compact, count } from '../format'
import { look } from '../look'
import { chooseText } from '../source'
import { type State, type TextChoice, unlocked, watch } from '../state'

const SOURCES: [TextChoice['source'], string][] = [
  ['embedded', 'Shakespeare'],
  ['paste', 'Paste'],
  ['file', 'File'],
]

const TOKENIZERS: [string, string, number?][] = [
  ['char', 'Characters'],
  ['byte', 'Bytes'],
  ['bpe', 'BPE – pieces that occur often', 512],
  ['wordpiece', 'WordPiece – pieces of words', 1024],
]

export function textPanel(): void {
  const radios = SOURCES.map(([value, label]) => {
    const input = h('input', {
      type: 'radio',
      name: 'text-source',
      id: `source-${value}`,
      value,
      checked: value === 'embedded',
    })
    input.addEventListener('change', () => source(value))
    return h('label', { for: `source-${value}` }, input, h('span', {}, label))
  })
  const paste = h('textarea', {
    id: 'paste',
    'data-testid': 'paste',
    rows: 5,
    placeholder: 'Paste a text: the longer, the better',
    'aria-label': 'Text to learn from',
  })
  const file = h('input', {
    type: 'file',
    id: 'file',
    'data-testid': 'file',
    accept: '.txt,.md,.csv,.json,.jsonl,.tex,.html,text/*',
    'aria-label': 'Text file to learn from',
  })
  const size = h('p', { class: 'quiet size', id: 'text-size', 'data-testid': 'text-size' })
  const first = h('p', { class: 'words first', 'aria-label': 'The text’s beginning', role: 'region', tabindex: 0 })
  const sourceSet = h(
    'fieldset',
    { class: 'source', 'data-testid': 'text-source' },
    h('legend', {}, 'Text'),
    h('div', { class: 'choice' }, ...radios),
    paste,
    file,
  )

  const kind = h(
    'select',
    { id: 'tokenizer', 'data-testid': 'tokenizer' },
    ...TOKENIZERS.map(([value, label]) => h('option', { value }, label)),
  )
  const vocabulary = h('input', {
    id: 'vocab-size',
    'data-testid': 'vocab-size',
    type: 'number',
    min: 257,
    step: 1,
    inputmode: 'numeric',
  })
  const tokenizerSet = h(
    'fieldset',
    {},
    h('div', { class: 'knob wide' }, h('label', { for: 'tokenizer' }, 'Tokenizer'), kind),
    h(
      'div',
      { class: 'knob' },
      h('label', { for: 'vocab-size' }, 'Vocabulary ', h('span', { class: 'unit' }, 'tokens')),
      vocabulary,
    ),
  )
  byId('text-panel').append(sourceSet, size, first, tokenizerSet)

  const source = (value: TextChoice['source']): void => {
    chosen = value
    showSource(value)
    if (value === 'embedded') void chooseText('embedded')
    else if (value === 'paste') void chooseText('paste', '', paste.value)
    else if (file.files?.[0]) void takeFile(file.files[0])
    if (value === 'paste') paste.focus()
  }
  let chosen: TextChoice['source'] = 'embedded'
  const showSource = (value: TextChoice['source']): void => {
    show(paste, value === 'paste')
    show(file, value === 'file')
  }
  let pasting: ReturnType<typeof setTimeout>
  // A file that is dropped while the pasted text has the focus hides it, which is a change too: not one to follow.
  const pasted = (): void => {
    clearTimeout(pasting)
    if (chosen === 'paste') void chooseText('paste', '', paste.value)
  }
  paste.addEventListener('input', () => {
    clearTimeout(pasting)
    pasting = setTimeout(pasted, 200)
  })
  paste.addEventListener('change', pasted)
  file.addEventListener('change', () => file.files?.[0] && takeFile(file.files[0]))
  kind.addEventListener('change', () => {
    const size = TOKENIZERS.find(([value]) => value === kind.value)?.[2]
    setTokenizer(size ? `${kind.value}:${size}` : kind.value)
  })
  vocabulary.addEventListener('input', () => {
    const size = Number(vocabulary.value)
    if (Number.isSafeInteger(size) && size > 0) setTokenizer(`${kind.value}:${size}`)
  })

  let shown: TextChoice | null = null
  watch((state) => {
    if (state.text !== shown) {
      shown = state.text
      drawText(state, size, first)
      // A dropped file or a restored run chooses the source by itself.
      if (state.text.source !== chosen && state.text.text) {
        chosen = state.text.source
        byId<HTMLInputElement>(`source-${chosen}`).checked = true
        showSource(chosen)
      }
      if (chosen === 'paste' && paste !== document.activeElement && paste.value !== state.text.text)
        paste.value = state.text.text
    }
    const free = unlocked(state)
    tokenizerSet.disabled = !free || !state.form
    sourceSet.disabled = !free && state.run?.trainable !== false
    if (!state.form) return
    const [name = '', number] = state.form.tokenizer.split(':')
    kind.value = name
    vocabulary.disabled = !number
    const ids = number ?? (name === 'byte' ? '256' : String(state.text.text ? look(state.text.text).different : ''))
    if (vocabulary !== document.activeElement && vocabulary.value !== ids) vocabulary.value = ids
    const words = TOKENIZERS.find(([value]) => value === name)?.[1].split(' – ')[0] ?? name
    text(byId('data-summary'), `${state.text.label}, ${words.toLowerCase()}`)
  })
  showSource('embedded')
}

function drawText({ text: { text: words, label, source } }: State, size: HTMLElement, first: HTMLElement): void {
  if (!words) {
    text(size, source === 'embedded' ? 'Loading …' : 'No text yet')
    text(first, ' ')
    return
  }
  const seen = look(words)
  const whose = source === 'file' ? `${label}: ` : ''
  text(size, `${whose}${bytes(seen.bytes)}, ${compact(seen.characters)} characters, ${count(seen.different)} different`)
  text(first, `${seen.beginning} …`)
}
