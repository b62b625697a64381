"""`train` and `verify-resume`: commands that train one run."""

from __future__ import annotations

import argparse

from cnn_jax.commands.command import Command, add_json, print_json


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, metavar="FILE", help="a config file, FILE.py:ARG, or W/config.json")
    parser.add_argument("--workdir", required=True, metavar="W", help="where the run is written; resumes what is there")
    parser.add_argument(
        "--distributed",
        choices=("auto", "off", "on"),
        default="auto",
        help="several processes as one run: auto (default) if the environment says that there are others",
    )
    add_json(parser)


def _train(options: argparse.Namespace, overrides: list[str]) -> None:
    from cnn_jax.config import load_config

    config = load_config(options.config, overrides)

    from cnn_jax.train import distributed
    from cnn_jax.train.loop import train

    distributed.start(options.distributed)
    with distributed.ended_together(debug=options.debug):
        final = train(config, options.workdir, progress=not options.json)
    if not distributed.Processes.here().first:
        return
    if options.json:
        print_json(final)
        return
    for split in ("validation", "test"):
        if final.get(split):
            print(f"{split:>10}: {_percent(final[split])} (n={final[split]['n']}, step {final['best_step']})")
    if final.get("ended", "total steps") != "total steps":
        print(f"     ended: step {final['step']}, {final['ended']}")
    print(f"   workdir: {options.workdir}")


def _verify_resume_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, metavar="FILE", help="a config file, FILE.py:ARG, or W/config.json")
    parser.add_argument("--steps", type=int, default=20, metavar="T", help="how many steps to train (default 20)")
    parser.add_argument("--stops", type=int, default=3, metavar="K", help="at how many points to stop (default 3)")
    add_json(parser)


def _verify_resume(options: argparse.Namespace, overrides: list[str]) -> int:
    from cnn_jax.config import load_config
    from cnn_jax.errors import CheckpointError

    config = load_config(options.config, overrides)

    from cnn_jax.train.verify import verify_resume

    def tell(line: str) -> None:
        if not options.json:
            print(line, flush=True)

    found = verify_resume(config, steps=options.steps, stops=options.stops, tell=tell)
    if options.json:
        differences = [difference._asdict() for difference in found.differences]
        print_json({**found._asdict(), "identical": not differences, "differences": differences})
    else:
        for difference in found.differences:
            print(difference)
        if not found.differences:
            stops = ", ".join(map(str, found.stops))
            print(f"identical: {found.leaves} arrays after {found.steps} steps, stopped at {stops}")
    return CheckpointError.exit_status if found.differences else 0


def _percent(metrics: dict[str, float]) -> str:
    return f"error {100 * (1 - metrics['accuracy']):.2f}%, top-5 error {100 * (1 - metrics['top5']):.2f}%"


TRAIN = Command(
    "train", "train what a config describes; the same command again resumes", _train_arguments, _train, True
)
VERIFY_RESUME = Command(
    "verify-resume",
    "prove that stopping and resuming changes no bit of this run",
    _verify_resume_arguments,
    _verify_resume,
    True,
)
