// Files served beside the page; none of them is part of the bundle.

import conversations from '../../assets/text/conversations.jsonl?url'
import pairs from '../../assets/text/pairs.jsonl?url'
import shakespeare from '../../assets/text/shakespeare.txt?url'
import gpt2Config from '../../assets/golden/gpt2-tiny/config.json?url'
import gpt2Io from '../../assets/golden/gpt2-tiny/io.safetensors?url'
import gpt2Model from '../../assets/golden/gpt2-tiny/model.safetensors?url'
import gpt2Train from '../../assets/golden/gpt2-tiny/train.json?url'
import llamaConfig from '../../assets/golden/llama-tiny/config.json?url'
import llamaIo from '../../assets/golden/llama-tiny/io.safetensors?url'
import llamaModel from '../../assets/golden/llama-tiny/model.safetensors?url'
import llamaTrain from '../../assets/golden/llama-tiny/train.json?url'
import type { GoldenCase } from '../types'

/** The default training text. */
export const SHAKESPEARE = {
  name: 'Shakespeare',
  about: 'Nine of Shakespeare’s plays. The speaker’s name stands above each speech.',
}

const CASES = [
  { name: 'gpt2-tiny', config: gpt2Config, model: gpt2Model, io: gpt2Io, train: gpt2Train },
  { name: 'llama-tiny', config: llamaConfig, model: llamaModel, io: llamaIo, train: llamaTrain },
]

async function get(url: string): Promise<Response> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url} could not be loaded (status ${response.status}). Reload the page.`)
  return response
}

const bytes = async (url: string): Promise<Uint8Array> => new Uint8Array(await (await get(url)).arrayBuffer())

export const shakespeareText = async (): Promise<string> => (await get(shakespeare)).text()

/** A dozen example conversations for fine-tuning. */
export const exampleConversations = async (): Promise<string> => (await get(conversations)).text()

/** A dozen example preference pairs for DPO. */
export const examplePairs = async (): Promise<string> => (await get(pairs)).text()

/** PyTorch's results for two small models, written by `make_golden.py`. */
export function goldenCases(): Promise<GoldenCase[]> {
  return Promise.all(
    CASES.map(async ({ name, config, model, io, train }) => ({
      name,
      config: await bytes(config),
      model: await bytes(model),
      io: await bytes(io),
      train: await bytes(train),
    })),
  )
}
