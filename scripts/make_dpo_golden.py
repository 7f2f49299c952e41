#!/usr/bin/env python3
"""Write tests/golden/dpo-*: the loss of direct preference optimization and its gradients, from PyTorch.

usage: make_dpo_golden.py OUT_DIR [NAME...]

Needs torch and transformers (the committed files: see tests/golden/PROVENANCE.md). Each folder holds
  config.json, model.safetensors   a Hugging Face checkpoint with random weights
  pairs.safetensors                input_ids, targets [2P,T] i64, chosen and rejected completions interleaved; a target is 0
                                   where it does not count (prompts and padding); log_probabilities and reference
                                   [2P]; loss []; margins [P]; grad.<param> for every parameter
The reference model is the same model with every weight multiplied by REFERENCE. The loss is that of Rafailov et al. 2023, equation 7.
"""
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import log_softmax, logsigmoid
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

BETA, REFERENCE, PAIRS, TOKENS, VOCABULARY = 0.5, 0.8, 3, 14, 41
CASES = {
    "dpo-gpt2": (GPT2Config, GPT2LMHeadModel, dict(n_embd=16, n_layer=2, n_head=2, n_positions=16,
                                                  resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)),
    "dpo-llama": (LlamaConfig, LlamaForCausalLM, dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                                                      num_attention_heads=4, num_key_value_heads=2,
                                                      max_position_embeddings=16, tie_word_embeddings=False)),
}


def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.zeros(2 * PAIRS, TOKENS, dtype=torch.long)
    targets = torch.zeros_like(inputs)
    for pair in range(PAIRS):
        prompt = torch.randint(1, VOCABULARY, (3 + pair,))
        for side in range(2):
            answer = torch.randint(1, VOCABULARY, (4 + (pair + 2 * side) % 5,))
            row, ids = 2 * pair + side, torch.cat([prompt, answer])
            inputs[row, : len(ids) - 1] = ids[:-1]
            targets[row, len(prompt) - 1 : len(ids) - 1] = answer
    return inputs, targets


def log_probabilities(model, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    of_tokens = log_softmax(model(inputs).logits, -1).gather(-1, targets[..., None])[..., 0]
    return (of_tokens * (targets > 0)).sum(-1)


def make(folder: Path, config_class, model_class, sizes: dict, seed: int) -> None:
    torch.manual_seed(seed)
    config = config_class(vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=0, **sizes)
    model = model_class(config).float().eval()
    with torch.no_grad():  # far from uniform, so that margins differ
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    inputs, targets = pairs()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(REFERENCE)
        reference = log_probabilities(model, inputs, targets)
    model = model_class.from_pretrained(folder).float().eval()
    policy = log_probabilities(model, inputs, targets)
    chosen, rejected = policy[0::2] - reference[0::2], policy[1::2] - reference[1::2]
    loss = -logsigmoid(BETA * (chosen - rejected)).mean()
    loss.backward()
    io = {"input_ids": inputs, "targets": targets, "log_probabilities": policy.detach(), "reference": reference,
          "loss": loss.detach(), "margins": BETA * (chosen - rejected).detach()}
    io |= {f"grad.{name}": parameter.grad.contiguous() for name, parameter in model.named_parameters()}
    save_file(io, folder / "pairs.safetensors")
    (folder / "generation_config.json").unlink(missing_ok=True)
    print(folder.name, "loss", loss.item(), "margins", io["margins"].tolist())


if __name__ == "__main__":
    for seed, (name, case) in enumerate(CASES.items(), 1):
        if not sys.argv[2:] or name in sys.argv[2:]:
            make(Path(sys.argv[1]) / name, *case, seed)
