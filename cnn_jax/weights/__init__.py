"""Weights in and out: from torchvision, timm and Keras, and to them, by rule."""

from cnn_jax.weights.convert import OWN as OWN
from cnn_jax.weights.convert import SOURCES as SOURCES
from cnn_jax.weights.convert import export_weights as export_weights
from cnn_jax.weights.convert import import_weights as import_weights
from cnn_jax.weights.files import read_metadata as read_metadata
from cnn_jax.weights.files import read_safetensors as read_safetensors
from cnn_jax.weights.files import read_tensors as read_tensors
from cnn_jax.weights.files import write_safetensors as write_safetensors
from cnn_jax.weights.stablehlo import Exported as Exported
from cnn_jax.weights.stablehlo import export_stablehlo as export_stablehlo
from cnn_jax.weights.stablehlo import load_exported as load_exported
