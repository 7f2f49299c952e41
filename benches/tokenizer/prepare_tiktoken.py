"""Prepares JSON Lines as nanoGPT's and llm.c's scripts do, with tiktoken in one process, and prints the seconds and the tokens."""
import json
import sys
import time

import numpy as np
import tiktoken
from tiktoken.load import load_tiktoken_bpe

ranks, documents, out = sys.argv[1:4]
pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
encoding = tiktoken.Encoding(
    "gpt2", pat_str=pattern, mergeable_ranks=load_tiktoken_bpe(ranks), special_tokens={"<|endoftext|>": 50256}
)
start = time.perf_counter()
tokens = 0
with open(documents, encoding="utf-8") as lines, open(out, "wb") as shard:
    for line in lines:
        ids = encoding.encode_ordinary(json.loads(line)["text"])
        ids.append(50256)
        tokens += len(ids)
        shard.write(np.array(ids, dtype=np.uint16).tobytes())
print(time.perf_counter() - start, tokens)
