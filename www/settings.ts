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
heading: string, label: string, unit?: string, kind: Kind, 
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
  {"name":"num_hidden_layers","group":"model","heading":"Model","label":"Layers","kind":"whole","basic":true,"min":1.0,"max":1073741824.0},
  {"name":"hidden_size","group":"model","heading":"Model","label":"Width","kind":"whole","basic":true,"min":1.0,"max":1073741824.0,"step":8.0},
  {"name":"num_attention_heads","group":"model","heading":"Model","label":"Heads","kind":"whole","basic":true,"min":1.0,"max":1073741824.0},
  {"name":"max_position_embeddings","group":"model","heading":"Model","label":"Context length","unit":"tokens","kind":"whole","min":1.0,"max":1073741824.0},
  {"name":"intermediate_size","group":"model","heading":"Model","label":"MLP width","kind":"whole","min":1.0,"max":1073741824.0},
  {"name":"num_key_value_heads","group":"model","heading":"Model","label":"Key-value heads","kind":"whole","min":1.0,"max":1073741824.0},
  {"name":"head_dim","group":"model","heading":"Model","label":"Head width","kind":"whole","min":1.0,"max":512.0},
  {"name":"position_embedding","group":"model","heading":"Model","label":"Position embedding","kind":"choice","choices":[["learned","learned (GPT-2)"],["rope","rotary (LLaMA)"],["sinusoidal","sinusoidal"],["none","none"]]},
  {"name":"rope_theta","group":"model","heading":"Model","label":"RoPE base","kind":"number","min":1.0,"applies_if":{"key":"position_embedding","value":"rope","equal":true}},
  {"name":"norm","group":"model","heading":"Model","label":"Normalization","kind":"choice","choices":[["layer_norm","LayerNorm (GPT-2)"],["rms_norm","RMSNorm (LLaMA)"]]},
  {"name":"norm_eps","group":"model","heading":"Model","label":"Normalization ε","kind":"number","min":0.0,"max":1.0},
  {"name":"norm_bias","group":"model","heading":"Model","label":"Normalization bias","kind":"switch","applies_if":{"key":"norm","value":"layer_norm","equal":true}},
  {"name":"hidden_act","group":"model","heading":"Model","label":"Activation","kind":"choice","choices":[["gelu","GELU (GPT-2)"],["gelu_erf","GELU, exact"],["swiglu","SwiGLU (LLaMA)"],["relu2","ReLU²"]]},
  {"name":"fused_qkv","group":"model","heading":"Model","label":"Fused QKV","kind":"switch"},
  {"name":"attention_bias","group":"model","heading":"Model","label":"Attention bias","kind":"switch"},
  {"name":"mlp_bias","group":"model","heading":"Model","label":"MLP bias","kind":"switch"},
  {"name":"tie_word_embeddings","group":"model","heading":"Model","label":"Tied embeddings","kind":"switch"},
  {"name":"qk_norm","group":"model","heading":"Model","label":"QK norm","kind":"switch"},
  {"name":"attn_logit_softcapping","group":"model","heading":"Model","label":"Attention soft cap","kind":"number","optional":true,"min":0.0},
  {"name":"final_logit_softcapping","group":"model","heading":"Model","label":"Logit soft cap","kind":"number","optional":true,"min":0.0},
  {"name":"sliding_window","group":"model","heading":"Model","label":"Sliding window","unit":"tokens","kind":"whole","optional":true,"min":1.0,"max":1073741824.0},
  {"name":"dropout","group":"model","heading":"Model","label":"Dropout","kind":"number","min":0.0,"max":1.0,"step":0.05},
  {"name":"init","group":"model","heading":"Model","label":"Initialization","kind":"choice","choices":[["gpt2","GPT-2"],["fan_in","by fan-in"]]},
  {"name":"initializer_range","group":"model","heading":"Model","label":"Init std","kind":"number","min":0.0},
  {"name":"seq_len","group":"data","heading":"Data","label":"Sequence length","unit":"tokens","kind":"whole","min":1.0,"max":1073741824.0},
  {"name":"val_fraction","group":"data","heading":"Data","label":"Validation share","kind":"number","min":0.0,"max":1.0,"step":0.05},
  {"name":"order","group":"data","heading":"Data","label":"Order","kind":"choice","choices":[["random","random"],["sequential","whole epochs"]]},
  {"name":"document_boundaries","group":"data","heading":"Data","label":"Document boundaries","kind":"switch"},
  {"name":"steps","group":"train","heading":"Training","label":"Steps","kind":"whole","basic":true},
  {"name":"batch_size","group":"train","heading":"Training","label":"Batch size","unit":"sequences","kind":"whole","basic":true,"min":1.0},
  {"name":"grad_accum","group":"train","heading":"Training","label":"Gradient accumulation","unit":"batches","kind":"whole","min":1.0,"max":65536.0},
  {"name":"gradient_checkpointing","group":"train","heading":"Training","label":"Gradient checkpointing","kind":"switch"},
  {"name":"precision","group":"train","heading":"Training","label":"Precision","kind":"choice","choices":[["f32","32 bits"],["f16","16 bits"]]},
  {"name":"seed","group":"train","heading":"Training","label":"Seed","kind":"whole"},
  {"name":"eval_every","group":"train","heading":"Training","label":"Validate every","unit":"steps","kind":"whole"},
  {"name":"optimizer","group":"train","heading":"Optimizer","label":"Optimizer","kind":"choice","choices":[["adamw","AdamW"],["muon","Muon + AdamW"]]},
  {"name":"lr","group":"train","heading":"Optimizer","label":"Learning rate","kind":"number","basic":true,"min":0.0},
  {"name":"beta1","group":"train","heading":"Optimizer","label":"AdamW β₁","kind":"number","min":0.0,"max":1.0,"step":0.01},
  {"name":"beta2","group":"train","heading":"Optimizer","label":"AdamW β₂","kind":"number","min":0.0,"max":1.0,"step":0.01},
  {"name":"eps","group":"train","heading":"Optimizer","label":"AdamW ε","kind":"number","min":0.0},
  {"name":"weight_decay","group":"train","heading":"Optimizer","label":"Weight decay","kind":"number","min":0.0,"step":0.05},
  {"name":"muon_lr","group":"train","heading":"Optimizer","label":"Muon learning rate","kind":"number","min":0.0,"applies_if":{"key":"optimizer","value":"muon","equal":true}},
  {"name":"muon_momentum","group":"train","heading":"Optimizer","label":"Muon momentum","kind":"number","min":0.0,"max":1.0,"step":0.01,"applies_if":{"key":"optimizer","value":"muon","equal":true}},
  {"name":"grad_clip","group":"train","heading":"Optimizer","label":"Gradient clipping","kind":"number","min":0.0,"step":0.1},
  {"name":"schedule","group":"train","heading":"Learning-rate schedule","label":"Schedule","kind":"choice","choices":[["cosine","cosine"],["linear","linear"],["constant","constant"],["warmup_stable_decay","stable, then decay"]]},
  {"name":"min_lr","group":"train","heading":"Learning-rate schedule","label":"Final learning rate","kind":"number","min":0.0,"applies_if":{"key":"schedule","value":"constant","equal":false}},
  {"name":"warmup_steps","group":"train","heading":"Learning-rate schedule","label":"Warm-up","unit":"steps","kind":"whole"},
  {"name":"decay_steps","group":"train","heading":"Learning-rate schedule","label":"Decay","unit":"steps","kind":"whole","applies_if":{"key":"schedule","value":"warmup_stable_decay","equal":true}},
  {"name":"z_loss","group":"train","heading":"Objective","label":"z-loss","kind":"number","min":0.0},
  {"name":"dpo_beta","group":"train","heading":"Objective","label":"DPO β","kind":"number","min":0.0,"step":0.05,"applies_if":{"key":"kind","value":"preferences","equal":true}},
  {"name":"lora_rank","group":"train","heading":"Adapters (LoRA)","label":"LoRA rank","kind":"whole","min":0.0,"max":1073741824.0},
  {"name":"lora_alpha","group":"train","heading":"Adapters (LoRA)","label":"LoRA α","kind":"number","min":0.0,"step":1.0,"applies_if":{"key":"lora_rank","value":"0","equal":false}},
  {"name":"lora_targets","group":"train","heading":"Adapters (LoRA)","label":"Target modules","kind":"names","applies_if":{"key":"lora_rank","value":"0","equal":false}},
  {"name":"lora_embeddings","group":"train","heading":"Adapters (LoRA)","label":"Train embeddings","kind":"switch","applies_if":{"key":"lora_rank","value":"0","equal":false}},
  {"name":"save_every","group":"train","heading":"Checkpoints","label":"Save every","unit":"steps","kind":"whole"},
  {"name":"keep_last","group":"train","heading":"Checkpoints","label":"Newest checkpoints kept","kind":"whole","min":1.0},
  {"name":"keep_spread","group":"train","heading":"Checkpoints","label":"Older checkpoints kept","kind":"whole"},
  {"name":"sample_every","group":"run","heading":"Monitoring","label":"Sample every","unit":"steps","kind":"whole"},
  {"name":"max_new_tokens","group":"sample","heading":"Sampling","label":"Length","unit":"tokens","kind":"whole","basic":true},
  {"name":"temperature","group":"sample","heading":"Sampling","label":"Temperature","kind":"number","basic":true,"min":0.0,"step":0.1},
  {"name":"top_k","group":"sample","heading":"Sampling","label":"Top-k","unit":"tokens","kind":"whole"},
  {"name":"top_p","group":"sample","heading":"Sampling","label":"Top-p","kind":"number","min":0.0,"max":1.0,"step":0.05},
  {"name":"min_p","group":"sample","heading":"Sampling","label":"Min-p","kind":"number","min":0.0,"max":1.0,"step":0.01},
  {"name":"repetition_penalty","group":"sample","heading":"Sampling","label":"Repetition penalty","kind":"number","min":0.0,"step":0.05},
  {"name":"stop","group":"sample","heading":"Sampling","label":"Stop at","kind":"texts"},
  {"name":"seed","group":"sample","heading":"Sampling","label":"Sampling seed","kind":"whole"},
]
