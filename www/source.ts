// Which text is learned from.

import { EMBEDDED, embeddedText } from './assets'
import { type TextChoice, set } from './state.svelte'

export async function chooseText(source: TextChoice['source'], label = '', text?: string): Promise<void> {
  try {
    if (source === 'embedded') set({ text: { source, label: EMBEDDED.label, text: await embeddedText() } })
    else set({ text: { source, label: label || 'your text', text: text ?? '' } })
  } catch (error) {
    set({ error: error instanceof Error ? error.message : String(error) })
  }
}
