// Which text is learned from.

import { EMBEDDED, embeddedText } from './assets'
import { inOneLine } from './error'
import { measure } from './look'
import { type TextChoice, get, set } from './state.svelte'

export async function chooseText(source: TextChoice['source'], label = '', text?: string): Promise<void> {
  try {
    if (source === 'embedded') take({ source, label: EMBEDDED.label, text: await embeddedText() })
    else take({ source, label: label || 'your text', text: text ?? '' })
  } catch (error) {
    set({ error: inOneLine(error) })
  }
}

function take(text: TextChoice): void {
  set({ text, look: null })
  const stopped = (): boolean => get().text !== text
  void measure(text.text, stopped).then((look) => look && set({ look }))
}
