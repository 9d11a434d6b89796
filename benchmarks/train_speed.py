"""How much faster a training step is with the native kernels than with torch's, forward and backward, on one core: with torch's
own kernels as they are, compiled by torch.compile, and, where the processor multiplies bfloat16, in bfloat16.

    python benchmarks/train_speed.py [--batch 128] [--steps 3] [--networks resnet20 resnet18 vgg16] [--activation qcfs]

Ratios within one run: the kinds take turns, and the quickest step of each counts, in processor time. A processor with 256-bit
vectors is had on a wider one with ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 and, as CXX, a script that calls g++ with
-mno-avx512f. Compiling takes minutes a network.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from contextlib import nullcontext
from typing import cast

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from hwsim.sources.activations import ActivationSpec
from hwsim.sources.checkpoint import Description
from hwsim.sources.networks import SourcePool
from hwsim.sources.single_spike import SingleSpikeNetwork
from hwsim.sources.zoo import Variant
from hwsim.training.native import native_kernels
from hwsim.training.train import multiplies_bfloat16


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--networks", nargs="+", default=["resnet20", "resnet18", "vgg16"])
    parser.add_argument("--activation", default="qcfs", choices=["qcfs", "single_spike", "alpha_beta"],
                        help="single_spike: paper 004's SNN at T = 5; alpha_beta: 001's at T = 2, with maximum pooling; both "
                             "without BatchNorm and biases")
    args = parser.parse_args()
    torch.set_num_threads(1)
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    kinds = ["float32", "compiled", "native"] + ["bfloat16"] * (wide and multiplies_bfloat16(torch.device("cpu")))
    others = [kind for kind in kinds if kind != "native"]
    print(f"vectors: {torch.backends.cpu.get_cpu_capability()}")
    print("seconds a step:   " + "".join(f"{kind:>10}" for kind in kinds)
          + "".join(f"{kind + ' / native':>20}" for kind in others))
    for name in args.networks:
        torch.manual_seed(1)
        torch.compiler.reset()
        usual = args.activation == "qcfs"
        activation, pool = ActivationSpec(args.activation), "average"
        if args.activation == "alpha_beta":
            activation, pool = ActivationSpec("alpha_beta", timesteps=2), "max"
        described = Description(name, activation, 10, (3, 32, 32), None, "cifar10", (0.49, 0.48, 0.45),
                                (0.25, 0.24, 0.26), 1, variant=Variant(norm=usual, bias=usual, pool=cast(SourcePool, pool)))
        network = described.build().to(memory_format=torch.channels_last)
        images = torch.randn(args.batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(0, 10, (args.batch,))
        if isinstance(network, SingleSpikeNetwork):
            network.calibrate(images)
        twins = {kind: copy.deepcopy(network) for kind in kinds}
        losses = {kind: torch.compile(twin.loss) if kind == "compiled" else twin.loss for kind, twin in twins.items()}
        taken: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(args.steps + 1):  # the first of each warms up
            for kind, seconds in taken.items():
                with native_kernels(twins[kind]) if kind == "native" else nullcontext():
                    start = time.process_time()
                    with torch.autocast("cpu", torch.bfloat16, enabled=kind == "bfloat16"):
                        loss = losses[kind](images, labels)
                    loss.backward()
                    seconds.append(time.process_time() - start)
                twins[kind].zero_grad(set_to_none=True)
        best = {kind: min(seconds[1:]) for kind, seconds in taken.items()}
        print(f"{name:18}" + "".join(f"{best[kind]:10.2f}" for kind in kinds)
              + "".join(f"{best[kind] / best['native']:20.2f}" for kind in others), flush=True)


if __name__ == "__main__":
    main()
