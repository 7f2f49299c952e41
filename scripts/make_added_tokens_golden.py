#!/usr/bin/env python3
"""Write small tokenizer.json files with added tokens and rare forms, and their encodings by tokenizers, into a folder.

usage: make_added_tokens_golden.py FOLDER
"""
import json
import sys
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer

PROMPTS = [
    "ok zebra hi",
    "zebra",
    "okzebra",
    "hi  zebra",
    "zebra zebras hizebra  ",
    " zebra hi ",
    "zebra<x>hi zebra",
    "a <x> b<x>  hi",
    "ab Cafe\u0301 caf\u00e9 \ufb01 hi",
    "Zebra, zebras z\u00e9bra ZEBRA",
    "hizebra-x zebra_x hi",
]


def byte_characters():
    """GPT-2's printable character for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(256 + others.index(byte)) if byte in others else chr(byte) for byte in range(256)]


BYTES = byte_characters()
BYTE_VOCAB = {token: id for id, token in enumerate(BYTES)} | {"hi": 256, BYTES[32] + "hi": 257}
SP_MERGES = ["▁ o", "▁o k", "▁ h", "▁h i", "o k", "h i"]
SP_TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"okhis<>/"]
SP_TOKENS += [merge.replace(" ", "") for merge in SP_MERGES]
SP_VOCAB = {token: id for id, token in enumerate(SP_TOKENS)}
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
PREPEND = {"type": "Prepend", "prepend": "▁"}
LLAMA2 = {"type": "Sequence", "normalizers": [PREPEND, REPLACE]}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def added(id, content, special=False, **settings):
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": id, "content": content, "special": special} | plain | settings


def metaspace(**settings):
    return {"type": "Metaspace", "replacement": "▁"} | settings


def tokenizer(model, added_tokens, normalizer, pre_tokenizer, decoder):
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added_tokens),
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": decoder,
        "model": model,
    }


def bpe(vocab, merges, unknown, fuse, byte_fallback):
    return {
        "type": "BPE", "dropout": None, "unk_token": unknown, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": fuse, "byte_fallback": byte_fallback, "ignore_merges": False,
        "vocab": vocab, "merges": merges,
    }


def byte_level(*tokens, normalizer=None, pre=BYTE_LEVEL, decoder=BYTE_LEVEL, vocab=BYTE_VOCAB, unknown=None, fuse=False):
    model = bpe(vocab, ["h i", BYTES[32] + " hi"], unknown, fuse, False)
    return tokenizer(model, tokens, normalizer, pre, decoder)


def sentencepiece(*tokens, normalizer=LLAMA2, pre=None):
    known = [added(id, SP_TOKENS[id], special=True) for id in range(3)]
    back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    decoder = {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}, strip]}
    return tokenizer(bpe(SP_VOCAB, SP_MERGES, "<unk>", True, True), [*known, *tokens], normalizer, pre, decoder)


def word_piece(*tokens):
    words = ["[UNK]", "she", "sells", "##s", "shells", "sea", ",", "zebra"]
    bert = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    model = {
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": {word: id for id, word in enumerate(words)},
    }
    decoder = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    known = added(0, "[UNK]", special=True)
    return tokenizer(model, [known, *tokens], {"type": "BertNormalizer"} | bert, {"type": "BertPreTokenizer"}, decoder)


ZEBRA = added(274, "zebra", normalized=True)
X = added(275, "<x>", special=True)
LACKING = {token: id for token, id in BYTE_VOCAB.items() if id not in (ord("z"), ord("e"), 0xC3)} | {"<unk>": 258}
UNKNOWN = added(258, "<unk>", special=True)
CASES = {
    "sp normalized": sentencepiece(ZEBRA),
    "sp plain": sentencepiece(added(274, "zebra")),
    "sp normalized after special": sentencepiece(ZEBRA, X),
    "sp metaspace normalized": sentencepiece(
        ZEBRA, X, normalizer=None, pre=metaspace(prepend_scheme="first", split=True)
    ),
    "sp metaspace old": sentencepiece(ZEBRA, normalizer=None, pre=metaspace(add_prefix_space=True, str_rep="▁")),
    "sp normalizer without prefix": sentencepiece(added(274, "zebra hi", normalized=True), normalizer=REPLACE),
    "sp sequences of one": sentencepiece(
        normalizer=None,
        pre={"type": "Sequence", "pretokenizers": [metaspace(prepend_scheme="always", split=True)]},
    ),
    "order": byte_level(
        added(258, "zebra", normalized=True), added(259, "bra"), added(260, "ra zebra", normalized=True)
    ),
    "longest": byte_level(added(258, "ze"), added(259, "zebra")),
    "lstrip": byte_level(added(258, "<x>", special=True, lstrip=True), added(259, "zebra", lstrip=True)),
    "rstrip": byte_level(added(258, "<x>", special=True, rstrip=True), added(259, "zebra", rstrip=True)),
    "both strips": byte_level(
        added(258, "<x>", special=True, lstrip=True, rstrip=True), added(259, "zebra", lstrip=True, rstrip=True)
    ),
    "single word": byte_level(
        added(258, "zebra", single_word=True), added(256, "hi", single_word=True, normalized=True)
    ),
    "nfc": byte_level(added(258, "Cafe\u0301", normalized=True), normalizer={"type": "NFC"}),
    "nfkc": byte_level(normalizer={"type": "NFKC"}),
    "nfd in a sequence": byte_level(normalizer={"type": "Sequence", "normalizers": [{"type": "NFD"}]}),
    "empty sequences": byte_level(
        normalizer={"type": "Sequence", "normalizers": []},
        pre={"type": "Sequence", "pretokenizers": [BYTE_LEVEL]},
        decoder={"type": "Sequence", "decoders": [BYTE_LEVEL]},
    ),
    "prefix space": byte_level(added(258, "<x>", special=True), pre=BYTE_LEVEL | {"add_prefix_space": True}),
    "unknown bytes": byte_level(UNKNOWN, vocab=LACKING, unknown="<unk>"),
    "unknown bytes fused": byte_level(UNKNOWN, vocab=LACKING, unknown="<unk>", fuse=True),
    "wordpiece normalized": word_piece(added(8, "Zebra", normalized=True)),
    "wordpiece plain": word_piece(added(8, "Zebra")),
}


def case(name, file):
    reference = Tokenizer.from_str(json.dumps(file))
    ids = [reference.encode(prompt, add_special_tokens=False).ids for prompt in PROMPTS]
    entry = {"name": name, "file": file, "ids": ids}
    # The two large vocabularies are written once.
    model = file["model"]
    if model["type"] == "BPE":
        shared = SP_VOCAB if model["byte_fallback"] else BYTE_VOCAB
        entry["vocab"] = "sentencepiece_vocab" if model["byte_fallback"] else "byte_vocab"
        entry["without"] = [token for token in shared if token not in model["vocab"]]
        entry["with"] = {token: id for token, id in model["vocab"].items() if token not in shared}
        entry["file"] = file | {"model": {key: value for key, value in model.items() if key != "vocab"}}
    return entry


def line(value):
    return json.dumps(value, ensure_ascii=False)


parts = [f' "tokenizers": {line(tokenizers.__version__)}', f' "prompts": {line(PROMPTS)}']
parts += [f' "byte_vocab": {line(BYTE_VOCAB)}', f' "sentencepiece_vocab": {line(SP_VOCAB)}']
cases = ",\n  ".join(line(case(name, file)) for name, file in CASES.items())
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
(folder / "cases.json").write_text("{\n" + ",\n".join([*parts, f' "cases": [\n  {cases}\n ]']) + "\n}\n")
