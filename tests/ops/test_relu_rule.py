"""The rules of ReLU's backward pass against what the papers' figures say of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops

X = np.array([[1.0, -1.0, 5.0], [2.0, -5.0, -7.0], [-3.0, 2.0, 4.0]], np.float32)
G = np.array([[-2.0, 3.0, -1.0], [6.0, -3.0, 1.0], [2.0, -1.0, 3.0]], np.float32)
# Springenberg et al. 2014, figure 1 b): the numbers of the figure, computed by hand.
EXPECTED = {
    None: [[-2, 0, -1], [6, 0, 0], [0, -1, 3]],
    "deconvnet": [[0, 3, 0], [6, 0, 1], [2, 0, 3]],
    "guided": [[0, 0, 0], [6, 0, 0], [0, 0, 3]],
}


def backward(rule, jit):
    def pull(x, g):
        if rule is None:
            y, down = jax.vjp(ops.activation("relu"), x)
        else:
            with ops.relu_rule(rule):
                y, down = jax.vjp(ops.activation("relu"), x)
        return y, down(g)[0]

    return (jax.jit(pull) if jit else pull)(jnp.asarray(X), jnp.asarray(G))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("rule", EXPECTED)
def test_rules(rule, jit):
    y, g = backward(rule, jit)
    np.testing.assert_array_equal(y, np.maximum(X, 0))
    np.testing.assert_array_equal(g, EXPECTED[rule])


def test_a_rule_ends_with_its_context():
    with pytest.raises(KeyError), ops.relu_rule("guided"):
        raise KeyError
    np.testing.assert_array_equal(backward(None, False)[1], EXPECTED[None])


def test_the_innermost_rule_holds():
    with ops.relu_rule("guided"):
        np.testing.assert_array_equal(backward("deconvnet", False)[1], EXPECTED["deconvnet"])
        assert backward(None, False)[1].tolist() == EXPECTED["guided"]
