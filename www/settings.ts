// Generated from src/config by `cargo xtask types`; not to be edited.

export type Kind = "whole" | "number" | "switch" | "choice" | "names" | "texts" | "object";

export type Condition = { 
/**
 * Key of the other setting.
 */
key: string, 
/**
 * The other setting's value, as text.
 */
value: string, 
/**
 * Whether the other setting must have that value, or must not.
 */
equal: boolean, };

export type Setting = { 
/**
 * The key in the configuration.
 */
name: string, 
/**
 * The part of the configuration that has it; `run` is the configuration itself.
 */
group: string, 
/**
 * The heading under which it stands.
 */
heading: string, label: string, unit?: string, 
/**
 * What it does, and its usual values.
 */
tip: string, 
/**
 * A formula in which it stands.
 */
formula?: string, 
/**
 * Where it, or its usual value, was first described.
 */
source?: string, kind: Kind, 
/**
 * Whether `null` turns it off.
 */
optional?: boolean, 
/**
 * The values of a choice, each with its label.
 */
choices?: Array<[string, string]>, 
/**
 * Whether it is shown to beginners.
 */
basic?: boolean, min?: number, max?: number, step?: number, 
/**
 * The setting has an effect only while this holds.
 */
applies_if?: Condition, };

/** Every setting that the page can show, in order. */
export const SETTINGS: Setting[] = [
  {"name":"num_hidden_layers","group":"model","heading":"Model","label":"Layers","tip":"Number of transformer blocks, one after the other. Usually 2 to 6 in a browser tab, 12 in GPT-2.","formula":"parameters ≈ 12 · layers · width²","source":"Kaplan et al. 2020","kind":"whole","basic":true,"min":1.0,"max":1073741824.0},
  {"name":"hidden_size","group":"model","heading":"Model","label":"Width","tip":"Size of the vector that represents each token inside the model. The cost grows with its square. Usually 64 to 384 in a browser tab, 768 in GPT-2.","formula":"parameters ≈ 12 · layers · width²","source":"Kaplan et al. 2020","kind":"whole","basic":true,"min":1.0,"max":1073741824.0,"step":8.0},
  {"name":"num_attention_heads","group":"model","heading":"Model","label":"Heads","tip":"Number of attention heads: how many places each block can attend to at the same time. Usually a divisor of the width that leaves 16 to 64 per head.","formula":"width = heads · head width","source":"Vaswani et al. 2017","kind":"whole","basic":true,"min":1.0,"max":1073741824.0},
  {"name":"max_position_embeddings","group":"model","heading":"Model","label":"Context length","unit":"tokens","tip":"Longest sequence that the model can process. At least Sequence length. Usually the same as Sequence length.","formula":"KV cache = 2 · layers · width · context","source":"Radford et al. 2019 (GPT-2: 1,024)","kind":"whole","min":1.0,"max":1073741824.0},
  {"name":"intermediate_size","group":"model","heading":"Model","label":"MLP width","tip":"Width of the hidden layer of each block's MLP. Usually 4 times the width, or 8/3 times with SwiGLU.","formula":"W₂ · f(W₁ x)","source":"Vaswani et al. 2017; Shazeer 2020","kind":"whole","min":1.0,"max":1073741824.0},
  {"name":"num_key_value_heads","group":"model","heading":"Model","label":"Key-value heads","tip":"Number of key and value heads, a divisor of Heads. Fewer save memory: query heads share them (grouped-query attention).","formula":"KV cache = 2 · layers · key-value heads · head width · context","source":"Ainslie et al. 2023","kind":"whole","min":1.0,"max":1073741824.0},
  {"name":"head_dim","group":"model","heading":"Model","label":"Head width","tip":"Size of each head's queries, keys and values. Usually 32 to 128.","formula":"width ∕ heads","source":"Vaswani et al. 2017","kind":"whole","min":1.0,"max":512.0},
  {"name":"position_embedding","group":"model","heading":"Model","label":"Position embedding","tip":"How the model knows the order of the tokens. Usually rotary in recent models.","formula":"rotary: R(m) q · R(n) k = q · R(n − m) k","source":"Su et al. 2021; learned: Radford et al. 2018","kind":"choice","choices":[["learned","learned (GPT-2)"],["rope","rotary (LLaMA)"],["sinusoidal","sinusoidal"],["none","none"]]},
  {"name":"rope_theta","group":"model","heading":"Model","label":"RoPE base","tip":"Base of the rotary frequencies. Larger values suit longer contexts. Usually 10000.","formula":"angle of pair i at position t: t · base^(−2i ∕ head width)","source":"Su et al. 2021","kind":"number","min":1.0,"applies_if":{"key":"position_embedding","value":"rope","equal":true}},
  {"name":"norm","group":"model","heading":"Model","label":"Normalization","tip":"Normalization before each half of a block, which keeps the scale of activations even, so that deep models train.","formula":"w ⊙ (x − mean) ∕ σ + b, or w ⊙ x ∕ rms(x)","source":"Ba et al. 2016; Zhang & Sennrich 2019","kind":"choice","choices":[["layer_norm","LayerNorm (GPT-2)"],["rms_norm","RMSNorm (LLaMA)"]]},
  {"name":"norm_eps","group":"model","heading":"Model","label":"Normalization ε","tip":"Added inside the normalization's square root for numerical stability. Usually 1e-5 or 1e-6.","formula":"x ∕ √(mean(x²) + ε)","source":"Ba et al. 2016","kind":"number","min":0.0,"max":1.0},
  {"name":"norm_bias","group":"model","heading":"Model","label":"Normalization bias","tip":"Adds a bias in LayerNorm. Usually on, as in GPT-2.","formula":"w ⊙ x̂ + b","source":"Ba et al. 2016","kind":"switch","applies_if":{"key":"norm","value":"layer_norm","equal":true}},
  {"name":"hidden_act","group":"model","heading":"Model","label":"Activation","tip":"Activation function of the MLP. SwiGLU uses three matrices instead of two.","formula":"GELU: x · Φ(x); SwiGLU: silu(x W₁) ⊙ x W₂; ReLU²: max(0, x)²","source":"Hendrycks & Gimpel 2016; Shazeer 2020; So et al. 2021","kind":"choice","choices":[["gelu","GELU (GPT-2)"],["gelu_erf","GELU, exact"],["swiglu","SwiGLU (LLaMA)"],["relu2","ReLU²"]]},
  {"name":"fused_qkv","group":"model","heading":"Model","label":"Fused QKV","tip":"Uses one matrix for query, key and value, as GPT-2's files do. It does not change the result.","formula":"[Q K V] = x W","source":"Radford et al. 2019","kind":"switch"},
  {"name":"attention_bias","group":"model","heading":"Model","label":"Attention bias","tip":"Adds biases in the projections of attention. Usually on in GPT-2, off in LLaMA.","formula":"x W + b","source":"Radford et al. 2019","kind":"switch"},
  {"name":"mlp_bias","group":"model","heading":"Model","label":"MLP bias","tip":"Adds biases in the MLP. Usually on in GPT-2, off in LLaMA.","formula":"x W + b","source":"Radford et al. 2019","kind":"switch"},
  {"name":"tie_word_embeddings","group":"model","heading":"Model","label":"Tied embeddings","tip":"Uses the token embedding as the output head as well, which saves parameters. Usually on in GPT-2, off in large LLaMA models.","formula":"logits = h · Eᵀ","source":"Press & Wolf 2017","kind":"switch"},
  {"name":"qk_norm","group":"model","heading":"Model","label":"QK norm","tip":"Normalizes each head's queries and keys, which makes high learning rates safer.","formula":"norm(q) · norm(k) ∕ √D","source":"Dehghani et al. 2023","kind":"switch"},
  {"name":"attn_logit_softcapping","group":"model","heading":"Model","label":"Attention soft cap","tip":"Caps attention scores smoothly at this value. Usually off, or 50 as in Gemma 2.","formula":"c · tanh(s ∕ c)","source":"Gemma Team 2024","kind":"number","optional":true,"min":0.0},
  {"name":"final_logit_softcapping","group":"model","heading":"Model","label":"Logit soft cap","tip":"Caps the output logits smoothly at this value. Usually off, or 30 as in Gemma 2.","formula":"c · tanh(z ∕ c)","source":"Gemma Team 2024","kind":"number","optional":true,"min":0.0},
  {"name":"sliding_window","group":"model","heading":"Model","label":"Sliding window","unit":"tokens","tip":"Number of most recent tokens, itself included, that each token attends to. Usually off, or 4096 as in Mistral.","formula":"token t sees t − window + 1 … t","source":"Beltagy et al. 2020; Jiang et al. 2023","kind":"whole","optional":true,"min":1.0,"max":1073741824.0},
  {"name":"dropout","group":"model","heading":"Model","label":"Dropout","tip":"Probability with which activations are set to zero in training, against overfitting: of embeddings, attention weights and both residual branches. Preference pairs are trained without. Usually 0 for short runs, 0.1 to 0.2 for many passes over a small text.","formula":"x · mask ∕ (1 − p)","source":"Srivastava et al. 2014","kind":"number","min":0.0,"max":1.0,"step":0.05},
  {"name":"init","group":"model","heading":"Model","label":"Initialization","tip":"How weights are initialized: with one standard deviation for all matrices, or by the size of each.","formula":"σ, or 1 ∕ √inputs; into the residual stream ∕ √(2 · layers)","source":"Radford et al. 2019","kind":"choice","choices":[["gpt2","GPT-2"],["fan_in","by fan-in"]]},
  {"name":"initializer_range","group":"model","heading":"Model","label":"Init std","tip":"Standard deviation of initial weights and embeddings. Usually 0.02, as in GPT-2.","formula":"weights ~ N(0, σ²)","source":"Radford et al. 2019","kind":"number","min":0.0},
  {"name":"seq_len","group":"data","heading":"Data","label":"Sequence length","unit":"tokens","tip":"Number of tokens in each training sequence. The cost of attention per token grows with it. Usually 32 to 256 in a browser tab, 1,024 in GPT-2.","formula":"tokens per step = batch size · sequence length","kind":"whole","min":1.0,"max":1073741824.0},
  {"name":"val_fraction","group":"data","heading":"Data","label":"Validation share","tip":"Share of the data, at its end, that is held out to measure the validation loss. Usually 0.1; 0 for no validation.","source":"nanoGPT","kind":"number","min":0.0,"max":1.0,"step":0.05},
  {"name":"order","group":"data","heading":"Data","label":"Order","tip":"Where training windows start: at random tokens, or one after the other so that each is seen once per epoch.","kind":"choice","choices":[["random","random"],["sequential","whole epochs"]]},
  {"name":"document_boundaries","group":"data","heading":"Data","label":"Document boundaries","tip":"Excludes predictions across the end of a document from the loss. The data needs end-of-text tokens. Usually off.","source":"Grattafiori et al. 2024 (Llama 3)","kind":"switch"},
  {"name":"steps","group":"train","heading":"Training","label":"Steps","tip":"Number of training steps. Each step updates the weights once. Usually a few hundred for words, a few thousand for sentences.","formula":"tokens seen = steps · batch size · sequence length","kind":"whole","basic":true},
  {"name":"batch_size","group":"train","heading":"Training","label":"Batch size","unit":"sequences","tip":"Number of sequences, or preference pairs, in each batch. Larger batches give steadier updates, and need more time and memory per step. Usually 4 to 64.","formula":"tokens per step = batch size · sequence length","source":"McCandlish et al. 2018","kind":"whole","basic":true,"min":1.0},
  {"name":"grad_accum","group":"train","heading":"Training","label":"Gradient accumulation","unit":"batches","tip":"Number of batches whose gradients are averaged into one step: a larger batch without more memory. Usually 1.","formula":"g = mean of the batches’ g","kind":"whole","min":1.0},
  {"name":"gradient_checkpointing","group":"train","heading":"Training","label":"Gradient checkpointing","tip":"Keeps only the input of each block and computes the rest again in the backward pass: less memory for about a third more time. Usually off.","source":"Chen et al. 2016","kind":"switch"},
  {"name":"precision","group":"train","heading":"Training","label":"Precision","tip":"Number format of the forward and backward pass. 16 bits need half the memory where the device supports them. Weights, optimizer state, evaluation and sampling are f32 always. Usually f32, or bf16 on CUDA.","source":"Micikevicius et al. 2018","kind":"choice","choices":[["f32","32 bits"],["f16","16 bits"],["bf16","16 bits (bfloat16)"]]},
  {"name":"seed","group":"train","heading":"Training","label":"Seed","tip":"Seed of initial weights, batches and dropout. The same seed, settings and device give the same run.","kind":"whole"},
  {"name":"eval_every","group":"train","heading":"Training","label":"Validate every","unit":"steps","tip":"Number of steps between measurements of the validation loss. With 0, it is measured at the end only.","kind":"whole"},
  {"name":"optimizer","group":"train","heading":"Optimizer","label":"Optimizer","tip":"Algorithm that turns gradients into weight updates. Muon updates the matrices of the blocks, AdamW the rest. Usually AdamW.","formula":"AdamW: w ← w − η · (m̂ ∕ (√v̂ + ε) + λ w)","source":"Loshchilov & Hutter 2019; Jordan et al. 2024 (Muon)","kind":"choice","choices":[["adamw","AdamW"],["muon","Muon + AdamW"]]},
  {"name":"lr","group":"train","heading":"Optimizer","label":"Learning rate","tip":"Peak learning rate of AdamW: how large each update is. If it is too high, the loss jumps or becomes NaN. Usually 0.001 to 0.005 for small models, 0.0006 for GPT-2.","formula":"w ← w − η · m̂ ∕ (√v̂ + ε)","source":"Kingma & Ba 2015","kind":"number","basic":true,"min":0.0},
  {"name":"beta1","group":"train","heading":"Optimizer","label":"AdamW β₁","tip":"Decay rate of AdamW's running mean of gradients. Higher values average over more steps. Usually 0.9.","formula":"m ← β₁ m + (1 − β₁) g","source":"Kingma & Ba 2015","kind":"number","min":0.0,"max":1.0,"step":0.01},
  {"name":"beta2","group":"train","heading":"Optimizer","label":"AdamW β₂","tip":"Decay rate of AdamW's running mean of squared gradients. Higher values average over more steps. Usually 0.95 to 0.999.","formula":"v ← β₂ v + (1 − β₂) g²","source":"Kingma & Ba 2015","kind":"number","min":0.0,"max":1.0,"step":0.01},
  {"name":"eps","group":"train","heading":"Optimizer","label":"AdamW ε","tip":"Added to AdamW's denominator for numerical stability. Usually 1e-8.","formula":"m̂ ∕ (√v̂ + ε)","source":"Kingma & Ba 2015","kind":"number","min":0.0},
  {"name":"weight_decay","group":"train","heading":"Optimizer","label":"Weight decay","tip":"Decoupled weight decay: shrinks matrices and embeddings a little at every step. 0 turns it off. Usually 0.1.","formula":"w ← w − η λ w","source":"Loshchilov & Hutter 2019","kind":"number","min":0.0,"step":0.05},
  {"name":"muon_lr","group":"train","heading":"Optimizer","label":"Muon learning rate","tip":"Peak learning rate of the matrices that Muon updates. It follows the same schedule as Learning rate. Usually 0.02.","formula":"W ← W − η · orthogonal(m)","source":"Jordan et al. 2024","kind":"number","min":0.0,"applies_if":{"key":"optimizer","value":"muon","equal":true}},
  {"name":"muon_momentum","group":"train","heading":"Optimizer","label":"Muon momentum","tip":"Momentum of Muon. Higher values average over more steps. Usually 0.95.","formula":"m ← μ m + g","source":"Jordan et al. 2024","kind":"number","min":0.0,"max":1.0,"step":0.01,"applies_if":{"key":"optimizer","value":"muon","equal":true}},
  {"name":"grad_clip","group":"train","heading":"Optimizer","label":"Gradient clipping","tip":"Largest allowed norm of all gradients together; larger gradients are scaled down to it. 0 turns it off. Usually 1.","formula":"g ← g · min(1, c ∕ ‖g‖)","source":"Pascanu et al. 2013","kind":"number","min":0.0,"step":0.1},
  {"name":"schedule","group":"train","heading":"Learning-rate schedule","label":"Schedule","tip":"How the learning rate changes over the run, after warm-up. Usually cosine.","formula":"cosine: ηₘᵢₙ + ½ (η − ηₘᵢₙ)(1 + cos π t)","source":"Loshchilov & Hutter 2017; Hu et al. 2024","kind":"choice","choices":[["cosine","cosine"],["linear","linear"],["constant","constant"],["warmup_stable_decay","stable, then decay"]]},
  {"name":"min_lr","group":"train","heading":"Learning-rate schedule","label":"Final learning rate","tip":"Learning rate at the end of the schedule. Usually a tenth of Learning rate or less.","formula":"ηₘᵢₙ in the schedule’s formula","source":"Hoffmann et al. 2022","kind":"number","min":0.0,"applies_if":{"key":"schedule","value":"constant","equal":false}},
  {"name":"warmup_steps","group":"train","heading":"Learning-rate schedule","label":"Warm-up","unit":"steps","tip":"Number of steps over which the learning rate rises from 0, so that the first updates are small. Usually 1 to 5% of Steps.","formula":"η · t ∕ (warm-up + 1)","source":"Goyal et al. 2017","kind":"whole"},
  {"name":"decay_steps","group":"train","heading":"Learning-rate schedule","label":"Decay","unit":"steps","tip":"Number of steps at the end over which the learning rate falls. Usually a fifth of Steps.","formula":"ηₘᵢₙ + (η − ηₘᵢₙ) · steps left ∕ decay","source":"Hu et al. 2024","kind":"whole","applies_if":{"key":"schedule","value":"warmup_stable_decay","equal":true}},
  {"name":"z_loss","group":"train","heading":"Objective","label":"z-loss","tip":"Weight of the z-loss, which keeps the logits from drifting: the squared logarithm of the softmax normalizer is added to the training loss, and never to a validation loss. 0 turns it off. Usually 0, or 0.0001 as in PaLM.","formula":"loss + z · (ln Σ eˢ)²","source":"Chowdhery et al. 2022 (PaLM)","kind":"number","min":0.0},
  {"name":"dpo_beta","group":"train","heading":"Objective","label":"DPO β","tip":"DPO temperature β: larger values keep the model closer to the one that tuning starts from. Only used with preference pairs. Usually 0.1.","formula":"−ln σ(reward(chosen) − reward(rejected)), reward = β · ln(π_θ ∕ π_ref)","source":"Rafailov et al. 2023 (DPO)","kind":"number","min":0.0,"step":0.05,"applies_if":{"key":"kind","value":"preferences","equal":true}},
  {"name":"lora_rank","group":"train","heading":"Adapters (LoRA)","label":"LoRA rank","tip":"Rank of the adapters: instead of each weight matrix W, two narrow matrices A and B beside it are trained, which needs much less memory for gradients and optimizer state. 0 trains the weights themselves. Usually 8; 4 to 64.","formula":"W + (α ∕ r) · B · A","source":"Hu et al. 2021 (LoRA)","kind":"whole"},
  {"name":"lora_alpha","group":"train","heading":"Adapters (LoRA)","label":"LoRA α","tip":"Scaling numerator: the adapters' product is multiplied by α ∕ rank. Usually 16, or twice the rank.","formula":"ΔW = (α ∕ r) · B · A","source":"Hu et al. 2021 (LoRA)","kind":"number","min":0.0,"step":1.0,"applies_if":{"key":"lora_rank","value":"0","equal":false}},
  {"name":"lora_targets","group":"train","heading":"Adapters (LoRA)","label":"Target modules","tip":"Projections that get an adapter, as in PEFT's target_modules: all, or some of q_proj, k_proj, v_proj (qkv_proj where they are one matrix, as in GPT-2), o_proj, gate_proj, up_proj and down_proj. Usually all.","source":"Dettmers et al. 2023 (QLoRA)","kind":"names","applies_if":{"key":"lora_rank","value":"0","equal":false}},
  {"name":"lora_embeddings","group":"train","heading":"Adapters (LoRA)","label":"Train embeddings","tip":"Trains the embedding and the head in full beside the adapters, as PEFT's modules_to_save does. Always on where the chat template adds tokens to the model. Usually off.","source":"PEFT","kind":"switch","applies_if":{"key":"lora_rank","value":"0","equal":false}},
  {"name":"save_every","group":"train","heading":"Checkpoints","label":"Save every","unit":"steps","tip":"Number of steps between saved checkpoints. With 0, one is saved at the end only.","kind":"whole"},
  {"name":"keep_last","group":"train","heading":"Checkpoints","label":"Newest checkpoints kept","tip":"Number of newest checkpoints that are kept beside the one with the lowest validation loss.","kind":"whole","min":1.0},
  {"name":"keep_spread","group":"train","heading":"Checkpoints","label":"Older checkpoints kept","tip":"Number of older checkpoints that are kept as well, spread evenly over the run. A run can branch from them, and the page plays them back under Look inside.","kind":"whole"},
  {"name":"sample_every","group":"run","heading":"Monitoring","label":"Sample every","unit":"steps","tip":"Number of steps between the texts that are sampled during training. 0 turns it off.","kind":"whole"},
  {"name":"max_new_tokens","group":"sample","heading":"Sampling","label":"Length","unit":"tokens","tip":"Largest number of tokens to generate.","kind":"whole","basic":true},
  {"name":"temperature","group":"sample","heading":"Sampling","label":"Temperature","tip":"Low values make the text predictable, high values make it varied: the logits are divided by it. 0 always takes the most likely token. Usually 0.7 to 1; above 1.2 text becomes incoherent.","formula":"p ∝ exp(z ∕ τ)","source":"Ackley et al. 1985","kind":"number","basic":true,"min":0.0,"step":0.1},
  {"name":"top_k","group":"sample","heading":"Sampling","label":"Top-k","unit":"tokens","tip":"Samples from the k most likely tokens only. 0 keeps all. Usually 0 or 40 to 100.","source":"Fan et al. 2018","kind":"whole"},
  {"name":"top_p","group":"sample","heading":"Sampling","label":"Top-p","tip":"Samples from the smallest set of tokens whose probabilities add up to this value. 1 keeps all. Usually 0.9 to 1.","formula":"fewest tokens with Σ p ≥ P","source":"Holtzman et al. 2020","kind":"number","min":0.0,"max":1.0,"step":0.05},
  {"name":"min_p","group":"sample","heading":"Sampling","label":"Min-p","tip":"Drops tokens whose probability is below this share of the most likely token's. 0 keeps all. Usually 0, or 0.05 to 0.1.","formula":"p ≥ m · max p","source":"Nguyen et al. 2024","kind":"number","min":0.0,"max":1.0,"step":0.01},
  {"name":"repetition_penalty","group":"sample","heading":"Sampling","label":"Repetition penalty","tip":"Makes tokens that already occur less likely: divides their positive logits and multiplies their negative ones. 1 turns it off. Usually 1 to 1.3.","formula":"z ∕ θ, or z · θ below zero","source":"Keskar et al. 2019 (CTRL)","kind":"number","min":0.0,"step":0.05},
  {"name":"stop","group":"sample","heading":"Sampling","label":"Stop at","tip":"Stops before this text. Several can be given.","kind":"texts"},
  {"name":"seed","group":"sample","heading":"Sampling","label":"Sampling seed","tip":"Seed of the random numbers. The same seed gives the same text.","kind":"whole"},
]
