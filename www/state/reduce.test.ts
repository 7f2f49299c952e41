import { beforeEach, describe, expect, test } from 'vitest'
import { DEVICE, PRESET, drawn, runConfig, runInfo, stepReport, stored } from '../testing/fixtures'
import type { Event } from '../types'
import { setName } from './form'
import { reduce } from './reduce'
import {
  type Generation,
  type State,
  askable,
  ended,
  get,
  noChat,
  noneGiven,
  planned,
  set,
  unlocked,
  unsaved,
} from './state.svelte'

const INITIAL: State = { ...get() }

type Text = Extract<Event, { type: 'text' }>

const step = (at: number, change = {}): void => reduce({ type: 'step', report: stepReport(at, change) })

const generation = (id: number, change: Partial<Generation> = {}): Generation => ({
  id,
  running: true,
  prompt: '',
  given: [],
  config: {} as Generation['config'],
  spans: [],
  waiting: [],
  text: '',
  tokens: 0,
  tokensPerSecond: 0,
  dropped: 0,
  reused: 0,
  draftStats: null,
  ...change,
})

const text = (id: number, change: Partial<Text> = {}): void =>
  reduce({
    type: 'text',
    id,
    text: '',
    tokens: 1,
    tokens_per_second: 10,
    prompt: [],
    drawn: [],
    dropped: 0,
    reused: 0,
    draft_stats: null,
    done: false,
    ...change,
  })

beforeEach(() => {
  localStorage.clear()
  set({ ...INITIAL, rates: [], curve: { steps: [], train: [], val: [], norm: [], lr: [] } })
})

/** A run that is loaded, on a device. */
function load(name = 'tiny-1', at = 0): void {
  reduce({ type: 'ready', device: DEVICE, runs: [] })
  reduce({ type: 'loaded', info: runInfo(name, at) })
}

describe('loading a model', () => {
  test('shows its configuration in the form and forgets the model before', () => {
    load('one')
    step(1)
    reduce({ type: 'loaded', info: runInfo('two', 7) })
    expect(get()).toMatchObject({ phase: 'ready', step: 7, until: 500, last: null, notice: null })
    expect(get().form).toEqual(runConfig('two'))
    expect(get().curve.steps).toEqual([])
  })

  test('a form is a copy: the loaded run keeps its own configuration', () => {
    load()
    expect(get().form).not.toBe(get().run?.config)
    expect(get().form).not.toBe(get().base)
  })

  test('says that a chat was cleared', () => {
    load('one')
    set({ chat: { said: [{ role: 'user', content: 'Hello' }], answer: null } })
    reduce({ type: 'loaded', info: runInfo('two') })
    expect(get().notice).toBe('Chat cleared: you switched models.')
    expect(get().chat).toEqual(noChat())
  })

  test('prefers what the engine has to say', () => {
    load('one')
    set({ chat: { said: [{ role: 'user', content: 'Hello' }], answer: null } })
    reduce({ type: 'loaded', info: runInfo('two', 0, { notice: 'Widened to 32 bits.' }) })
    expect(get().notice).toBe('Widened to 32 bits.')
  })

  test('the same run with its text keeps the curve and the goal', () => {
    reduce({ type: 'loaded', info: runInfo('one', 5, { trainable: false }) })
    set({ until: 900, curve: { steps: [5], train: [3], val: [null], norm: [1], lr: [1] } })
    reduce({ type: 'loaded', info: runInfo('one', 5) })
    expect(get().curve.steps).toEqual([5])
    expect(get().until).toBe(900)
  })

  test('a preset stays chosen only for a run that has not begun', () => {
    set({ presets: [PRESET], preset: 'tiny', form: runConfig('tiny-1'), given: { ...noneGiven(), train: { lr: 1 } } })
    load('tiny-1', 0)
    expect(get().preset).toBe('tiny')
    expect(get().given.train).toEqual({ lr: 1 })
    reduce({ type: 'loaded', info: runInfo('tiny-2', 3) })
    expect(get().preset).toBe('')
    expect(get().given).toEqual(noneGiven())
    expect(get().base).toEqual(runConfig('tiny-2'))
  })

  test('a run that was not made from the form replaces its preset, even before the first step', () => {
    set({ presets: [PRESET], preset: 'tiny', form: runConfig('tiny-1') })
    load('tiny-1-tuned-1', 0)
    expect(get().preset).toBe('')
  })

  test('takes the saved step from the list of runs', () => {
    reduce({ type: 'ready', device: DEVICE, runs: [stored('one', 40)] })
    reduce({ type: 'loaded', info: runInfo('one', 40) })
    expect(get().savedStep).toBe(40)
  })

  test('brings its curve and samples if its files have them', () => {
    load()
    const curve = { steps: [1], train: [4], val: [null], norm: [null], lr: [0.1], metrics: {} }
    reduce({ type: 'history', history: { curve, samples: [{ step: 0, text: 'a' }] } })
    expect(get().curve).toEqual({ ...curve, norm: [NaN] })
    expect(get().live).toEqual([{ step: 0, text: 'a' }])
  })

  test('is unsaved once it is loaded from a file, and again after later steps', () => {
    reduce({ type: 'ready', device: DEVICE, runs: [stored('one', 40)] })
    reduce({ type: 'loaded', info: runInfo('opened', 0) })
    expect(unsaved(get())).toBe(true)
    reduce({ type: 'loaded', info: runInfo('one', 40) })
    expect(unsaved(get())).toBe(false)
    step(41)
    expect(unsaved(get())).toBe(true)
  })

  test('a model that is gone leaves none', () => {
    load()
    step(1)
    reduce({ type: 'gone' })
    expect(get()).toMatchObject({ phase: 'idle', run: null, step: 0, last: null })
  })
})

