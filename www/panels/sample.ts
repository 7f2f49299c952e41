// The box where the model writes on request.

import { cancel, generate } from '../actions'
import { type Control, control } from '../control'
import { byId, fill, h, text } from '../dom'
import { plural, rate } from '../format'
import { sampleKnobs } from '../knobs'
import { look } from '../look'
import { get, set, watch } from '../state'
import type { SampleConfig } from '../types'

/** A beginning that the text's own tokenizer surely knows: its first words. */
const beginning = (words: string): string =>
  look(words).beginning.split('\n')[0]?.split(' ').slice(0, 4).join(' ').slice(0, 40) ?? ''

export function samplePanel(): void {
  const prompt = byId<HTMLTextAreaElement>('prompt')
  const output = byId('output')
  let touched = false
  prompt.addEventListener('input', () => {
    touched = true
    set({ prompt: prompt.value })
  })
  prompt.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) byId<HTMLFormElement>('sample-form').requestSubmit()
  })
  byId('sample-form').addEventListener('submit', (event) => {
    event.preventDefault()
    if (!byId<HTMLButtonElement>('generate').disabled) generate()
  })
  byId('cancel').addEventListener('click', cancel)

  const controls = sampleKnobs.map((knob): [typeof knob, Control] => {
    const id = knob.name === 'seed' ? 'knob-sample_seed' : `knob-${knob.name}`
    return [knob, control(knob, id, (value) => change(knob.name, value))]
  })
  const stop = h('textarea', {
    id: 'knob-stop',
    'data-testid': 'knob-stop',
    rows: 2,
    'aria-describedby': 'knob-stop-tip',
    placeholder: 'none',
  })
  stop.addEventListener('input', () => change('stop', stop.value.split('\n').filter(Boolean)))
  const stopRow = h(
    'div',
    { class: 'knob wide', 'data-tip': true },
    h('label', { for: 'knob-stop' }, 'Stop at'),
    stop,
    h(
      'p',
      { id: 'knob-stop-tip', class: 'tip', role: 'tooltip' },
      'Stops as soon as one of these was written; one per line.',
    ),
  )
  const rows = (basic: boolean): HTMLElement[] =>
    controls.filter(([knob]) => (knob.basic ?? false) === basic).map(([, { row }]) => row)
  byId('sample-knobs').append(
    h('div', { class: 'rows' }, ...rows(true)),
    h(
      'details',
      { class: 'more' },
      h('summary', {}, 'More settings'),
      h('div', { class: 'rows' }, ...rows(false), stopRow),
    ),
  )

  let base: SampleConfig | null = null
  let shownText = ''
  const written = h('span', {})
  const given = h('span', { class: 'given' })
  watch((state) => {
    const { sample, generation, run, phase } = state
    if (sample && !base) base = sample
    if (!touched && state.text.text !== shownText) {
      shownText = state.text.text
      set({ prompt: beginning(shownText) })
    }
    fill(prompt, state.prompt)
    if (sample) {
      for (const [knob, one] of controls) {
        one.draw(sample[knob.name as keyof SampleConfig], base?.[knob.name as keyof SampleConfig], true)
      }
    }
    const running = generation?.running ?? false
    byId<HTMLButtonElement>('generate').disabled =
      !run || running || phase === 'broken' || phase === 'preparing' || phase === 'starting'
    byId<HTMLButtonElement>('cancel').disabled = !running
    text(
      byId('sample-state'),
      generation?.tokens
        ? `${plural(generation.tokens, 'token')}, ${rate(generation.tokensPerSecond)} per second`
        : running
          ? 'Writing …'
          : '',
    )
    if (!generation)
      text(
        output,
        run ? 'Press Write, and the model goes on from the beginning above.' : 'Train a model first, or open one.',
      )
    output.classList.toggle('quiet', !generation)
    if (generation) {
      if (!written.isConnected) output.replaceChildren(given, written)
      const atEnd = output.scrollTop + output.clientHeight >= output.scrollHeight - 4
      text(given, generation.prompt)
      text(written, generation.text)
      output.setAttribute('aria-busy', String(running))
      if (atEnd) output.scrollTop = output.scrollHeight
    }
  })
}

function change(name: string, value: unknown): void {
  const { sample } = get()
  if (sample) set({ sample: { ...sample, [name]: value } })
}
