"""Trains rustbpe, a Python package, on a text file and prints the seconds."""
import sys
import time

import rustbpe

path, size, pattern = sys.argv[1], int(sys.argv[2]), sys.argv[3]
# Lines, as tokenizers gets them, so that the threads have work.
lines = open(path, encoding="utf-8", newline="").read().splitlines(keepends=True)
start = time.perf_counter()
tokenizer = rustbpe.Tokenizer()
tokenizer.train_from_iterator(iter(lines), vocab_size=size, pattern=pattern)
print(time.perf_counter() - start)
