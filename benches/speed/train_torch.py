"""GPT-2 in PyTorch as nanoGPT trains it: flash attention and fused AdamW; on a GPU also torch.compile and autocast.

Takes its settings as a JSON argument. Reads lines "STEPS" and answers each with the seconds of that many steps and the last loss.
"""
import json
import math
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

c = json.loads(sys.argv[1])
cuda = c["device"] == "cuda"
if cuda and not torch.cuda.is_available():
    sys.exit("PyTorch finds no NVIDIA GPU")
device = torch.device(c["device"])
torch.set_num_threads(c["threads"])
torch.manual_seed(1)
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (part.view(B, T, self.heads, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(C, dim=2))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(B, T, C))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(c["vocab"], c["width"]), nn.Embedding(c["context"], c["width"])
        self.blocks = nn.ModuleList(Block(c["width"], c["heads"]) for _ in range(c["layers"]))
        self.norm = nn.LayerNorm(c["width"])
        for name, p in self.named_parameters():
            if p.dim() > 1:
                into_stream = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * c["layers"]) if into_stream else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.tokens.weight)
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))


with open(c["data"], "rb") as file:
    text = torch.frombuffer(bytearray(file.read()), dtype=torch.uint16).long()


def batch():
    at = torch.randint(len(text) - c["context"], (c["batch"], 1)) + torch.arange(c["context"])
    pair = text[at], text[at + 1]
    return [ids.pin_memory().to(device, non_blocking=True) for ids in pair] if cuda else pair


model = Gpt().to(device)
groups = [
    {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": c["weight_decay"]},
    {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
]
optimizer = torch.optim.AdamW(groups, lr=c["lr"], betas=c["betas"], fused=True)
half = {"bf16": torch.bfloat16, "f16": torch.float16}.get(c["precision"])
scaler = torch.amp.GradScaler(device.type, enabled=half == torch.float16)
run = torch.compile(model) if cuda else model
name = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
print(f"PyTorch {torch.__version__} on {name}, {c['precision']}{', compiled' if cuda else ''}", flush=True)


def step():
    with torch.autocast(device.type, dtype=half, enabled=half is not None):
        loss = run(*batch())
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(model.parameters(), c["grad_clip"])
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return loss


for line in sys.stdin:
    begun = time.perf_counter()
    for _ in range(int(line)):
        loss = step()
    loss = loss.item()
    if cuda:
        torch.cuda.synchronize()
    print(time.perf_counter() - begun, loss, flush=True)
