"""ResNet-20 in PyTorch, channels last: for each line on stdin, some steps; prints milliseconds a step. Arguments: threads, batch, steps."""
import sys
import time

import torch
import torch.nn.functional as F

from resnet20 import resnet20

threads, batch, steps = map(int, sys.argv[1:4])
torch.set_num_threads(threads)


net = resnet20()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
x = torch.rand(batch, 3, 32, 32).to(memory_format=torch.channels_last)
labels = torch.randint(0, 10, (batch,))
for _ in sys.stdin:
    started = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(net(x), labels).backward()
        optimizer.step()
    print((time.perf_counter() - started) * 1000 / steps, flush=True)
