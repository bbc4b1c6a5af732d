"""In mergekit's place where a test is about what happens around it: the linear merge in numpy, same arguments, same
files. What MERGEKIT_FAULT says goes wrong."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import yaml

from merge.checkpoint import DTYPE_NAMES, from_float32, read_checkpoint, write_safetensors


def main() -> None:
    config, out = yaml.safe_load(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2])
    fault = os.environ.get("MERGEKIT_FAULT", "")
    out.mkdir()
    parents = [read_checkpoint(Path(model["model"])) for model in config["models"]]
    weights = [model["parameters"]["weight"] for model in config["models"]]
    code = DTYPE_NAMES[config["out_dtype"]]
    sys.stderr.write("Executing graph:  50%|#####     | 1/2\r")
    sys.stderr.flush()
    if fault == "hang":
        (out / "model.safetensors").write_bytes(b"half")
        time.sleep(60)
    if fault == "error":
        sys.exit("ValueError: something about tensors")

    def data(name: str) -> list[np.ndarray]:
        total = sum(w * p.tensors[name].floats() for w, p in zip(weights, parents, strict=True)) / np.float32(
            sum(weights)
        )
        if fault == "wrong" and "norm" in name:
            total = total * np.float32(1.01)
        return [from_float32(total.astype(np.float32), code)]

    shapes = {name: (code, info.shape) for name, info in parents[0].tensors.items()}
    write_safetensors(out / "model.safetensors", shapes, data)
    (out / "config.json").write_text(json.dumps({**parents[0].config, "made_by": "mergekit"}), "utf-8")


if __name__ == "__main__":
    main()
