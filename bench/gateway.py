"""What the gateway stand-in costs a problem: 500 problems of 2 kB, asked and answered over the real wire.

With KAGGLE_EVALUATION_AIMO_3 naming a folder that holds Kaggle's own kaggle_evaluation 0.9.0 (it needs pandas and
pyarrow), Kaggle's gateway and server are measured beside it, in turn."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import monotonic

from bench.report import table, write_report

_KAGGLES_OWN_MS = 8.8  # its 0.9.0, the same 500 problems, on another machine
_PLAYER = """
import sys
from pathlib import Path
from time import monotonic
sys.path.insert(0, sys.argv[2])
import polars as pl
if sys.argv[1] == "ours":
    from submission.standin import AIMO3InferenceServer
else:
    from kaggle_evaluation.aimo_3_inference_server import AIMO3InferenceServer

def predict(id_, problem):
    return pl.DataFrame({"id": id_, "answer": [len(problem[0])]})

server = AIMO3InferenceServer(predict)
began = monotonic()
server.run_local_gateway((sys.argv[3],))
print(monotonic() - began)
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench gateway", description=__doc__)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    theirs = os.environ.get("KAGGLE_EVALUATION_AIMO_3")
    kinds = ["ours", *(["Kaggle's own"] if theirs else [])]
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        problems = Path(folder, "test.csv")
        text = "Let $n$ be a positive integer. " * 64  # 1,984 characters
        rows = "".join(f"p{number:04},{text}\n" for number in range(options.problems))
        problems.write_text("id,problem\n" + rows, "utf-8")
        for _ in range(options.rounds):
            for kind in kinds:
                seconds[kind].append(_play(kind, theirs or folder, problems))
    each = {kind: 1000 * median(values) / options.problems for kind, values in seconds.items()}
    rows_out = [
        [kind, f"{each[kind]:.2f}", " ".join(f"{1000 * value / options.problems:.2f}" for value in seconds[kind])]
        for kind in kinds
    ]
    body = table(["gateway and server", "ms a problem, median", "rounds"], rows_out)
    if theirs:
        body += f"\nours / Kaggle's own: {each['ours'] / each[kinds[1]]:.2f}\n"
    ratio = each["ours"] / _KAGGLES_OWN_MS
    body += f"\nKaggle's own as measured before, elsewhere: {_KAGGLES_OWN_MS} ms; ours / that: {ratio:.2f}\n"
    write_report("gateway", body, arguments)


def _play(kind: str, folder: str, problems: Path) -> float:
    """A process of its own each time; seconds of the whole run, the writing of the submission included."""
    began = monotonic()
    command = [sys.executable, "-c", _PLAYER, kind if kind == "ours" else "theirs", folder, str(problems)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(command, cwd=problems.parent, env=environment, capture_output=True, text=True, check=True)
    print(f"{kind}: {monotonic() - began:.1f} s with its start", file=sys.stderr)
    return float(done.stdout.split()[-1])
