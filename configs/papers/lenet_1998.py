"""LeNet-5 as LeCun, Bottou, Bengio and Haffner trained it ("Gradient-Based Learning Applied to Document Recognition").

    cnn-jax train --config=configs/papers/lenet_1998.py --workdir=runs/lenet_1998

Images padded to 32x32 (section II.B); 20 passes over the 60,000 digits, one pattern at a time, at rates of 0.0005 (2
passes), 0.0002 (3), 0.0001 (3), 0.00005 (4) and 0.00001 (8) (section III.B); weights uniform in +-2.4 / fan-in
(appendix A); 0.95% test error there.

Left out: the stochastic diagonal Levenberg-Marquardt method (appendix C), which divides the rate of each weight by mu +
h, its curvature h and mu = 0.02. Plain SGD at the printed rates is up to fifty times slower: raise them with
--config.optimizer.learning_rate. The loss is the cross-entropy of the negated distances, the paper's equation 9 but for
its constant. No validation split was held out; pixels are standardised, where the paper has -0.1 and 1.175.
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    del arg
    config = ConfigDict()
    config.data = "tfds:mnist"
    config.image_size, config.fit = 32, "pad"
    config.validation = 0.0
    config.model = ConfigDict({"name": "lenet:1998"})
    config.batch_size = 1
    config.num_devices = 1
    config.total_epochs = 20
    config.optimizer = ConfigDict({"name": "sgd", "learning_rate": 5e-4})
    config.schedule = ConfigDict(
        {"name": "multi_step", "boundaries": (2 / 20, 5 / 20, 8 / 20, 12 / 20), "factor": (0.4, 0.5, 0.5, 0.2)}
    )
    config.log_every = 10_000
    return config
