// Runs kept in this browser: save, restore, delete, download, open.

import { exportZip, open, remove, save } from '../actions'
import { byId, h, text } from '../dom'
import { ago, count, plural } from '../format'
import { restore } from '../session'
import { type State, busy, unsaved, watch } from '../state'
import type { RunSummary } from '../types'

export function runsPanel(): void {
  const list = byId('runs')
  const picker = byId<HTMLInputElement>('open')
  byId('save').addEventListener('click', save)
  byId('download').addEventListener('click', exportZip)
  picker.addEventListener('change', () => {
    const file = picker.files?.[0]
    if (file) void open(file)
    picker.value = ''
  })

  let drawn = ''
  watch((state) => {
    const idle = state.phase === 'idle' || state.phase === 'ready'
    byId<HTMLButtonElement>('save').disabled = !(state.phase === 'ready' && state.run !== null)
    byId<HTMLButtonElement>('download').disabled = !(state.phase === 'ready' && state.run !== null)
    picker.disabled = !idle
    text(byId('saved'), savedWords(state))
    const now = JSON.stringify([state.runs, state.run?.config.name, idle, busy(state)])
    if (now === drawn) return
    drawn = now
    list.replaceChildren(...state.runs.map((run) => entry(run, state, idle)))
    if (!state.runs.length) list.append(h('li', { class: 'quiet' }, 'None yet. Runs are saved here while they train.'))
  })
}

function savedWords(state: State): string {
  const { run, savedStep } = state
  if (!run) return ''
  if (savedStep === null) return 'Not saved yet'
  return unsaved(state)
    ? `Saved at step ${count(savedStep)}; newer steps are not saved yet`
    : `Saved at step ${count(savedStep)}`
}

function entry(run: RunSummary, state: State, idle: boolean): HTMLElement {
  const here = state.run?.config.name === run.name
  const back = h(
    'button',
    { type: 'button', 'data-testid': `restore-${run.name}`, disabled: !idle, 'aria-label': `Restore ${run.name}` },
    'Restore',
  )
  back.addEventListener('click', () => restore(run.name))
  const gone = h(
    'button',
    {
      type: 'button',
      class: 'plain',
      'data-testid': `delete-${run.name}`,
      disabled: !idle || here,
      'aria-label': `Delete ${run.name}`,
    },
    'Delete',
  )
  // Asked twice, in place.
  gone.addEventListener('click', () => {
    if (gone.dataset['sure']) return remove(run.name)
    gone.dataset['sure'] = 'yes'
    gone.textContent = 'Really delete?'
    gone.setAttribute('aria-label', `Really delete ${run.name}?`)
    gone.addEventListener(
      'blur',
      () => {
        delete gone.dataset['sure']
        gone.textContent = 'Delete'
        gone.setAttribute('aria-label', `Delete ${run.name}`)
      },
      { once: true },
    )
  })
  return h(
    'li',
    here ? { 'aria-current': 'true' } : {},
    h('span', { class: 'name' }, run.name),
    h('span', { class: 'quiet' }, `${plural(run.step, 'step')}, ${ago(run.saved_at)}${here ? ', at hand' : ''}`),
    back,
    gone,
  )
}
