"""ResNet-20 for CIFAR-10 in PyTorch, as models/resnet20.cplan has it: shortcut option A, weights drawn with variance 2 / fan-in."""
import torch
import torch.nn as nn
import torch.nn.functional as F


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


def resnet20():
    layers, channels = [conv(3, 16), nn.BatchNorm2d(16), nn.ReLU()], 16
    for width in (16, 32, 64):
        for k in range(3):
            layers.append(Residual(channels, width, 2 if k == 0 and width != 16 else 1))
            channels = width
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    for m in net.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
            if m.bias is not None:
                nn.init.zeros_(m.bias)
    return net.to(memory_format=torch.channels_last)
