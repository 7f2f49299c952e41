"""GPT-2's smallest shape in PyTorch with random weights and a preallocated KV cache.

Takes the number of threads and the device. Reads lines "START COUNT" and answers each with the seconds to decode COUNT tokens after the first START.
"""
import sys
import time

import torch
import torch.nn.functional as F

VOCAB, CONTEXT, WIDTH, LAYERS, HEADS = 50257, 1024, 768, 12, 12
torch.set_num_threads(int(sys.argv[1]))
if sys.argv[2] == "cuda" and not torch.cuda.is_available():
    sys.exit("PyTorch finds no NVIDIA GPU")
torch.set_default_device(sys.argv[2])
torch.manual_seed(1)


def normal(*shape):
    return torch.randn(*shape) * 0.02


def layer():
    width = WIDTH
    shapes = {"qkv": (3 * width, width), "out": (width, width), "up": (4 * width, width), "down": (width, 4 * width)}
    weights = {name: (normal(*shape), torch.zeros(shape[0])) for name, shape in shapes.items()}
    norms = {name: (torch.ones(width), torch.zeros(width)) for name in ("norm1", "norm2")}
    return weights | norms


tokens, positions = normal(VOCAB, WIDTH), normal(CONTEXT, WIDTH)
layers = [layer() for _ in range(LAYERS)]
last_norm = (torch.ones(WIDTH), torch.zeros(WIDTH))
keys, values = (torch.zeros(LAYERS, 1, HEADS, CONTEXT, WIDTH // HEADS) for _ in range(2))


def following(ids, start):
    """Returns the most likely token after `ids [T]`, whose first is at position `start`."""
    count = len(ids)
    end = start + count
    x = tokens[ids] + positions[start:end]
    for i, w in enumerate(layers):
        qkv = F.linear(F.layer_norm(x, (WIDTH,), *w["norm1"]), *w["qkv"])
        q, k, v = qkv.view(count, 3, HEADS, -1).permute(1, 2, 0, 3).unsqueeze(1)
        keys[i, :, :, start:end], values[i, :, :, start:end] = k, v
        # A single token attends to all keys; several are only prefilled from position 0.
        seen = F.scaled_dot_product_attention(q, keys[i, :, :, :end], values[i, :, :, :end], is_causal=count > 1)
        x = x + F.linear(seen[0].transpose(0, 1).reshape(count, WIDTH), *w["out"])
        h = F.linear(F.layer_norm(x, (WIDTH,), *w["norm2"]), *w["up"])
        x = x + F.linear(F.gelu(h, approximate="tanh"), *w["down"])
    return F.linear(F.layer_norm(x[-1:], (WIDTH,), *last_norm), tokens).argmax().view(1)


with torch.inference_mode():
    where = torch.cuda.get_device_name() if sys.argv[2] == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"PyTorch {torch.__version__} on {where}, f32, eager", flush=True)
    read = 0
    for line in sys.stdin:
        start, count = map(int, line.split())
        if read != start:
            following(torch.arange(start) * 7919 % VOCAB, 0)
            read = start
        token = torch.tensor([1])
        begun = time.perf_counter()
        for position in range(start, start + count):
            token = following(token, position)
        token.item()
        print(time.perf_counter() - begun, flush=True)