describe('training', () => {
  test('steps move the count, the curve and the phase', () => {
    load()
    set({ progress: { stage: 'Compiling', done: 1, total: 2 } })
    reduce({ type: 'training', running: true, step: 0 })
    step(1, { loss: 4.5 })
    expect(get()).toMatchObject({ phase: 'training', step: 1, stepsNow: 1, progress: null })
    expect(get().curve.train).toEqual([4.5])
  })

  test('the curve is replaced, so that charts notice', () => {
    load()
    const before = get().curve
    step(1)
    expect(get().curve).not.toBe(before)
  })

  test('a step under way does not end a pause', () => {
    load()
    set({ phase: 'pausing' })
    step(1)
    expect(get().phase).toBe('pausing')
    reduce({ type: 'training', running: false, step: 1 })
    expect(get().phase).toBe('ready')
  })

  test('steps made again replace the old ones', () => {
    load()
    for (const at of [1, 2, 3]) step(at)
    step(2, { loss: 9 })
    expect(get().curve.steps).toEqual([1, 2])
    expect(get().curve.train[1]).toBe(9)
  })

  test('a skipped step has no gradient norm', () => {
    load()
    step(1, { grad_norm: null })
    expect(get().curve.norm).toEqual([NaN])
  })

  test('speed is remembered once the kernels are compiled, and only if it was measured', () => {
    load()
    for (const at of [1, 2, 3]) step(at)
    expect(get().rates).toEqual([])
    step(4, { tokens_per_second: 0 })
    expect(get().rates).toEqual([])
    reduce({ type: 'training', running: true, step: 4 })
    for (const at of [5, 6, 7, 8]) step(at, { tokens_per_second: 123 })
    expect(get().rates.map(([, speed]) => speed)).toEqual([123])
  })

  test('how busy the GPU was stays until it is measured again', () => {
    load()
    step(1, { busy: 0.5 })
    step(2)
    expect(get().busy).toEqual({ step: 1, share: 0.5 })
  })

  test('validation belongs to its step; one that the curve does not have adds nothing', () => {
    load()
    step(1)
    reduce({ type: 'evaluated', step: 1, loss: 2, metrics: { perplexity: 7.4 } })
    expect(get().curve.val).toEqual([2])
    reduce({ type: 'evaluated', step: 8, loss: 1, metrics: { perplexity: 2.7 } })
    expect(get().curve.val).toEqual([2])
    expect(get().validation).toEqual({ step: 8, loss: 1, metrics: { perplexity: 2.7 } })
  })

  test('only the current run’s save counts', () => {
    load('one')
    reduce({ type: 'saved', run: 'two', step: 3 })
    expect(get().savedStep).toBeNull()
    reduce({ type: 'saved', run: 'one', step: 3 })
    expect(get().savedStep).toBe(3)
  })

  test('a live sample replaces the one of the same step', () => {
    reduce({ type: 'live_sample', step: 5, text: 'a' })
    reduce({ type: 'live_sample', step: 5, text: 'b' })
    expect(get().live).toEqual([{ step: 5, text: 'b' }])
  })
})

describe('a diverged run', () => {
  test('has ended: its model answers nothing, and the next run may be prepared', () => {
    load()
    step(3)
    reduce({ type: 'training', running: false, step: 4 })
    expect([unlocked(get()), askable(get()), unsaved(get())]).toEqual([false, true, true])
    reduce({ type: 'diverged', step: 4, good: 2 })
    expect([unlocked(get()), askable(get()), unsaved(get())]).toEqual([true, false, false])
    expect(ended(get())).toMatch(/tiny-1 ended at step 4: .* Its checkpoint of step 2 is still good\./)
    reduce({ type: 'diverged', step: 4, good: null })
    expect(ended(get())).toMatch(/No checkpoint from before was saved\./)
    reduce({ type: 'loaded', info: runInfo('tiny-1', 2) })
    expect(ended(get())).toBe('')
  })
})

