#!/usr/bin/env python3
"""Write a small vocabulary of the sentencepiece library and its encodings of some texts into a folder.

The settings are Llama 2's. usage: make_sentencepiece_golden.py FOLDER
"""
import io
import json
import random
import sys
from pathlib import Path

import sentencepiece

ROOT = Path(__file__).resolve().parent.parent
TEXTS = [
    "To be, or not to be, that is the question:",
    " two  spaces   and\ttabs\nand lines\r\n ",
    "naïve café — “quotes” ½² 日本語 👩‍👧 e\u0301",
    "1234567 aaaaaaaaaaaa  thethethe ▁ ▁▁x",
    "",
    "x",
    " ",
]

model = io.BytesIO()
text = (ROOT / "assets/text/shakespeare.txt").read_text()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(text[:200_000].splitlines()),
    model_writer=model,
    model_type="bpe",
    vocab_size=800,
    normalization_rule_name="identity",
    remove_extra_whitespaces=False,
    byte_fallback=True,
    split_digits=True,
    allow_whitespace_only_pieces=True,
    minloglevel=2,
)
pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
ids = range(pieces.get_piece_size())


def kind(i):
    """Returns llama.cpp's `llama_token_type`: normal, unknown, control or byte."""
    return 2 if pieces.is_unknown(i) else 3 if pieces.is_control(i) else 6 if pieces.is_byte(i) else 1


# Bytes that start, continue or end a UTF-8 sequence, or never occur in one; whole characters; text pieces.
STRAY = [[f"<0x{byte:02X}>"] for byte in b"\x80\x8f\x90\xa0\xbf\xc0\xc3\xe3\x81\xed\xf0\x9f\x98\xf4\xff"]
WHOLE = [[f"<0x{byte:02X}>" for byte in letter.encode()] for letter in "Aéあ😀"] + [["▁the"], ["e"]]
chance = random.Random(1)
spelt = [sum((chance.choice(chance.choice([STRAY, WHOLE])) for _ in range(chance.randint(1, 7))), []) for _ in range(300)]

Path(sys.argv[1], "cases.json").write_text(
    json.dumps(
        {
            "sentencepiece": sentencepiece.__version__,
            "tokens": [pieces.id_to_piece(i) for i in ids],
            "scores": [pieces.get_score(i) for i in ids],
            "token_types": [kind(i) for i in ids],
            "texts": [{"text": t, "ids": pieces.encode(t), "decoded": pieces.decode(pieces.encode(t))} for t in TEXTS + [text[-3000:]]],
            "bytes": [{"ids": " ".join(map(str, ids)), "decoded": pieces.decode(ids)} for ids in map(pieces.piece_to_id, spelt)],
        },
        ensure_ascii=False,
        indent=0,
    )
    + "\n"
)
