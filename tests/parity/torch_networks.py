"""The networks as PyTorch's users have them: plain modules with the attribute names of torchvision and timm.

Written from the papers' tables and those libraries' layer names. Nothing here knows of cnn_jax.
"""

from __future__ import annotations

from typing import Any

import pytest

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed: make parity")
nn = torch.nn


class AlexNet(nn.Module):
    """torchvision.models.alexnet: one tower, 64 to 384 features, dropout before the linear layers."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5):
        super().__init__()
        rows = [(3, 64, 11, 4, 2, True), (64, 192, 5, 1, 2, True), (192, 384, 3, 1, 1, False)]
        rows += [(384, 256, 3, 1, 1, False), (256, 256, 3, 1, 1, True)]
        layers = []
        for inputs, features, kernel, stride, padding, pooled in rows:
            layers += [nn.Conv2d(inputs, features, kernel, stride, padding), nn.ReLU()]
            layers += [nn.MaxPool2d(3, 2)] if pooled else []
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            *(nn.Dropout(dropout), nn.Linear(256 * 6 * 6, 4096), nn.ReLU()),
            *(nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU()),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


STAGES = {  # kernel sizes of each stage (Simonyan and Zisserman 2014, table 1)
    "A": "3 3 33 33 33",
    "B": "33 33 33 33 33",
    "C": "33 33 331 331 331",
    "D": "33 33 333 333 333",
    "E": "33 33 3333 3333 3333",
}


class VGG(nn.Module):
    """torchvision.models.vgg11 to vgg19 and their `_bn`; C, which it leaves out, by the same scheme."""

    def __init__(self, name: str, *, norm: bool = False, hidden: int = 4096, num_classes: int = 1000):
        super().__init__()
        layers, channels = [], 3
        for kernels, features in zip(STAGES[name].split(), (64, 128, 256, 512, 512), strict=True):
            for kernel in map(int, kernels):
                layers += [nn.Conv2d(channels, features, kernel, padding=kernel // 2)]
                layers += [nn.BatchNorm2d(features)] if norm else []
                layers += [nn.ReLU()]
                channels = features
            layers += [nn.MaxPool2d(2, 2)]
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            *(nn.Linear(512 * 7 * 7, hidden), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout()),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class BasicConv2d(nn.Module):
    """GoogLeNet's convolution without bias, batch norm (epsilon 0.001) and ReLU."""

    def __init__(self, inputs: int, features: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, features, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(features, eps=0.001)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """torchvision's: 3x3 in the branch that the paper has 5x5 in."""

    def __init__(self, inputs: int, one: int, reduce3: int, three: int, reduce5: int, five: int, pool: int):
        super().__init__()
        self.branch1 = BasicConv2d(inputs, one, 1)
        self.branch2 = nn.Sequential(BasicConv2d(inputs, reduce3, 1), BasicConv2d(reduce3, three, 3))
        self.branch3 = nn.Sequential(BasicConv2d(inputs, reduce5, 1), BasicConv2d(reduce5, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), BasicConv2d(inputs, pool, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    """An auxiliary classifier; it takes no part in predicting."""

    def __init__(self, inputs: int, num_classes: int):
        super().__init__()
        self.conv = BasicConv2d(inputs, 128, 1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x):
        """With the paper's pool, 5x5 at stride 3 (torchvision pools 4x4 windows, which overlap less)."""
        x = self.conv(nn.functional.avg_pool2d(x, 5, 3))
        return self.fc2(torch.relu(self.fc1(torch.flatten(x, 1))))


INCEPTION = {  # Szegedy et al. 2014, table 1
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


class GoogLeNet(nn.Module):
    """torchvision.models.googlenet, without `transform_input`."""

    def __init__(self, num_classes: int = 1000):
        super().__init__()
        self.conv1 = BasicConv2d(3, 64, 7, 2)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3)
        for name, row in INCEPTION.items():
            self.add_module(f"inception{name}", Inception(*row))
        self.aux1 = Auxiliary(512, num_classes)
        self.aux2 = Auxiliary(528, num_classes)
        self.fc = nn.Linear(1024, num_classes)

    def forward(self, x):
        pool = nn.functional.max_pool2d
        x = self.conv3(self.conv2(pool(self.conv1(x), 3, 2, ceil_mode=True)))
        for name in INCEPTION:
            if name.endswith("a"):
                x = pool(x, *((2, 2) if name == "5a" else (3, 2)), ceil_mode=True)
            x = self.get_submodule(f"inception{name}")(x)
        return self.fc(x.mean((2, 3)))


class Residual(nn.Module):
    """A basic block, or a bottleneck with its stride in the 3x3."""

    def __init__(self, inputs: int, features: int, stride: int, bottleneck: bool):
        super().__init__()
        outputs = features * (4 if bottleneck else 1)
        rows = [(inputs, features, 3, stride), (features, features, 3, 1)]
        if bottleneck:
            rows = [(inputs, features, 1, 1), (features, features, 3, stride), (features, outputs, 1, 1)]
        for i, (c, f, k, s) in enumerate(rows, 1):
            self.add_module(f"conv{i}", nn.Conv2d(c, f, k, s, k // 2, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(f))
        self.depth = len(rows)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = x
        for i in range(1, self.depth + 1):
            y = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(y))
            y = self.relu(y) if i < self.depth else y
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class ResNet(nn.Module):
    """torchvision.models.resnet18 to resnet152, and timm's of the same names."""

    def __init__(self, depth: int, num_classes: int = 1000):
        super().__init__()
        bottleneck, channels = depth >= 50, 64
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        for stage, blocks in enumerate(BLOCKS[depth], 1):
            features, layers = 32 * 2**stage, []
            for block in range(blocks):
                layers.append(Residual(channels, features, 2 if block == 0 and stage > 1 else 1, bottleneck))
                channels = features * (4 if bottleneck else 1)
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


class Separable(nn.Module):
    """timm's depthwise separable convolution."""

    def __init__(self, inputs: int, features: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, features, 1, bias=False)

    def forward(self, x):
        return self.pointwise(self.conv1(x))


class Block(nn.Module):
    """timm's block of Xception: ReLU, separable convolution, norm for each of `rows`; then a pool if it strides."""

    def __init__(self, rows, stride: int, first_relu: bool = True):
        super().__init__()
        layers = []
        for inputs, features in rows:
            layers += [nn.ReLU(), Separable(inputs, features), nn.BatchNorm2d(features)]
        layers = layers if first_relu else layers[1:]
        layers += [nn.MaxPool2d(3, stride, 1)] if stride != 1 else []
        self.rep = nn.Sequential(*layers)
        self.skip = None
        if stride != 1:
            self.skip = nn.Conv2d(rows[0][0], rows[-1][1], 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(rows[-1][1])

    def forward(self, x):
        return self.rep(x) + (x if self.skip is None else self.skipbn(self.skip(x)))


class Xception(nn.Module):
    """timm's legacy_xception: Chollet's network with PyTorch's epsilon and symmetric padding of the pools."""

    def __init__(self, num_classes: int = 1000):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, bias=False), nn.BatchNorm2d(64)
        self.block1 = Block([(64, 128), (128, 128)], 2, first_relu=False)
        self.block2 = Block([(128, 256), (256, 256)], 2)
        self.block3 = Block([(256, 728), (728, 728)], 2)
        for i in range(4, 12):
            self.add_module(f"block{i}", Block([(728, 728)] * 3, 1))
        self.block12 = Block([(728, 728), (728, 1024)], 2)
        self.conv3, self.bn3 = Separable(1024, 1536), nn.BatchNorm2d(1536)
        self.conv4, self.bn4 = Separable(1536, 2048), nn.BatchNorm2d(2048)
        self.fc = nn.Linear(2048, num_classes)

    def forward(self, x):
        x = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        for i in range(1, 13):
            x = self.get_submodule(f"block{i}")(x)
        x = torch.relu(self.bn4(self.conv4(torch.relu(self.bn3(self.conv3(x))))))
        return self.fc(x.mean((2, 3)))


def randomised(network):
    """The network in evaluation mode; its norms' parameters and statistics away from 0 and 1, where swaps hide."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
    return network.eval()
