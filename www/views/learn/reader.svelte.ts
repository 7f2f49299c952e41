// What the reader looks at in all chapters: one sentence, and the model or, before there is one, the settings.

import { page, vocabSize } from '../../state/state.svelte'
import type { ModelConfig, RunConfig } from '../../types'
import { sentencesOf } from './sentence'

class Reader {
  private typed = $state<string | null>(null)
  private readonly proposed = $derived(sentencesOf(page.text.text))

  /** What is looked at. */
  get sentence(): string {
    return this.typed ?? this.proposed[0]
  }

  set sentence(text: string) {
    this.typed = text
  }

  /** What the first exercise is about. */
  get asked(): string {
    return this.proposed[1]
  }

  /** The run at hand, or what is set for the next one. */
  get config(): RunConfig | null {
    return page.run?.config ?? page.form
  }

  /** Its model with the vocabulary it has, or will have. */
  get model(): ModelConfig | null {
    const { run, form } = page
    if (run) return run.config.model
    return form && { ...form.model, vocab_size: vocabSize(form.tokenizer, page) }
  }

  /** How the exercises call it. */
  get whose(): string {
    return page.run ? 'your model' : 'the model that is set under Train'
  }
}

export const reader = new Reader()
