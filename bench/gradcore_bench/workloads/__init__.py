"""The workloads, one a file; a new one is a file and a line here."""

from gradcore_bench.workloads.attention import Attention
from gradcore_bench.workloads.mlp import Mlp
from gradcore_bench.workloads.mul_mean import MulMean
from gradcore_bench.workloads.norm import Norm
from gradcore_bench.workloads.tutorial import Tutorial
from gradcore_bench.workloads.workload import Workload

WORKLOADS: dict[str, Workload] = {
    workload.name: workload for workload in (Tutorial(), MulMean(), Norm(), Mlp(), Attention())
}

__all__ = ["WORKLOADS", "Workload"]
