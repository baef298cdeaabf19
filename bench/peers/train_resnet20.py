"""ResNet-20 in PyTorch, channels last: for each line on stdin, some steps; prints milliseconds a step. Arguments: threads, batch, steps."""
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

threads, batch, steps = map(int, sys.argv[1:4])
torch.set_num_threads(threads)


def conv(i, o, stride=1):
    return nn.Conv2d(i, o, 3, stride, 1, bias=False)


class Residual(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.a, self.an, self.b, self.bn = conv(i, o, stride), nn.BatchNorm2d(o), conv(o, o), nn.BatchNorm2d(o)
        self.stride, self.extra = stride, (o - i) // 2

    def forward(self, x):
        y = self.bn(self.b(F.relu(self.an(self.a(x)))))
        if self.stride != 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra, self.extra))
        return F.relu(y + x)


layers, channels = [conv(3, 16), nn.BatchNorm2d(16), nn.ReLU()], 16
for width in (16, 32, 64):
    for k in range(3):
        layers.append(Residual(channels, width, 2 if k == 0 and width != 16 else 1))
        channels = width
net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)).to(memory_format=torch.channels_last)
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
