"""The small forms: sizes, one step each, and the layer named where the image is too small."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.errors import GeometryError
from tests.once import ONCE

SMALL = [e.name for e in models.catalogue() if e.variant == "small"]
NARROW = {
    "resnet:small": "depth=8,width=0.5",
    "linear:small": "",
    "mlp:small": "width=0.1",
    "googlenet:small": "width=0.25",
}


def init(model, size):
    return jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((2, *size), jnp.float32))


def filled(kind, shape, rng):
    if kind == "kernel":
        return rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32)
    return np.ones(shape, np.float32) if kind in ("scale", "var") else np.zeros(shape, np.float32)


@pytest.mark.parametrize("name", SMALL)
def test_takes_other_sizes_and_channels(name):
    model = models.create(name, num_classes=7)
    for size in ((64, 64, 3), (32, 32, 1), (40, 36, 3)):
        image = jax.ShapeDtypeStruct((2, *size), jnp.bfloat16)
        logits, taps = jax.eval_shape(model.apply, init(model, size), image)
        assert logits.shape == (2, 7)
        assert logits.dtype == jnp.float32
        # The arithmetic follows the dtype of the image.
        assert {tap.dtype for tap in taps.values()} <= {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("name", SMALL)
def test_one_step_moves_every_parameter(name):
    keywords = NARROW.get(name, "width=0.5")
    model = models.create(f"{name},{keywords}" if keywords else name, num_classes=3)
    key = jax.random.key(0)
    image = jnp.asarray(np.random.default_rng(1).normal(size=(4, 32, 32, 3)), jnp.float32)
    label = jnp.array([0, 1, 2, 0])
    # He's spread, made here: compiling the initialisers would take longer than the step.
    rng = np.random.default_rng(0)
    variables = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.asarray(filled(path[-1].key, leaf.shape, rng)), init(model, (32, 32, 3))
    )

    @functools.partial(jax.jit, compiler_options=ONCE)
    def step(params):
        def loss(params):
            (logits, _), new = model.apply(
                variables | {"params": params}, image, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
            )
            chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], axis=1)
            return -chosen.mean(), new

        return jax.value_and_grad(loss, has_aux=True)(params)

    (loss, new), gradient = step(variables["params"])
    assert np.isfinite(loss)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 0, path
    before = jax.tree.leaves(variables.get("batch_stats", {}))
    after = jax.tree.leaves(new.get("batch_stats", {}))
    assert all((a != b).any() for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize(
    ("name", "size", "layer"),
    [
        ("vgg:small", 16, "pool5"),
        ("lenet:small", 8, "conv2"),
        ("lenet:1998", 16, "C5"),
        ("lenet:modern,features=(6,16,32)", 32, "pool3"),
        ("alexnet:paper", 32, "pool2"),
        ("resnet_cifar:8,kernel_size=3", 0, "conv1"),
    ],
)
def test_too_small_an_image_names_the_layer(name, size, layer):
    with pytest.raises(GeometryError) as caught:
        init(models.create(name), (size, size, 1))
    assert caught.value.layer == layer
    assert f"layer {layer}: " in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "vgg:small,pooling=strides,head=gap,norm=group,activation=prelu",
        "vgg:small,depth=16,kernel_size=2,last_1x1=true",
        "vgg:small,norm=contrast,padding_mode=reflect",
        "alexnet:small,features=(12,16),head_features=(),norm=batch,feature_group_count=4",
        "zfnet:small,head=gap,pooling=avg,activation=elu,norm=contrast",
        "alexnet:small,lrn=(3,1e-3,0.5,1),pool_window=2,padding_mode=symmetric,unit_biases=true,initializer=gaussian",
        "lenet:small,features=(6,),pooling=max,norm=lrn,activation=maxout,kernel_size=7,strides=2,padding=3",
        "googlenet:small,inception=naive,norm=batch,head=fc,pool_window=2",
        "resnet:small,depth=8,shortcut=C,norm=none,dropout=0.5,kernel_size=5,stem_kernel_size=5,head=fc",
        "resnet:small,stage_sizes=(1,1,1),stem=imagenet,pooling=avg,pool_window=2,stem_strides=1",
        "resnet:small,stage_sizes=(1,2,1),bottleneck=true,strides_in_1x1=true",
        "preact_cifar:11,shortcut=C,norm=layer,head=fc",
        "xception:small,between=relu,residual=false,norm=instance,kernel_size=5,pool_window=2,head=fc",
        "nin:cifar10,head=fc,norm=batch,activation=leaky_relu,pooling=avg,pool_window=2,strides=2,width=0.5",
        "mlp:small,depth=4,dropout=0.3",
    ],
)
def test_every_choice_of_the_lectures_is_a_keyword(name):
    model = models.create(name)
    image = jnp.zeros((2, 32, 32, 3))
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    logits, _ = jax.eval_shape(lambda: model.init_with_output(keys, image, train=True))[0]
    assert logits.shape == (2, 10)


@pytest.mark.parametrize("name", ["lenet:1989", "lenet:1998"])
def test_historical_networks_take_grey_images_only(name):
    with pytest.raises(GeometryError, match="1 channel and not 3"):
        init(models.create(name), (32, 32, 3))


@pytest.mark.parametrize(
    ("size", "classes", "layer", "words"),
    [
        ((32, 32, 1), 10, "conv1", "5x5x3x6 where this input needs one of 5x5x1x6"),
        ((28, 28, 3), 10, "fc1", "400x120 where this input needs one of 256x120"),
        ((32, 32, 3), 7, "fc3", "84x10 where this input needs one of 84x7"),
    ],
)
def test_variables_of_other_images_or_classes_are_refused_by_layer(size, classes, layer, words):
    variables = init(models.create("lenet:small"), (32, 32, 3))
    image = jax.ShapeDtypeStruct((2, *size), jnp.float32)
    with pytest.raises(GeometryError) as caught:
        jax.eval_shape(models.create("lenet:small", num_classes=classes).apply, variables, image)
    assert caught.value.layer == layer
    assert words in str(caught.value)


def test_width_respects_groups():
    variables = init(models.create("alexnet:small,width=0.13"), (32, 32, 3))
    assert variables["params"]["conv4"]["kernel"].shape[-2:] == (12, 24)


def test_auxiliary_heads_speak_only_while_training():
    model = models.create("googlenet:paper,width=0.1,aux_heads=True,num_classes=5")
    image = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = jax.eval_shape(model.init, keys, image)
    _, taps = jax.eval_shape(model.apply, variables, image)
    assert not any(tap.startswith("aux") for tap in taps)
    _, taps = jax.eval_shape(lambda v, x: model.apply(v, x, train=True, rngs=keys), variables, image)
    assert taps["aux_4a"].shape == taps["aux_4d"].shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "ones"),
    [("alexnet:paper", {"conv2", "conv4", "conv5", "fc6", "fc7"}), ("zfnet:paper", set()), ("alexnet:small", set())],
)
def test_biases_start_as_the_paper_says(name, ones):
    """AlexNet section 5: 1 in conv2, conv4, conv5 and the hidden layers, 0 elsewhere; ZFNet section 3: 0."""
    model = models.create(f"{name},width=0.02")

    @jax.jit  # returns biases alone, so that no kernel is drawn
    def biases():
        params = model.init(jax.random.key(0), jnp.zeros((1, 67, 67, 3)))["params"]
        return {layer: values["bias"] for layer, values in params.items()}

    started = {layer: np.unique(values).tolist() for layer, values in biases().items()}
    assert started == {layer: [float(layer in ones)] for layer in started}
