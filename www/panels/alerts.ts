// Errors and notes, each one line that can be put away.

import { byId, show, text } from '../dom'
import { set, watch } from '../state'

export function alerts(): void {
  for (const kind of ['error', 'notice'] as const) {
    const box = byId(kind)
    const words = box.querySelector('p')!
    box.querySelector('button')!.addEventListener('click', () => set({ [kind]: null }))
    watch((state) => {
      show(box, Boolean(state[kind]))
      text(words, state[kind] ?? '')
    })
  }
}
