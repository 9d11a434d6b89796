"""How much faster a training step is with the native kernels than with torch's, forward and backward, on one core.

    python benchmarks/train_speed.py [--batch 128] [--steps 3]

Ratios within one run: both kinds take turns, and the quickest step of each counts.
"""

from __future__ import annotations

import argparse
import os
import time
from contextlib import nullcontext

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from hwsim.convert.activations import ActivationSpec
from hwsim.convert.native import native_kernels
from hwsim.convert.networks import build_network


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("network   torch, s a step   native   times faster")
    for name in ("resnet20", "resnet18", "vgg16"):
        torch.manual_seed(1)
        network = build_network(name, ActivationSpec("qcfs", 16).make).to(memory_format=torch.channels_last)
        images = torch.randn(args.batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(0, 10, (args.batch,))
        taken: dict[str, list[float]] = {"torch": [], "native": []}
        for _ in range(args.steps + 1):  # the first of each warms up
            for kind, seconds in taken.items():
                with native_kernels(network) if kind == "native" else nullcontext():
                    start = time.process_time()
                    network.loss(images, labels).backward()
                    seconds.append(time.process_time() - start)
                network.zero_grad(set_to_none=True)
        torch_s, native_s = (min(seconds[1:]) for seconds in taken.values())
        print(f"{name:9} {torch_s:15.2f} {native_s:8.2f} {torch_s / native_s:14.2f}")


if __name__ == "__main__":
    main()
