// State shared by all chapters: the sentence, and the current model or, before there is one, the settings.

import { page, vocabSize } from '../../state/state.svelte'
import type { ModelConfig, RunConfig } from '../../types'
import { sentencesOf } from './sentence'

class Reader {
  private typed = $state<string | null>(null)
  private readonly proposed = $derived(sentencesOf(page.text.text))

  /** The example sentence. */
  get sentence(): string {
    return this.typed ?? this.proposed[0]
  }

  set sentence(text: string) {
    this.typed = text
  }

  /** The sentence of the first exercise. */
  get asked(): string {
    return this.proposed[1]
  }

  /** The current run's configuration, or that of the form. */
  get config(): RunConfig | null {
    return page.run?.config ?? page.form
  }

  /** Its model, with the actual or expected vocabulary size. */
  get model(): ModelConfig | null {
    const { run, form } = page
    if (run) return run.config.model
    return form && { ...form.model, vocab_size: vocabSize(form.tokenizer, page) }
  }

  /** How exercises refer to the model. */
  get whose(): string {
    return page.run ? 'your model' : 'the model configured under Train'
  }
}

export const reader = new Reader()
