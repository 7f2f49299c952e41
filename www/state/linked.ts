// Links to runs: created from a run, opened from a URL, and reproduced.

import { train } from './actions'
import { filledIn } from './assess'
import { based } from './form'
import { recall } from './memory'
import { freshName } from './names'
import { ask, atHand, chooseEmbedded, embedded } from './session'
import { type Shared, decode, encode, fingerprint, sha256 } from './share'
import { get, set, unlocked } from './state.svelte'

const ADDRESS = /^#\/train\?share=(.*)$/

export interface Link {
  url: string
  /** Number of loss values in the link. */
  losses: number
  /** Step after which the settings or the device changed; null if they did not. */
  until: number | null
}

/** Creates a link to a run in this browser, or to the form's settings. Throws an error with a one-line message for the user. */
export async function linkTo(run: string | null): Promise<Link> {
  const { shared, until } = run === null ? { shared: await settings(), until: null } : await made(run)
  const url = `${location.href.replace(/#.*/, '')}#/train?share=${await encode(shared)}`
  return { url, losses: shared.losses.length, until }
}

async function settings(): Promise<Shared> {
  const { form, text, look } = get()
  if (!form || !text.text) throw new Error('Choose a text first.')
  if (!look) throw new Error('The text is still loading. Try again in a moment.')
  const about = { label: text.label, embedded: text.source === 'embedded', ...(await measured(text.text)) }
  return { config: (await filledIn()).fresh, text: about, device: '', losses: [] }
}

async function made(run: string): Promise<{ shared: Shared; until: number | null }> {
  const current = atHand()
  const known = current?.run === run ? current : await recall(run)
  if (!known?.origin)
    throw new Error(
      'This run did not start from random weights in this browser, so its settings alone cannot reproduce it.',
    )
  const { label, curve } = known
  const { config, device, until } = known.origin
  const about = { label, embedded: known.text === null, ...(await measured(known.text ?? (await embedded(label)))) }
  const losses = fingerprint(curve, until ?? Infinity)
  return { shared: { config: { ...config, name: run }, text: about, device, losses }, until }
}

const measured = async (text: string): Promise<{ sha256: string; characters: number }> => ({
  sha256: await sha256(text),
  characters: text.length,
})

// ---- opening

/** The code in the URL of a link; undefined for other URLs. */
export const codeIn = (hash: string): string | undefined => ADDRESS.exec(hash)?.[1]

/** Fills in the form from a link. Throws an error with a one-line message for the user. */
export async function openLink(code: string): Promise<void> {
  const like = get().presets[0]
  if (!like) throw new Error('The engine is not running. Reload the page.')
  const { description, ...config } = like
  const link = await decode(code, config)
  if (!unlocked(get())) throw new Error('A run is active. Stop it, then open the link again.')
  // This device may not be able to do what the link asks for.
  const { config: possible } = await ask({ type: 'fit', config: link.config })
  set({ ...based(structuredClone(possible)), preset: '', shared: { link, here: possible, run: null } })
  freshName()
  if (link.text.embedded) await chooseEmbedded(link.text.label)
  const { fresh: here } = await filledIn()
  const { shared } = get()
  if (shared?.link === link) set({ shared: { ...shared, here } })
}

export function closeLink(): void {
  history.replaceState(null, '', '#/train')
  set({ shared: null })
}

/** Whether a text is the link's text. */
export const isText = async ({ text }: Shared, given: string): Promise<boolean> =>
  text.characters === given.length && text.sha256 === (await sha256(given))

/** Trains with the link's settings up to its last loss value. */
export function reproduce(): void {
  const { shared } = get()
  const end = shared?.link.losses.at(-1)?.[0]
  if (!shared || !end) return
  set({ ...based(structuredClone(shared.here)), preset: '' })
  freshName()
  set({ shared: { ...shared, run: get().form?.name ?? null } })
  train('train', end)
}
