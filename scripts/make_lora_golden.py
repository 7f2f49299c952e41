#!/usr/bin/env python3
"""Write tests/golden/lora-*: PEFT adapters, the model's outputs with them, and their training.

usage: make_lora_golden.py OUT_DIR [NAME...]

Needs torch, transformers and peft (the committed files: see tests/golden/PROVENANCE.md). Each folder holds
  config.json, model.safetensors          a Hugging Face checkpoint with random weights
  adapter/                                adapters in PEFT's format; B is random too, so that A has a gradient
  io.safetensors                          input_ids, targets [2,T] i64; logits; loss []; grad.<tensor of the adapter>; losses and
                                          norms [STEPS] of training the adapters with AdamW; after.<tensor of the adapter>
                                          when that is done; merged.<tensor of the model> for every one that it changes then
"""
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

STEPS, LR, TOKENS, VOCABULARY = 5, 1e-2, 14, 41
CASES = {
    "lora-gpt2": (GPT2Config, GPT2LMHeadModel, dict(n_embd=16, n_layer=2, n_head=2, n_positions=16,
                                                   resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0),
                  dict(r=3, lora_alpha=5, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
    "lora-llama": (LlamaConfig, LlamaForCausalLM, dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                                                       num_attention_heads=4, num_key_value_heads=2,
                                                       max_position_embeddings=16, tie_word_embeddings=False),
                   dict(r=2, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"])),
}


def adapters(model) -> dict[str, torch.nn.Parameter]:
    """Returns the adapters' parameters by their names in PEFT's files."""
    return {name.replace(".default", ""): parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def make(folder: Path, config_class, model_class, sizes: dict, lora: dict, seed: int) -> None:
    torch.manual_seed(seed)
    config = config_class(vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=0, **sizes)
    base = model_class(config).float().eval()
    with torch.no_grad():  # far from uniform
        for parameter in base.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    base.save_pretrained(folder)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **lora))
    with torch.no_grad():
        for name, parameter in adapters(model).items():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    (folder / "generation_config.json").unlink(missing_ok=True)

    tokens = torch.randint(VOCABULARY, (2, TOKENS + 1))
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    optimizer = torch.optim.AdamW(adapters(model).values(), lr=LR, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0)
    io, losses, norms = {"input_ids": inputs, "targets": targets}, [], []
    for step in range(STEPS):
        logits = model(inputs).logits
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        gradients = {name: parameter.grad for name, parameter in adapters(model).items()}
        if step == 0:
            io |= {"logits": logits.detach(), "loss": loss.detach()}
            io |= {f"grad.{name}": gradient.clone() for name, gradient in gradients.items()}
        losses.append(loss.detach())
        norms.append(torch.nn.utils.clip_grad_norm_(adapters(model).values(), 1.0))
        optimizer.step()
    io |= {"losses": torch.stack(losses), "norms": torch.stack(norms)}
    after = adapters(model)
    assert set(after) == set(get_peft_model_state_dict(model)), "names differ from those in PEFT's files"
    io |= {f"after.{name}": parameter.detach().clone() for name, parameter in after.items()}
    before = model_class.from_pretrained(folder).float().state_dict()
    merged = model.merge_and_unload().state_dict()
    changed = {name: tensor for name, tensor in merged.items() if not torch.equal(tensor, before[name])}
    io |= {f"merged.{name}": tensor.contiguous().clone() for name, tensor in changed.items()}
    save_file(io, folder / "io.safetensors")
    print(folder.name, "losses", io["losses"].tolist(), "norms", io["norms"].tolist(), len(changed), "changed")


if __name__ == "__main__":
    for seed, (name, case) in enumerate(CASES.items(), 1):
        if not sys.argv[2:] or name in sys.argv[2:]:
            make(Path(sys.argv[1]) / name, *case, seed)
