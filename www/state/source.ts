// The choice of the training text.

import { inOneLine } from '../lib/error'
import { measure } from './look'
import { type TextChoice, get, set } from './state.svelte'

let choices = 0

/** Uses a text once it has loaded, unless another one was chosen meanwhile. */
export async function chooseText(
  source: TextChoice['source'],
  label: string,
  coming: string | Promise<string>,
): Promise<void> {
  const own = ++choices
  try {
    const text = await coming
    if (own === choices) take({ source, label, text })
  } catch (error) {
    if (own === choices) set({ error: inOneLine(error) })
  }
}

function take(text: TextChoice): void {
  set({ text, look: null })
  const stopped = (): boolean => get().text !== text
  void measure(text.text, stopped).then((look) => look && set({ look }))
}
