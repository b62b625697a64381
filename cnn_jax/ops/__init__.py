"""Pure functions on arrays: no parameters, no files, no Flax."""

from __future__ import annotations

from cnn_jax.ops.activation import ACTIVATIONS as ACTIVATIONS
from cnn_jax.ops.activation import activation as activation
from cnn_jax.ops.activation import elu as elu
from cnn_jax.ops.activation import identity as identity
from cnn_jax.ops.activation import leaky_relu as leaky_relu
from cnn_jax.ops.activation import maxout as maxout
from cnn_jax.ops.activation import prelu as prelu
from cnn_jax.ops.activation import relu as relu
from cnn_jax.ops.activation import scaled_tanh as scaled_tanh
from cnn_jax.ops.activation import sigmoid as sigmoid
from cnn_jax.ops.activation import tanh as tanh
from cnn_jax.ops.conv import conv as conv
from cnn_jax.ops.conv import convolve as convolve
from cnn_jax.ops.dropout import dropout as dropout
from cnn_jax.ops.geometry import canonical_padding as canonical_padding
from cnn_jax.ops.geometry import ceil_padding as ceil_padding
from cnn_jax.ops.geometry import output_size as output_size
from cnn_jax.ops.geometry import remainder as remainder
from cnn_jax.ops.norm import batch_norm as batch_norm
from cnn_jax.ops.norm import contrast_norm as contrast_norm
from cnn_jax.ops.norm import group_norm as group_norm
from cnn_jax.ops.norm import instance_norm as instance_norm
from cnn_jax.ops.norm import layer_norm as layer_norm
from cnn_jax.ops.norm import local_response_norm as local_response_norm
from cnn_jax.ops.norm import moments as moments
from cnn_jax.ops.padding import pad as pad
from cnn_jax.ops.plain import plain_ops as plain_ops
from cnn_jax.ops.pool import avg_pool as avg_pool
from cnn_jax.ops.pool import global_avg_pool as global_avg_pool
from cnn_jax.ops.pool import global_max_pool as global_max_pool
from cnn_jax.ops.pool import max_pool as max_pool
from cnn_jax.ops.pool import min_pool as min_pool
