#!/usr/bin/env python3
"""Write tests/golden/rope-* and tests/golden/window: Llamas with scaled rotary frequencies and a Mistral with
sliding-window attention, and the logits that PyTorch computes.

usage: make_logits_golden.py OUT_DIR [NAME...]

Needs torch and transformers (the committed files: see tests/golden/PROVENANCE.md). Each folder holds
  config.json, model.safetensors   a Hugging Face checkpoint with random weights
  io.safetensors                   input_ids [1,T] i64 and logits [1,T,V], far beyond the original context length
With these sizes Llama 3's rule keeps one of the eight frequencies, interpolates two and divides five.
"""
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

ORIGINAL, CONTEXT, TOKENS = 64, 256, 200
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": ORIGINAL,
}
LLAMA, MISTRAL = (LlamaConfig, LlamaForCausalLM), (MistralConfig, MistralForCausalLM)
# Architecture, RoPE scaling and other settings.
CASES = {
    "rope-linear": (LLAMA, {"rope_type": "linear", "factor": 4.0}, {}),
    "rope-llama3": (LLAMA, LLAMA3, {}),
    "window": (MISTRAL, {"rope_type": "default"}, {"sliding_window": 24}),
}


def make(folder: Path, architecture: tuple, rule: dict, more: dict, seed: int) -> None:
    torch.manual_seed(seed)
    config_class, model_class = architecture
    config = config_class(
        vocab_size=48,
        hidden_size=32,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        rope_parameters={"rope_theta": 10000.0, **rule},
        **more,
    )
    model = model_class(config).float().eval()
    with torch.no_grad():  # large enough that attention is far from uniform
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
        ids = torch.randint(0, config.vocab_size, (1, TOKENS))
        logits = model(ids).logits
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    save_file({"input_ids": ids, "logits": logits.contiguous()}, folder / "io.safetensors")
    print(folder.name, "inv_freq", model.model.rotary_emb.inv_freq.tolist())


if __name__ == "__main__":
    for seed, (name, case) in enumerate(CASES.items(), 1):
        if name in sys.argv[2:] or not sys.argv[2:]:
            make(Path(sys.argv[1]) / name, *case, seed)
