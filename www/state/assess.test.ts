import { beforeEach, describe, expect, test, vi } from 'vitest'
import { DEVICE, PRESET, runConfig, runInfo } from '../testing/fixtures'
import type { FormSettings, GivenSettings, RunConfig } from '../types'
import { assess, filledIn } from './assess'
import { changeSetting, choosePreset, setName, settingValue } from './form'
import { settingOf } from './settings'
import { type State, get, set } from './state.svelte'

/** A call of the form that the engine has not answered yet. */
interface Asked {
  base: RunConfig
  given: GivenSettings
  device: unknown
  answer(change?: Partial<FormSettings>): Promise<void>
  refuse(message: string): Promise<void>
}

const { engine, asked, speeds } = vi.hoisted(() => ({
  asked: [] as Asked[],
  speeds: [] as RunConfig[],
  engine: { call: (() => undefined) as (name: string, ...args: unknown[]) => unknown },
}))
vi.mock('./session', () => ({
  current: () => engine,
  ask: ({ config }: { config: RunConfig }) => {
    speeds.push(config)
    return Promise.resolve({ tokens_per_second: 1000 })
  },
}))

const settled = (): Promise<void> => new Promise((done) => setTimeout(done))

/** The answer to a form: the given settings over the base, and an MLP of four times the width. */
function filled(base: RunConfig, given: GivenSettings): FormSettings {
  const config = structuredClone(base)
  Object.assign(config.model, given.model)
  Object.assign(config.train, given.train)
  config.model.intermediate_size = 4 * config.model.hidden_size
  const { estimate } = runInfo('any')
  return { config, fresh: config, defaults: {}, unusual: [], estimate, problem: null }
}

engine.call = (name, ...args) => {
  if (name === 'kind_of') return Promise.resolve('text')
  const [base, given, , , , device] = args as [RunConfig, GivenSettings, ...unknown[]]
  return new Promise((resolve, reject) =>
    asked.push({
      base,
      given,
      device,
      answer: (change) => (resolve({ ...filled(base, given), ...change }), settled()),
      refuse: (message) => (reject(new Error(message)), settled()),
    }),
  )
}

const INITIAL: State = { ...get() }

const change = (name: string, value: unknown): void => changeSetting(settingOf(name), value)
const shown = (name: string): unknown => settingValue(get(), settingOf(name))

/** Asks, and returns the call once the engine has it. */
async function question(): Promise<Asked> {
  void assess()
  await settled()
  const last = asked.at(-1)
  if (!last) throw new Error('the engine was not asked')
  return last
}

beforeEach(() => {
  asked.length = 0
  speeds.length = 0
  localStorage.clear()
  const text: State['text'] = { source: 'paste', label: 'a text', text: 'to be' }
  set({ ...INITIAL, presets: [PRESET], phase: 'idle', device: DEVICE, rates: [], text })
  choosePreset('tiny')
})

describe('the form', () => {
  test('is filled in by the engine', async () => {
    change('hidden_size', 128)
    const first = await question()
    expect(first.given.model).toEqual({ hidden_size: 128 })
    // What cannot fit into its memory is a problem.
    expect(first.device).toEqual(DEVICE)
    expect(shown('intermediate_size')).toBe(256)
    await first.answer({ unusual: ['beta2'], defaults: { hidden_size: 64 } })
    expect(shown('intermediate_size')).toBe(512)
    expect(get()).toMatchObject({ unusual: ['beta2'], defaults: { hidden_size: 64 }, problem: null })
    expect(get().fresh?.model.hidden_size).toBe(128)
  })

  test('ignores the answer to an older question, whichever comes first', async () => {
    change('hidden_size', 128)
    const older = await question()
    change('hidden_size', 256)
    const newer = await question()
    await older.answer({ problem: 'too wide' })
    expect([shown('hidden_size'), shown('intermediate_size')]).toEqual([256, 256])
    expect(get().problem).not.toBe('too wide')
    await newer.answer()
    expect([shown('hidden_size'), shown('intermediate_size')]).toEqual([256, 1024])

    change('hidden_size', 32)
    const late = await question()
    change('hidden_size', 16)
    const last = await question()
    await last.answer()
    await late.answer()
    expect([shown('hidden_size'), shown('intermediate_size')]).toEqual([16, 64])
  })

  test('keeps what was typed while the engine was answering', async () => {
    change('hidden_size', 128)
    const before = await question()
    change('lr', 0.5)
    setName('mine')
    await before.answer()
    expect([shown('hidden_size'), shown('lr'), get().form?.name]).toEqual([128, 0.5, 'mine'])
  })

  test('shows why it cannot be filled in, and stays as it is', async () => {
    const before = get().form
    change('steps', -1)
    await (await question()).refuse('steps must not be negative')
    expect(get()).toMatchObject({ problem: 'steps must not be negative', estimate: null })
    expect(get().form).toBe(before)
    expect(shown('steps')).toBe(-1)
  })

  test('of a run in progress keeps its settings; only what is unusual about them is noted', async () => {
    set({ phase: 'training', run: runInfo('tiny-1'), form: runConfig('tiny-1'), problem: null })
    const before = get().form
    await (await question()).answer({ unusual: ['dropout'], problem: 'a name that is taken' })
    expect(get()).toMatchObject({ unusual: ['dropout'], problem: null })
    expect(get().form).toBe(before)
  })

  test('needs a text', async () => {
    set({ text: { source: 'paste', label: '', text: '' } })
    await (await question()).answer()
    expect(get().problem).toMatch(/no text/)
  })

  test('can be asked for at any time, under the current name', async () => {
    setName('mine')
    const answer = filledIn()
    await settled()
    expect(asked.at(-1)?.base.name).toBe('mine')
    await asked.at(-1)?.answer()
    expect((await answer).config.name).toBe('mine')
  })
})

describe('the speed', () => {
  test('is measured once the form is calm, for the newest settings only', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const answered = async (width: number): Promise<void> => {
        change('hidden_size', width)
        void assess()
        await vi.advanceTimersByTimeAsync(0)
        void asked.at(-1)?.answer()
        await vi.advanceTimersByTimeAsync(100)
      }
      await answered(128)
      await answered(256)
      expect(speeds).toEqual([])
      expect(get().measuring).toBe(true)
      await vi.advanceTimersByTimeAsync(1000)
      expect(speeds.map(({ model }) => model.hidden_size)).toEqual([256])
      expect(get().measuring).toBe(false)
      expect(get().rates).toHaveLength(1)
    } finally {
      vi.useRealTimers()
    }
  })
})
