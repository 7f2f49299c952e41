#!/usr/bin/env python3
"""Write tests/golden/chat: a small tokenizer, conversations, and their tokens from transformers' chat template.

usage: make_chat_golden.py OUT_DIR

Needs tokenizers and transformers (the committed files: see tests/golden/PROVENANCE.md). OUT_DIR gets
  tokenizer.json   byte-level BPE with the special tokens around a chat message
  cases.json       {"template": …, "cases": [{"messages", "ids", "learnt", "prompt"}]}: the tokens of each conversation,
                   its loss mask (1: the assistant's tokens), and the tokens that prompt the assistant's next message
"""
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] | trim) + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# The same, with transformers' generation marks around the assistant's messages.
MARKED = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ (message['content'] | trim) + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ (message['content'] | trim) + '<|im_end|>' }}{% endif %}"
    "{{ '\\n' }}"
    "{% endfor %}"
)
SAID = [
    [("user", "How are you?"), ("assistant", "Well, and you?")],
    [
        ("system", "Answer in verse."),
        ("user", "  What is 2 + 2?\n"),
        ("assistant", "\n\nFour.\n\nNo more,\n  no less. "),
        ("user", "Naïve, 日本語, 👍🏽, don't?"),
        ("assistant", "日本語 — «oui»; it's \t\tfine…\u00a0"),
    ],
    [("user", ""), ("assistant", ""), ("user", "\x1c again \x1f"), ("assistant", "1234567 <b>&amp;</b>")],
    [("assistant", "I begin."), ("user", "You may."), ("assistant", "I do, I do.")],
]


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator([f"{role}\n{text}\n" for case in SAID for role, text in case] * 3, trainer)
    core.save(str(out / "tokenizer.json"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    cases = []
    for said in SAID:
        messages = [{"role": role, "content": text} for role, text in said]
        plain = tokenizer.apply_chat_template(messages, chat_template=TEMPLATE, return_dict=True)["input_ids"]
        prompt = tokenizer.apply_chat_template(
            messages, chat_template=TEMPLATE, add_generation_prompt=True, return_dict=True
        )["input_ids"]
        marked = tokenizer.apply_chat_template(
            messages, chat_template=MARKED, return_dict=True, return_assistant_tokens_mask=True
        )
        assert marked["input_ids"] == plain
        learnt = marked["assistant_masks"]
        cases.append({"messages": messages, "ids": plain, "learnt": learnt, "prompt": prompt})
    text = json.dumps({"template": TEMPLATE, "cases": cases}, ensure_ascii=False)
    (out / "cases.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
