// The four ways of cutting a text that are compared.

import type { ModelConfig } from '../../types'

export interface Kind {
  name: 'byte' | 'char' | 'bpe' | 'wordpiece'
  label: string
  tip: string
  /** The vocabulary's size to begin with, where it can be chosen. */
  size?: number
}

export const KINDS: Kind[] = [
  {
    name: 'byte',
    label: 'Bytes',
    tip: 'Every byte of the file is a token. Nothing needs to be learned and nothing is ever unknown, but texts become long, and letters beyond plain English take several bytes: ü two, an emoji four.',
  },
  {
    name: 'char',
    label: 'Characters',
    tip: 'Every character that occurs in the text is a token. Simple and readable, but a character that does not occur in the text cannot be cut at all.',
  },
  {
    name: 'bpe',
    label: 'BPE',
    size: 512,
    tip: 'Byte-pair encoding starts with bytes, finds the two neighbours that occur together most often, makes them one token, and repeats this until the vocabulary is full. Frequent words become one token, rare ones several; nothing is ever unknown. GPT and Llama use it.',
  },
  {
    name: 'wordpiece',
    label: 'WordPiece',
    size: 1024,
    tip: 'First the text is put in lower case without accents and split into words. Then each word is cut from the left into the longest pieces known; ## marks a piece that goes on with a word. Spaces are not kept, and a word with an unknown character becomes [UNK]. BERT uses it.',
  },
]

/** What the engine calls a tokenizer. */
export const spec = (kind: Kind, size: number): string => (kind.size ? `${kind.name}:${size}` : kind.name)

/** What a vocabulary costs: a row of the embedding for each token, and one of the head where that is its own. */
export const price = (vocabulary: number, { hidden_size: width, tie_word_embeddings: tied }: ModelConfig): number =>
  vocabulary * width * (tied ? 1 : 2)
