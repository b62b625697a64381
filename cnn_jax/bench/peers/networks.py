"""The six networks of the CPU benchmarks, once for all peers, with the layer names of cnn_jax's parameter paths.

A network is a function of `net`, the layers of a framework, and x. The layers each peer gives are its framework's own:
`nn.Conv`, `layers.Conv2D`, `nn.Conv2d`. Pools pad "same" (after the image first, as Keras does) or "valid".
The numbers are those of the `small` variants; a benchmark compares losses before it measures anything.
"""


def lenet(net, x):
    """`lenet:small`."""
    for i, features in enumerate((6, 16), 1):
        x = net.avg_pool(net.tanh(net.conv(x, f"conv{i}", features, 5)), 2, 2)
    x = net.flatten(x)
    for i, units in enumerate((120, 84), 1):
        x = net.tanh(net.dense(x, f"fc{i}", units))
    return net.dense(x, "fc3", 10)


def alexnet(net, x):
    """`alexnet:small`: local response norm, overlapping pools, conv2, conv4 and conv5 in two groups."""
    x = net.relu(net.conv(x, "conv1", 48, 5, strides=2, padding=2))
    x = net.max_pool(net.response_norm(x, 5, 1e-4, 0.75, 2.0), 3, 2, "same")
    x = net.relu(net.conv(x, "conv2", 128, 5, padding=2, groups=2))
    x = net.max_pool(net.response_norm(x, 5, 1e-4, 0.75, 2.0), 3, 2, "same")
    for i, features in enumerate((192, 192, 128), 3):
        x = net.relu(net.conv(x, f"conv{i}", features, 3, padding=1, groups=1 if i == 3 else 2))
    x = net.flatten(net.max_pool(x, 3, 2, "same"))
    return _head(net, x, (512, 512))


def vgg(net, x):
    """`vgg:small`."""
    for i, (size, features) in enumerate(zip((1, 1, 2, 2, 2), (16, 32, 64, 128, 128), strict=True), 1):
        for j in range(1, size + 1):
            x = net.relu(net.conv(x, f"conv{i}_{j}", features, 3, padding=1))
        x = net.max_pool(x, 2, 2, "valid")
    return _head(net, net.flatten(x), (256, 256))


def _head(net, x, units):
    for i, features in enumerate(units, 6):
        x = net.relu(net.dense(x, f"fc{i}", features))
    return net.dense(x, "fc8", 10)


INCEPTION = {  # a quarter of the paper's table 1
    "3a": (16, 24, 32, 4, 8, 8),
    "3b": (32, 32, 48, 8, 24, 16),
    "4a": (48, 24, 52, 4, 12, 16),
    "4c": (32, 32, 64, 6, 16, 16),
    "5b": (96, 48, 96, 12, 32, 32),
}


def googlenet(net, x):
    """`googlenet:small`."""
    x, stage = net.relu(net.conv(x, "conv1", 32, 3, padding=1)), "2"
    for name, (one, reduce3, three, reduce5, five, projection) in INCEPTION.items():
        if name[0] != stage:
            x, stage = net.max_pool(x, 3, 2, "same"), name[0]

        def conv(x, layer, features, kernel, block=f"inception_{name}"):
            return net.relu(net.conv(x, f"{block}/{layer}", features, kernel, padding=kernel // 2))

        branches = [
            conv(x, "1x1", one, 1),
            conv(conv(x, "reduce_3x3", reduce3, 1), "3x3", three, 3),
            conv(conv(x, "reduce_5x5", reduce5, 1), "5x5", five, 5),
            conv(net.max_pool(x, 3, 1, "same"), "pool_proj", projection, 1),
        ]
        x = net.concat(branches)
    return net.dense(net.mean(x), "fc", 10)


def resnet20(net, x):
    """`resnet_cifar:20`: shortcuts without parameters."""

    def conv(x, name, features, strides=1):
        x = net.conv(x, name, features, 3, strides=strides, padding=1, bias=False)
        return net.norm(x, f"{name}_bn", 1e-5)

    x = net.relu(conv(x, "conv1", 16))
    for stage, features in enumerate((16, 32, 64), 2):
        for block in range(1, 4):
            strides = 2 if block == 1 and stage > 2 else 1
            y = net.relu(conv(x, f"conv{stage}_{block}/conv1", features, strides))
            y = conv(y, f"conv{stage}_{block}/conv2", features)
            x = net.relu(y + (x if strides == 1 else net.subsample(x, features)))
    return net.dense(net.mean(x), "fc", 10)


def xception(net, x):
    """`xception:small`: depthwise separable convolutions; norms with Keras's epsilon."""

    def conv(x, name, features, kernel, strides, padding):
        x = net.conv(x, name, features, kernel, strides=strides, padding=padding, bias=False)
        return net.norm(x, f"{name}_bn", 1e-3)

    def separable(x, name, features):
        return net.norm(net.separable(x, name, features, 3), f"{name}_bn", 1e-3)

    def down(x, block, features, first_relu=True):
        y = x
        for i, f in enumerate(features, 1):
            y = net.relu(y) if i > 1 or first_relu else y
            y = separable(y, f"block{block}_sepconv{i}", f)
        return net.max_pool(y, 3, 2, "same") + conv(x, f"block{block}_shortcut", features[-1], 1, 2, 0)

    for i, features in enumerate((8, 16), 1):
        x = net.relu(conv(x, f"block1_conv{i}", features, 3, 1, 1))
    x = down(x, 2, (32, 32), first_relu=False)
    x = down(x, 3, (96, 96))
    for block in (4, 5):
        y = x
        for i in range(1, 4):
            y = separable(net.relu(y), f"block{block}_sepconv{i}", 96)
        x = x + y
    x = down(x, 6, (96, 192))
    for i, features in enumerate((192, 256), 1):
        x = net.relu(separable(x, f"block7_sepconv{i}", features))
    return net.dense(net.mean(x), "predictions", 10)


NETWORKS = {
    "lenet:small": lenet,
    "alexnet:small": alexnet,
    "vgg:small": vgg,
    "googlenet:small": googlenet,
    "resnet_cifar:20": resnet20,
    "xception:small": xception,
}
