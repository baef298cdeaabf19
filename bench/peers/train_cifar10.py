"""Trains ResNet-20 on CIFAR-10 in PyTorch by the recipe of models/resnet20-train.cplan; prints one JSON line. Arguments: epochs, seed, threads. CEC_DATA names the data."""
import glob
import json
import math
import os
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

from resnet20 import resnet20

epochs, seed, threads = map(int, sys.argv[1:4])
BATCH, RATE, WARMUP, DECAY = 128, 0.1, 200, 5e-4
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
torch.set_num_threads(threads)
torch.manual_seed(seed)
draw = np.random.default_rng(seed)


def load(pattern):
    files = sorted(glob.glob(os.path.join(os.environ["CEC_DATA"], "cifar10", pattern)))
    rows = np.concatenate([np.fromfile(f, np.uint8).reshape(-1, 3073) for f in files])
    pixels = rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    return (pixels - MEAN[:, None, None]) / STD[:, None, None], rows[:, 0].astype(np.int64)


def batch(images, indices):
    """Windows out of 4 pixels of zero padding, mirrored every other time."""
    padded = np.pad(images[indices], ((0, 0), (0, 0), (4, 4), (4, 4)))
    out = np.empty((len(indices), 3, 32, 32), np.float32)
    for i, (y, x, flip) in enumerate(zip(draw.integers(0, 9, len(indices)), draw.integers(0, 9, len(indices)), draw.integers(0, 2, len(indices)))):
        window = padded[i, :, y : y + 32, x : x + 32]
        out[i] = window[:, :, ::-1] if flip else window
    return torch.from_numpy(out).contiguous(memory_format=torch.channels_last)


images, labels = load("data_batch_*.bin")
net = resnet20()
matrices = [p for p in net.parameters() if p.dim() > 1]
vectors = [p for p in net.parameters() if p.dim() <= 1]
groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0}]
optimizer = torch.optim.SGD(groups, lr=RATE, momentum=0.9, nesterov=True)
per_epoch = len(images) // BATCH
total, step, loss, started = epochs * per_epoch, 0, 0.0, time.perf_counter()
for epoch in range(epochs):
    order = draw.permutation(len(images))
    for b in range(per_epoch):
        at = order[b * BATCH : (b + 1) * BATCH]
        rate = RATE * (step + 1) / WARMUP if step < WARMUP else 0.5 * RATE * (1 + math.cos(math.pi * (step - WARMUP) / max(1, total - WARMUP)))
        for g in optimizer.param_groups:
            g["lr"] = rate
        optimizer.zero_grad()
        value = F.cross_entropy(net(batch(images, at)), torch.from_numpy(labels[at]))
        value.backward()
        optimizer.step()
        loss, step = value.item() if step == 0 else 0.95 * loss + 0.05 * value.item(), step + 1
seconds = time.perf_counter() - started
net.eval()
images, labels = load("test_batch.bin")
with torch.no_grad():
    right = sum(int((net(torch.from_numpy(images[i : i + 256])).argmax(1).numpy() == labels[i : i + 256]).sum()) for i in range(0, len(images), 256))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"tool": f"torch {torch.__version__}", "epochs": epochs, "seed": seed, "top1": 100 * right / len(images), "loss": loss, "seconds": seconds, "peakMiB": peak}))
