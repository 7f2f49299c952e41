// Page of blankslate for the training benchmark against peers. Its driver serves this page and measures; the page only runs steps.

import { expose } from '/common.mjs'
import init, { Bench, type Product } from '../../pkg/blankslate.js'
import { version } from '../../package.json'
import type { ModelConfig, TrainConfig } from '../types'

interface PeerConfig {
  layers: number
  heads: number
  dim: number
  ctx: number
  batch: number
  vocab: number
  lr: number
  beta1: number
  beta2: number
  eps: number
  weight_decay: number
  ln_eps: number
}

interface Param {
  name: string
  shape: number[]
  data: Float32Array
}

/** Parameter names of transformers by the harness's names. */
const NAMES: Record<string, string> = {
  wte: 'transformer.wte.weight',
  wpe: 'transformer.wpe.weight',
  ln1_g: 'ln_1.weight',
  ln1_b: 'ln_1.bias',
  qkv_w: 'attn.c_attn.weight',
  qkv_b: 'attn.c_attn.bias',
  proj_w: 'attn.c_proj.weight',
  proj_b: 'attn.c_proj.bias',
  ln2_g: 'ln_2.weight',
  ln2_b: 'ln_2.bias',
  fc_w: 'mlp.c_fc.weight',
  fc_b: 'mlp.c_fc.bias',
  out_w: 'mlp.c_proj.weight',
  out_b: 'mlp.c_proj.bias',
  lnf_g: 'transformer.ln_f.weight',
  lnf_b: 'transformer.ln_f.bias',
  head_w: 'lm_head.weight',
}

function rename(name: string): string {
  const [, layer, part] = /^h(\d+)\.(.+)$/.exec(name) ?? []
  const known = NAMES[part ?? name]
  if (!known) throw new Error(`unknown parameter ${name}`)
  return layer === undefined ? known : `transformer.h.${layer}.${known}`
}

/** Transposes the output layer: the harness stores it as [in, out], transformers as [out, in]. */
function headTransposed({ name, shape: [rows = 0, columns = 0], data }: Param): Param {
  const out = new Float32Array(data.length)
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = data[r * columns + c] ?? 0
  return { name, shape: [columns, rows], data: out }
}

const device = document.documentElement.dataset['device'] ?? 'webgpu'
let bench: Bench
let rows = 0

expose({
  name: device === 'webgpu' ? 'blankslate' : `blankslate-${device}`,
  version,
  async init(c: PeerConfig, params: Param[]): Promise<string> {
    await init()
    rows = c.batch
    const model: Partial<ModelConfig> = {
      vocab_size: c.vocab,
      hidden_size: c.dim,
      intermediate_size: 4 * c.dim,
      num_hidden_layers: c.layers,
      num_attention_heads: c.heads,
      num_key_value_heads: c.heads,
      head_dim: c.dim / c.heads,
      max_position_embeddings: c.ctx,
      norm_eps: c.ln_eps,
      tie_word_embeddings: false,
    }
    const train: Partial<TrainConfig> = {
      batch_size: c.batch,
      lr: c.lr,
      min_lr: c.lr,
      schedule: 'constant',
      warmup_steps: 0,
      beta1: c.beta1,
      beta2: c.beta2,
      eps: c.eps,
      weight_decay: c.weight_decay,
      grad_clip: 0,
    }
    const tensors = params.map((p) => (p.name === 'head_w' ? headTransposed(p) : p))
    bench = await Bench.create(
      device,
      model,
      train,
      tensors.map((p) => rename(p.name)),
      tensors.map((p) => p.shape),
      tensors.map((p) => p.data),
    )
    return bench.adapter()
  },
  step: (x: Int32Array, y: Int32Array): bigint => bench.step(Uint32Array.from(x), Uint32Array.from(y), rows),
  read: (step: bigint): Promise<number> => bench.loss(step),
  param: (name: string): Promise<Float32Array> => bench.param(rename(name)),
  async matmul(n: number, a: Float32Array, b: Float32Array) {
    const product: Product = bench.matmul(n, a, b)
    return { run: () => product.run(), read: () => product.read() }
  },
})
