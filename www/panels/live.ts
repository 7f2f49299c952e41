// What the model writes while it learns: the newest sample, and a strip of the earlier ones.

import { byId, h, text } from '../dom'
import { count } from '../format'
import { set, watch } from '../state'

export function live(): void {
  const strip = byId('live-steps')
  const words = byId('live-text')
  const empty = words.textContent ?? ''
  let drawn: unknown[] = []
  watch((state) => {
    if (drawn[0] === state.live && drawn[1] === state.liveShown) return
    drawn = [state.live, state.liveShown]
    const shown = state.live.find(({ step }) => step === state.liveShown) ?? state.live.at(-1)
    const buttons = state.live.map(({ step }) => {
      const one = h(
        'button',
        {
          type: 'button',
          class: 'plain',
          'aria-pressed': String(step === shown?.step),
          'aria-label': `Sample at step ${step}`,
        },
        count(step),
      )
      one.addEventListener('click', () => set({ liveShown: step === state.live.at(-1)?.step ? null : step }))
      return one
    })
    const focused = [...strip.children].indexOf(document.activeElement as Element)
    strip.replaceChildren(...buttons)
    if (focused >= 0) buttons[focused]?.focus()
    if (state.liveShown === null) strip.scrollLeft = strip.scrollWidth
    text(words, shown?.text ?? empty)
    words.classList.toggle('quiet', !shown)
  })
}
