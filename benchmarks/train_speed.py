"""How much faster a training step is with the native kernels than with torch's, forward and backward, on one core; where the
processor multiplies bfloat16, also than with torch's in bfloat16.

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
from hwsim.convert.train import multiplies_bfloat16


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    kinds = ["float32", "native"] + ["bfloat16"] * multiplies_bfloat16(torch.device("cpu"))
    columns = [*(f"{kind:>10}" for kind in kinds), *(f"{kind + ' / native':>19}" for kind in kinds if kind != "native")]
    print("seconds a step:   " + "".join(columns))
    for name in ("resnet20", "resnet18", "vgg16"):
        torch.manual_seed(1)
        network = build_network(name, ActivationSpec("qcfs", 16).make).to(memory_format=torch.channels_last)
        images = torch.randn(args.batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(0, 10, (args.batch,))
        taken: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(args.steps + 1):  # the first of each warms up
            for kind, seconds in taken.items():
                with native_kernels(network) if kind == "native" else nullcontext():
                    start = time.process_time()
                    with torch.autocast("cpu", torch.bfloat16, enabled=kind == "bfloat16"):
                        loss = network.loss(images, labels)
                    loss.backward()
                    seconds.append(time.process_time() - start)
                network.zero_grad(set_to_none=True)
        best = [min(seconds[1:]) for seconds in taken.values()]
        ratios = [best[0] / best[1], *(seconds / best[1] for seconds in best[2:])]
        print(f"{name:18}" + "".join(f"{seconds:10.2f}" for seconds in best) + "".join(f"{ratio:19.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