describe('this run and the next one', () => {
  const corpus = { source: 'paste', label: 'your text', text: 'sea' } as const

  test('without a run there is a next one', () => {
    reduce({ type: 'ready', device: DEVICE, runs: [] })
    expect(planned(get())).toBe(true)
  })

  test('a next run is there once the form or the text was changed after the end of this one', () => {
    load('one', 500)
    set({ corpus, text: corpus })
    expect(planned(get())).toBe(false)
    set({ text: { ...corpus } })
    expect(planned(get())).toBe(true)
    set({ text: corpus })
    setName('two')
    expect(planned(get())).toBe(true)
    reduce({ type: 'loaded', info: runInfo('one', 499) })
    setName('two')
    expect(planned(get())).toBe(false)
  })

  test('the tokenizer of an opened model is not the next run’s', () => {
    reduce({ type: 'loaded', info: runInfo('llama', 0, { config: runConfig('llama', { tokenizer: '' }) }) })
    expect(get().run?.config.tokenizer).toBe('')
    expect(get().form?.tokenizer).toBe('char')
    expect(get().base?.tokenizer).toBe('char')
  })
})

describe('adjusted settings', () => {
  const estimate = runInfo('one').estimate

  test('become the run’s and the form’s, and the goal stays if the steps do', () => {
    load('one')
    set({ until: 600 })
    const config = runConfig('one')
    reduce({ type: 'adjusted', config: { ...config, train: { ...config.train, lr: 5e-4 } }, estimate })
    expect(get().run?.config.train.lr).toBe(5e-4)
    expect(get().form?.train.lr).toBe(5e-4)
    expect(get().given.train).toEqual({ lr: 5e-4, batch_size: 12, steps: 500 })
    expect(get().until).toBe(600)
  })

  test('another number of steps is the new goal', () => {
    load('one')
    const config = runConfig('one')
    reduce({ type: 'adjusted', config: { ...config, train: { ...config.train, steps: 50 } }, estimate })
    expect(get().until).toBe(50)
  })

  test('without a run change nothing', () => {
    reduce({ type: 'adjusted', config: runConfig('one'), estimate })
    expect(get().form).toBe(INITIAL.form)
  })
})

describe('generated text', () => {
  test('goes to the generation that asked for it, wherever it is shown', () => {
    set({
      generation: generation(1),
      beside: [generation(2), generation(3)],
      chat: { said: [], answer: generation(4) },
    })
    text(3, { text: 'a', drawn: [drawn('a')] })
    text(4, { text: 'b', drawn: [drawn('b')], done: true })
    const { generation: alone, beside, chat } = get()
    expect(alone?.text).toBe('')
    expect(beside.map((one) => one.text)).toEqual(['', 'a'])
    expect([chat.answer?.text, chat.answer?.running]).toEqual(['b', false])
  })

  test('adds up over events, and keeps what only the first one brings', () => {
    const given = [{ id: 7, text: 'To' }]
    set({ generation: generation(1) })
    text(1, { text: 'be', drawn: [drawn('be')], prompt: given, reused: 3 })
    text(1, { text: ' or', drawn: [drawn(' or')], tokens: 2, dropped: 1 })
    expect(get().generation).toMatchObject({ text: 'be or', tokens: 2, given, reused: 3, dropped: 1 })
    expect(get().generation?.spans).toHaveLength(2)
  })

  test('for a generation that is gone changes nothing', () => {
    set({ generation: generation(1) })
    text(99, { text: 'late' })
    expect(get().generation?.text).toBe('')
  })
})

describe('a failure', () => {
  const fail = (): void => reduce({ type: 'failed', message: 'no memory' })

  test('before there is a device breaks the engine', () => {
    set({ phase: 'starting', device: null })
    fail()
    expect(get()).toMatchObject({ phase: 'broken', error: 'no memory' })
  })

  test('returns to the model if there is one, and to none otherwise', () => {
    set({ phase: 'preparing', device: DEVICE, run: null })
    fail()
    expect(get().phase).toBe('idle')
    load()
    set({ phase: 'preparing' })
    fail()
    expect(get().phase).toBe('ready')
  })

  test('of something else leaves training running', () => {
    load()
    set({ phase: 'training' })
    fail()
    expect(get().phase).toBe('training')
  })

  test('ends everything that was being written', () => {
    set({ generation: generation(1), pair: [generation(2)], checking: true })
    fail()
    expect(get().generation?.running).toBe(false)
    expect(get().pair[0]?.running).toBe(false)
    expect(get().checking).toBe(false)
  })
})
