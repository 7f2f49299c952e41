"""Saves a GPT-2 with random weights in the format of transformers and as ONNX, for the decoding benchmark in the tab.

usage: export.py FOLDER [WIDTH LAYERS HEADS]   (default: 124M parameters)
"""
import sys
from pathlib import Path

import torch
from optimum.exporters.onnx import main_export
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

folder = Path(sys.argv[1])
width, layers, heads = map(int, sys.argv[2:] or (768, 12, 12))
torch.manual_seed(1)
# Without an end-of-text token, so that all contestants generate the requested number of tokens.
config = GPT2Config(n_embd=width, n_layer=layers, n_head=heads, bos_token_id=None, eos_token_id=None)
model = GPT2LMHeadModel(config)
model.generation_config.eos_token_id = model.generation_config.bos_token_id = None
model.save_pretrained(folder)
# Bytes, and placeholder names for all other tokens: their meaning does not matter here.
symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
symbols += [f"<{i}>" for i in range(len(symbols), config.vocab_size)]
tokenizer = Tokenizer(models.BPE(vocab={symbol: i for i, symbol in enumerate(symbols)}, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
main_export(str(folder), output=folder / "onnx", task="text-generation-with-past", do_validation=False)
