// The four tokenizers compared on the Tokens view.

import type { ModelConfig } from '../../types'

export interface Kind {
  name: 'byte' | 'char' | 'bpe' | 'wordpiece'
  label: string
  tip: string
  /** Default vocabulary size, if it can be chosen. */
  size?: number
}

export const KINDS: Kind[] = [
  {
    name: 'byte',
    label: 'Bytes',
    tip: 'Every byte of the file is a token. There is nothing to train and no text is ever unknown. But texts become long, and characters outside ASCII take several bytes: ü takes two, an emoji four.',
  },
  {
    name: 'char',
    label: 'Characters',
    tip: 'Every character that occurs in the training text is a token. This is simple and readable, but other characters cannot be encoded.',
  },
  {
    name: 'bpe',
    label: 'BPE',
    size: 512,
    tip: 'Byte-pair encoding starts with bytes, merges the most frequent pair of neighbouring tokens into a new token, and repeats this until the vocabulary is full. Frequent words become one token, rare words several; no text is ever unknown. GPT and Llama use it.',
  },
  {
    name: 'wordpiece',
    label: 'WordPiece',
    size: 1024,
    tip: 'The text is converted to lower case, accents are removed, and it is split into words. Each word is then split from the left into the longest known pieces; ## marks a piece that continues a word. Spaces are lost, and a word with an unknown character becomes [UNK]. BERT uses it.',
  },
]

/** The engine's name of a tokenizer, such as `bpe:512`. */
export const spec = (kind: Kind, size: number): string => (kind.size ? `${kind.name}:${size}` : kind.name)

/** Parameters of a vocabulary: one embedding row per token, and one row of the output layer unless it is tied. */
export const price = (vocabulary: number, { hidden_size: width, tie_word_embeddings: tied }: ModelConfig): number =>
  vocabulary * width * (tied ? 1 : 2)
