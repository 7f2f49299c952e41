"""Times rustbpe (which needs Python) on a text file: train, then print the seconds."""
import sys
import time

import rustbpe

path, size, pattern = sys.argv[1], int(sys.argv[2]), sys.argv[3]
# The same shares of the text as Hugging Face gets: lines, so that threads have work.
lines = open(path, encoding="utf-8", newline="").read().splitlines(keepends=True)
start = time.perf_counter()
tokenizer = rustbpe.Tokenizer()
tokenizer.train_from_iterator(iter(lines), vocab_size=size, pattern=pattern)
print(time.perf_counter() - start)
