# The notebook that Kaggle runs, cell by cell (`# %%`). It installs, imports and serves; everything that could go wrong
# otherwise stands in the package, where tests reach it. $owner and $dataset are filled in by `submission bundle`.

# %% [markdown]
# Made by `python -m submission bundle` of olympiad-solver. Do not edit: change the preset and make it again.

# %% install
import os, subprocess, sys, tarfile, tempfile
from pathlib import Path

inputs = Path(os.environ.get("OLYMPIAD_KAGGLE", "/kaggle"), "input")
found = sorted(path.parent for path in inputs.rglob("submission.json") if "$dataset" in path.parts)
if not found:
    raise FileNotFoundError(f"the dataset $owner/$dataset is not attached: {sorted(map(str, inputs.glob('*')))}")
wheels = tempfile.mkdtemp()
with tarfile.open(found[0] / "wheels.tarball") as archive:
    archive.extractall(wheels, filter="data")
install = ["install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--find-links", wheels]
subprocess.run([sys.executable, "-m", "pip", *install, "-r", f"{wheels}/requirements.txt"], check=True)

# %% serve
from submission.server import serve

serve(found[0])
