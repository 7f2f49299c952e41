// Presets and knobs: the form that defines the next run, or shows the one at hand.

import { assess } from '../actions'
import { type Control, control } from '../control'
import { byId, h, text } from '../dom'
import { choosePreset, knobValue, setKnob, setName } from '../form'
import { compact, count, plural } from '../format'
import { type Knob, dataKnobs, modelKnobs, trainKnobs } from '../knobs'
import { type State, unlocked, watch } from '../state'
import type { RunConfig } from '../types'
import type { PresetInfo } from '../wire'

/** A fieldset of knobs: the basic ones, then the others behind “More settings”. */
function knobs(list: Knob[], ...before: HTMLElement[]): { fieldset: HTMLFieldSetElement; controls: [Knob, Control][] } {
  const controls = list.map((knob): [Knob, Control] => [
    knob,
    control(knob, `knob-${knob.name}`, (value) => setKnob(knob, value)),
  ])
  const rows = (basic: boolean): HTMLElement[] =>
    controls.filter(([knob]) => (knob.basic ?? false) === basic).map(([, { row }]) => row)
  const more = h('details', { class: 'more' }, h('summary', {}, 'More settings'), ...rows(false))
  return { fieldset: h('fieldset', {}, ...before, ...rows(true), more), controls }
}

/** Weights, gradients and moments above this do not fit most browsers' tabs. */
const TAB_WIDTH = 512

function options(presets: PresetInfo[]): HTMLElement[] {
  const option = ({ name, model }: PresetInfo): HTMLElement =>
    h('option', { value: name }, `${name}: ${plural(model.num_hidden_layers, 'layer')} × ${model.hidden_size}`)
  const small = presets.filter(({ model }) => model.hidden_size < TAB_WIDTH)
  const large = presets.filter(({ model }) => model.hidden_size >= TAB_WIDTH)
  return [
    h('option', { value: '', hidden: true }, 'as in the run'),
    h('optgroup', { label: 'For a tab' }, ...small.map(option)),
    h('optgroup', { label: 'For large graphics cards' }, ...large.map(option)),
  ]
}

export function settings(): void {
  const preset = h('select', { id: 'preset', 'data-testid': 'preset' })
  preset.addEventListener('change', () => choosePreset(preset.value))
  const presetRow = h('div', { class: 'knob wide' }, h('label', { for: 'preset' }, 'Preset'), preset)
  const described = h('p', { class: 'quiet described' })
  const name = h('input', {
    id: 'run-name',
    'data-testid': 'run-name',
    type: 'text',
    autocomplete: 'off',
    spellcheck: 'false',
    maxlength: 60,
  })
  name.addEventListener('change', () => setName(name.value))
  const nameRow = h('div', { class: 'knob wide' }, h('label', { for: 'run-name' }, 'Run’s name'), name)

  const data = knobs(dataKnobs)
  const model = knobs(modelKnobs, presetRow, described)
  const train = knobs(trainKnobs, nameRow)
  byId('data-knobs').append(data.fieldset)
  byId('model-knobs').append(model.fieldset)
  byId('train-knobs').append(train.fieldset)
  const groups = [data, model, train]
  if (matchMedia('(max-width: 60rem)').matches) {
    for (const group of document.querySelectorAll<HTMLDetailsElement>('.settings > .group')) group.open = false
  }

  let presets: PresetInfo[] = []
  let drawn: RunConfig | null = null
  let assessed: unknown[] = []
  watch((state) => {
    if (state.presets !== presets) {
      presets = state.presets
      preset.replaceChildren(...options(presets))
    }
    preset.value = state.preset
    text(described, state.presets.find(({ name }) => name === state.preset)?.description ?? '')
    const free = unlocked(state)
    for (const { fieldset } of groups) fieldset.disabled = !free || !state.form
    text(byId('lock'), free ? 'Change what you like, or just train.' : 'Fixed during the run. Stop it to change them.')
    byId('lock').classList.toggle('on', !free)
    if (!state.form) return
    if (drawn !== state.form) {
      drawn = state.form
      if (name !== document.activeElement) name.value = state.form.name
      for (const [knob, one] of groups.flatMap(({ controls }) => controls)) {
        const base = state.base && knobValue(state.base, knob)
        one.draw(knobValue(state.form, knob), base, knob.applies?.(state.form) ?? true)
      }
      summaries(state, state.form)
    }
    // What the form costs is asked again whenever it or the text changed.
    if (free && (assessed[0] !== state.form || assessed[1] !== state.text)) {
      assessed = [state.form, state.text]
      void assess()
    }
  })
}

function summaries({ preset }: State, { model, train }: RunConfig): void {
  const shape = `${plural(model.num_hidden_layers, 'layer')} × ${count(model.hidden_size)}`
  text(byId('model-summary'), preset ? `${preset}, ${shape}` : shape)
  text(byId('train-summary'), `${compact(train.steps)} steps, batch ${train.batch_size}`)
}
