#!/usr/bin/env python3
"""Write tests/golden/gguf: two small models in GGUF, and their contents as other programs read them.

usage: make_gguf_golden.py OUT_DIR

Needs gguf, torch and transformers (the committed files: see tests/golden/PROVENANCE.md). OUT_DIR gets, for NAME llama and gpt2,
  NAME.gguf          random weights, with matrices in every supported kind of block; a byte-level BPE tokenizer
  NAME.safetensors   input_ids [1,T] i64 and logits [1,T,V] of the model that transformers loads from the file
  NAME.json          texts with their ids from the tokenizer that transformers loads from the file (llama), and sums
                     of each tensor as dequantized by the gguf package: {"tensors": {name: [sum, sum of magnitudes, last]}}
gguf quantizes the simple kinds; blocks of the K kinds, which it can only dequantize, are random bytes with small scales.
"""
import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Q
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

WIDTH, INNER, HEADS, KV, CONTEXT, TOKENS = 32, 256, 4, 2, 64, 8
TEXTS = ["she sells sea shells", " Naïve 日本語 12345 don't\n\n  x", "<|endoftext|> is text here"]
rng = np.random.default_rng(7)


def normal(*shape: int, scale: float = 0.2) -> np.ndarray:
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def k_blocks(kind: Q, rows: int, columns: int) -> np.ndarray:
    """Random blocks, with scales that give values of about the magnitude of the other tensors."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows * columns // values, size), dtype=np.uint8)
    small = (rng.random((len(blocks), 2)) * 1e-3 + 2e-4).astype(np.float16).view(np.uint8).reshape(len(blocks), 4)
    if kind == Q.Q6_K:
        small = (small.view(np.float16) / 16).view(np.uint8)
        blocks[:, -2:] = small[:, :2]
    else:
        blocks[:, :4] = small
    return blocks.reshape(rows, -1)


def permuted(weights: np.ndarray, heads: int) -> np.ndarray:
    """Reorders queries and keys as llama.cpp's convert_hf_to_gguf.py does."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weights.shape)


