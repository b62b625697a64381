"""The peers: programs that run in an interpreter of their own, with their own libraries and NumPy.

`peer.py` of the package above starts them as files. Nothing here imports cnn_jax.
"""
