"""Linen modules made of ops: thin layers, and the blocks the papers repeat."""

from __future__ import annotations

from cnn_jax.nn.activation import Activation as Activation
from cnn_jax.nn.activation import ActivationName as ActivationName
from cnn_jax.nn.activation import Dropout as Dropout
from cnn_jax.nn.block import conv_norm_act as conv_norm_act
from cnn_jax.nn.block import fc_head as fc_head
from cnn_jax.nn.conv import Conv as Conv
from cnn_jax.nn.conv import Dense as Dense
from cnn_jax.nn.conv import PaddingModeName as PaddingModeName
from cnn_jax.nn.conv import same_padding as same_padding
from cnn_jax.nn.conv import scale_features as scale_features
from cnn_jax.nn.inception import AuxiliaryHead as AuxiliaryHead
from cnn_jax.nn.inception import Inception as Inception
from cnn_jax.nn.inception import InceptionName as InceptionName
from cnn_jax.nn.inception import Widths as Widths
from cnn_jax.nn.initializers import InitializerName as InitializerName
from cnn_jax.nn.initializers import classifier_initializer as classifier_initializer
from cnn_jax.nn.initializers import classifier_name as classifier_name
from cnn_jax.nn.initializers import initializer as initializer
from cnn_jax.nn.located import located as located
from cnn_jax.nn.norm import LRN as LRN
from cnn_jax.nn.norm import BatchNorm as BatchNorm
from cnn_jax.nn.norm import ContrastNorm as ContrastNorm
from cnn_jax.nn.norm import ConvNormName as ConvNormName
from cnn_jax.nn.norm import GroupNorm as GroupNorm
from cnn_jax.nn.norm import LocalResponseNorm as LocalResponseNorm
from cnn_jax.nn.norm import LRNConstants as LRNConstants
from cnn_jax.nn.norm import NormName as NormName
from cnn_jax.nn.norm import cross_replica as cross_replica
from cnn_jax.nn.norm import frozen_norms as frozen_norms
from cnn_jax.nn.norm import local_norm as local_norm
from cnn_jax.nn.norm import norm as norm
from cnn_jax.nn.pool import AvgPool as AvgPool
from cnn_jax.nn.pool import GlobalAvgPool as GlobalAvgPool
from cnn_jax.nn.pool import MaxPool as MaxPool
from cnn_jax.nn.pool import PoolName as PoolName
from cnn_jax.nn.pool import pool as pool
from cnn_jax.nn.residual import ResidualBlock as ResidualBlock
from cnn_jax.nn.residual import ShortcutName as ShortcutName
from cnn_jax.nn.separable import SeparableConv as SeparableConv
from cnn_jax.nn.whitening import measured_patches as measured_patches
from cnn_jax.nn.whitening import whitening as whitening