def tokenizer(writer: gguf.GGUFWriter, pre: str, bos: bool) -> int:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=270, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(["she sells sea shells by the sea shore, 12345 don't"] * 4, trainer)
    model = json.loads(core.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token == "<|endoftext|>" else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(bos)
    return len(tokens)


class Writer:
    def __init__(self, path: Path, architecture: str):
        self.path, self.gguf = path, gguf.GGUFWriter(path, architecture)

    def tensor(self, name: str, values: np.ndarray, kind: Q = Q.F32) -> None:
        if kind in (Q.Q4_K, Q.Q5_K, Q.Q6_K):
            stored = k_blocks(kind, *values.shape)
        else:
            stored = gguf.quantize(values, kind)
        self.gguf.add_tensor(name, stored, raw_dtype=kind)

    def close(self) -> None:
        self.gguf.write_header_to_file()
        self.gguf.write_kv_data_to_file()
        self.gguf.write_tensors_to_file()
        self.gguf.close()


def llama(path: Path) -> None:
    writer = Writer(path, "llama")
    vocab = tokenizer(writer.gguf, "gpt-2", True)
    kinds = [
        (Q.Q4_0, Q.Q4_1, Q.Q4_K, Q.F16),
        (Q.Q5_0, Q.Q5_1, Q.Q5_K, Q.BF16),
        (Q.Q8_0, Q.Q4_0, Q.Q6_K, Q.Q8_0),
    ]
    writer.gguf.add_context_length(CONTEXT)
    writer.gguf.add_embedding_length(WIDTH)
    writer.gguf.add_block_count(len(kinds))
    writer.gguf.add_feed_forward_length(INNER)
    writer.gguf.add_head_count(HEADS)
    writer.gguf.add_head_count_kv(KV)
    writer.gguf.add_layer_norm_rms_eps(1e-5)
    writer.gguf.add_rope_freq_base(500.0)
    writer.gguf.add_rope_dimension_count(WIDTH // HEADS)
    writer.gguf.add_vocab_size(vocab)
    writer.tensor("token_embd.weight", normal(vocab, WIDTH, scale=1.0), Q.Q8_0)
    for layer, (gate, up, down, attention) in enumerate(kinds):
        name = f"blk.{layer}"
        inner = WIDTH * KV // HEADS
        writer.tensor(f"{name}.attn_norm.weight", 1 + normal(WIDTH))
        writer.tensor(f"{name}.attn_q.weight", permuted(normal(WIDTH, WIDTH, scale=0.5), HEADS), attention)
        writer.tensor(f"{name}.attn_k.weight", permuted(normal(inner, WIDTH, scale=0.5), KV), attention)
        writer.tensor(f"{name}.attn_v.weight", normal(inner, WIDTH), attention)
        writer.tensor(f"{name}.attn_output.weight", normal(WIDTH, WIDTH), Q.Q8_0)
        writer.tensor(f"{name}.ffn_norm.weight", 1 + normal(WIDTH))
        writer.tensor(f"{name}.ffn_gate.weight", normal(INNER, WIDTH), gate)
        writer.tensor(f"{name}.ffn_up.weight", normal(INNER, WIDTH), up)
        writer.tensor(f"{name}.ffn_down.weight", normal(WIDTH, INNER), down)
    writer.tensor("output_norm.weight", 1 + normal(WIDTH))
    writer.close()


def gpt2(path: Path) -> None:
    writer = Writer(path, "gpt2")
    vocab = tokenizer(writer.gguf, "gpt-2", False)
    writer.gguf.add_context_length(CONTEXT)
    writer.gguf.add_embedding_length(WIDTH)
    writer.gguf.add_block_count(1)
    writer.gguf.add_feed_forward_length(2 * WIDTH)
    writer.gguf.add_head_count(HEADS)
    writer.gguf.add_layer_norm_eps(1e-5)
    writer.tensor("token_embd.weight", normal(vocab, WIDTH), Q.Q5_1)
    writer.tensor("position_embd.weight", normal(CONTEXT, WIDTH), Q.F16)
    for name, rows, columns, kind in [
        ("attn_qkv", 3 * WIDTH, WIDTH, Q.Q4_1),
        ("attn_output", WIDTH, WIDTH, Q.Q5_0),
        ("ffn_up", 2 * WIDTH, WIDTH, Q.Q8_0),
        ("ffn_down", WIDTH, 2 * WIDTH, Q.Q4_0),
    ]:
        writer.tensor(f"blk.0.{name}.weight", normal(rows, columns, scale=0.5), kind)
        writer.tensor(f"blk.0.{name}.bias", normal(rows))
    for name in ["blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"]:
        writer.tensor(f"{name}.weight", 1 + normal(WIDTH))
        writer.tensor(f"{name}.bias", normal(WIDTH))
    writer.close()


def reference(out: Path, name: str) -> None:
    file = f"{name}.gguf"
    config = AutoConfig.from_pretrained(out, gguf_file=file)
    if name == "gpt2":  # two settings that transformers does not read from GGUF
        config.n_positions, config.n_inner = CONTEXT, 2 * WIDTH
    model = AutoModelForCausalLM.from_pretrained(out, gguf_file=file, config=config, dtype=torch.float32).eval()
    torch.manual_seed(1)
    ids = torch.randint(0, model.config.vocab_size, (1, TOKENS))
    with torch.no_grad():
        logits = model(ids).logits
    print(name, "mean magnitude of the logits", logits.abs().mean().item())
    save_file({"input_ids": ids, "logits": logits.contiguous()}, out / f"{name}.safetensors")
    tensors = {}
    for tensor in gguf.GGUFReader(out / file).tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        tensors[tensor.name] = [values.sum(), np.abs(values).sum(), values.flat[-1]]
    told = {"tensors": tensors}
    if name == "llama":
        made = AutoTokenizer.from_pretrained(out, gguf_file=file)
        told["texts"] = {text: made.encode(text, add_special_tokens=False) for text in TEXTS[:2]}
    (out / f"{name}.json").write_text(json.dumps(told, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in {"llama": llama, "gpt2": gpt2}.items():
        make(folder / f"{name}.gguf")
        reference(folder, name)
