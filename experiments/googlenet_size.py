"""How much smaller than AlexNet is GoogLeNet?

Id: C55
Claim: GoogLeNet has about 12 times fewer parameters than AlexNet, at about twice the compute.
Source: Szegedy et al. 2014, "Going Deeper with Convolutions", section 1 ("12 times fewer parameters"); repeated by
    lectures, with "only 5 million parameters".
Published: 12 times fewer parameters; 2 times the multiply-accumulates; 5 M parameters.
Rule: reproduced if the ratios round to 12 and 2 and the count to 5 M; AlexNet is the paper's, in two groups, and
    GoogLeNet is computed from the filters of its table 1, without the auxiliary heads.
Cost: exact; seconds.
"""

from __future__ import annotations

from cnn_jax import analysis
from cnn_jax.sweep.claims import Finding, all_hold, compare


def claim() -> Finding:
    alexnet, googlenet = (analysis.show_named(name).total for name in ("alexnet:paper", "googlenet:paper"))
    fewer, compute = alexnet.params / googlenet.params, googlenet.macs / alexnet.macs
    rows = [
        compare("times fewer parameters", 12, fewer, digits=0),
        compare("times the multiply-accumulates", 2, compute, digits=0),
        compare("million parameters", 5, googlenet.params / 1e6, digits=0),
    ]
    return all_hold(
        f"{fewer:.2f} times fewer ({alexnet.params:,} to {googlenet.params:,}), {compute:.2f} times the MACs", rows
    )
