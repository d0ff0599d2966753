"""How much of a TFLite file XNNPACK runs: what it does not take, the interpreter computes many times slower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DELEGATE = "DELEGATE"  # the name of a node that stands for a part of the graph
HEAVY = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_3D"}


@dataclass(frozen=True)
class Coverage:
    """Nodes of a file, those that a delegate runs, and the names of heavy ones that none does."""

    nodes: int
    delegated: int
    heavy_left: tuple[str, ...]


def coverage_of(interpreter: Any) -> Coverage:
    """The coverage of an `ai_edge_litert` interpreter with its tensors allocated.

    After allocation the list of nodes has the file's own and the delegates'. A delegate's part is what its outputs are
    made of, as far back as its inputs.
    """
    every = interpreter._get_ops_details()
    own = [node for node in every if node["op_name"] != DELEGATE]
    producers = {tensor: node for node in own for tensor in node["outputs"]}
    inside: set[int] = set()
    for delegate in every:
        if delegate["op_name"] != DELEGATE:
            continue
        begins, wanted = set(delegate["inputs"]), list(delegate["outputs"])
        while wanted:
            tensor = wanted.pop()
            node = producers.get(tensor)
            if tensor not in begins and node is not None and node["index"] not in inside:
                inside.add(node["index"])
                wanted.extend(node["inputs"])
    left = (node["op_name"] for node in own if node["index"] not in inside)
    return Coverage(len(own), len(inside), tuple(sorted(name for name in left if name in HEAVY)))
