// The run at hand: what it will cost, the buttons that steer it, how far it is.

import { pause, resume, step, stop, train } from '../actions'
import { byId, show, text } from '../dom'
import { bytes, compact, count, duration, loss, plural, rate } from '../format'
import { look } from '../look'
import { recall } from '../rate'
import { restore } from '../session'
import { type State, busy, finished, unlocked, unsaved, vocabSize, watch } from '../state'

/** How many steps a finished run goes on by. */
const MORE = 100

export function runPanel(): void {
  const button = (id: string): HTMLButtonElement => byId<HTMLButtonElement>(id)
  button('train').addEventListener('click', () => train())
  button('pause').addEventListener('click', pause)
  button('resume').addEventListener('click', (event) =>
    resume((event.currentTarget as HTMLElement).hasAttribute('data-more') ? MORE : undefined),
  )
  button('step').addEventListener('click', step)
  button('stop').addEventListener('click', stop)
  button('continue').addEventListener('click', (event) =>
    restore((event.currentTarget as HTMLElement).dataset['run'] ?? '', true),
  )
  addEventListener('beforeunload', (event) => unsavedNow && event.preventDefault())

  let unsavedNow = false
  watch((state) => {
    unsavedNow = unsaved(state)
    const focused = document.activeElement
    plan(state)
    costs(state)
    buttons(state, button)
    progress(state)
    // The main button changes its face: the keyboard stays on it.
    if (focused instanceof HTMLElement && focused.hidden) {
      ;[button('pause'), button('resume'), button('train')].find((other) => !other.hidden)?.focus()
    }
  })
}

function plan(state: State): void {
  const {
    form,
    text: { label },
  } = state
  if (!form || !label) return
  const kind = form.tokenizer.split(':')[0]
  const by = kind === 'char' ? 'character by character' : kind === 'byte' ? 'byte by byte' : 'piece by piece'
  text(byId('plan'), `${form.name} reads ${label} ${by}, ${plural(form.train.steps, 'step')}, from a blank slate.`)
}

function costs(state: State): void {
  const { estimate, form, device } = state
  const memory = byId('memory')
  text(byId('parameters'), estimate ? compact(estimate.parameters) : '–')
  text(memory, estimate ? `about ${bytes(estimate.state_bytes + estimate.activation_bytes)}` : '–')
  if (estimate) {
    memory.title = `${bytes(estimate.weight_bytes)} weights, ${bytes(estimate.state_bytes - estimate.weight_bytes)} gradients and optimizer, ${bytes(estimate.activation_bytes)} activations`
  }
  if (!form || !device) return
  const { train, data } = form
  const tokens = train.steps * train.batch_size * train.grad_accum * data.seq_len
  const speed = recall(device, form, vocabSize(form.tokenizer, look(state.text.text).different))
  text(byId('time-estimate'), speed ? `about ${duration(tokens / speed)}` : 'measured after the first steps')
}

function buttons(state: State, button: (id: string) => HTMLButtonElement): void {
  const { phase, run, form, problem, runs } = state
  const moving = phase === 'training' || phase === 'pausing'
  const free = unlocked(state)
  const over = finished(state)
  show(button('train'), !moving && (free || phase === 'preparing' || phase === 'broken'))
  button('train').disabled = !free || phase === 'starting' || !form || problem !== null
  text(button('train'), run ? 'Train a new one' : 'Train')
  show(button('pause'), moving)
  button('pause').disabled = phase === 'pausing'
  const resumable = phase === 'ready' && run !== null
  show(button('resume'), resumable)
  button('resume').classList.toggle('primary', !free)
  button('resume').toggleAttribute('data-more', over)
  text(button('resume'), over ? `${MORE} steps more` : 'Resume')
  button('step').disabled = !(phase === 'ready' || phase === 'idle') || (!run && problem !== null) || !form
  button('stop').disabled = !(phase === 'training' || (phase === 'ready' && !free))
  text(byId('problem'), free && form && problem ? problem : '')

  const offer = runs[0]
  show(button('continue'), phase === 'idle' && !run && offer !== undefined)
  if (offer) {
    text(button('continue'), `Continue ${offer.name} at step ${count(offer.step)}`)
    button('continue').dataset['run'] = offer.name
  }
}

function progress(state: State): void {
  const { phase, run, last, until, stepsNow } = state
  const bar = byId<HTMLProgressElement>('progress')
  const total = Math.max(run?.config.train.steps ?? 0, busy(state) ? until : 0, state.step)
  const waiting = state.progress
  if (waiting && waiting.total === 0) bar.removeAttribute('value')
  else bar.value = waiting ? waiting.done / waiting.total : total ? state.step / total : 0
  text(byId('step-count'), run ? `Step ${count(state.step)} of ${count(total)}` : 'No steps yet')
  text(byId('stage'), stage(state))
  text(byId('tokens-per-second'), last ? rate(last.tokens_per_second) : '–')
  const moving = phase === 'training' && last && stepsNow > 1
  const single = until < (run?.config.train.steps ?? 0)
  text(byId('time-left'), moving && !single ? duration(last.seconds_left) : '–')
  text(byId('train-loss'), loss(last?.loss ?? state.curve.train.at(-1)))
  text(byId('val-loss'), loss(state.validation?.loss ?? state.curve.val.findLast((value) => value !== null)))
  document.title = busy(state) && run ? `${count(state.step)}/${count(total)} · blankslate` : 'blankslate'
}

function stage(state: State): string {
  const { phase, progress: work, run, stepsNow } = state
  if (work) return work.total ? `${work.stage}: ${Math.floor((100 * work.done) / work.total)} %` : `${work.stage} …`
  if (phase === 'starting') return 'Loading the engine …'
  if (phase === 'training' && stepsNow === 0)
    return 'The first step takes longer: the device is compiling its programs.'
  if (phase === 'pausing') return 'Finishing this step and saving …'
  if (phase === 'ready' && finished(state)) return 'Done'
  if (phase === 'ready' && run && !run.trainable) return 'Choose a text under Data, then resume'
  return phase === 'ready' && run ? (state.stopped ? 'Stopped' : 'Paused') : ''
}
