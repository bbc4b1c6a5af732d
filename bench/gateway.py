"""What the gateway stand-in costs a problem: 500 problems of 2 kB, asked and answered over the real wire.

With KAGGLE_EVALUATION_AIMO_3 naming a folder that holds Kaggle's own kaggle_evaluation 0.9.0 (it needs pandas and
pyarrow), Kaggle's gateway and server are measured beside it, in turn. Both on one core, with one thread of polars."""

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
import os, sys
from time import monotonic, process_time
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
sys.path.insert(0, sys.argv[2])
import polars as pl
if sys.argv[1] == "ours":
    from submission.standin import AIMO3InferenceServer
else:
    from kaggle_evaluation.aimo_3_inference_server import AIMO3InferenceServer

def predict(id_, problem):
    return pl.DataFrame({"id": id_, "answer": [len(problem[0])]})

server = AIMO3InferenceServer(predict)
began = monotonic(), process_time()
server.run_local_gateway((sys.argv[3],))
print(monotonic() - began[0], process_time() - began[1])
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench gateway", description=__doc__)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    theirs = os.environ.get("KAGGLE_EVALUATION_AIMO_3")
    kinds = ["ours", *(["Kaggle's own"] if theirs else [])]
    each = _measure(kinds, theirs, options.problems, options.rounds)
    medians = {kind: [median(clock) for clock in each[kind]] for kind in kinds}
    rows_out = [
        [kind, *(f"{value:.2f}" for value in medians[kind]), " ".join(f"{value:.2f}" for value in each[kind][0])]
        for kind in kinds
    ]
    body = table(["gateway and server", "ms a problem", "of it CPU", "rounds"], rows_out) + "\nMedians. "
    if theirs:
        wall, cpu = (ours / kaggles for ours, kaggles in zip(medians["ours"], medians[kinds[1]], strict=True))
        body += f"Ours / Kaggle's own: {wall:.2f}, of the CPU {cpu:.2f}.\n"
    else:
        body += f"Kaggle's own as measured before, elsewhere: {_KAGGLES_OWN_MS} ms.\n"
    write_report("gateway", body, arguments)


def _measure(kinds: list[str], theirs: str | None, number: int, rounds: int) -> dict[str, list[list[float]]]:
    """Milliseconds a problem, of each round: on the wall clock, and on the CPU."""
    milliseconds: dict[str, list[list[float]]] = {kind: [[], []] for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        problems = Path(folder, "test.csv")
        text = "Let $n$ be a positive integer. " * 64  # 1,984 characters
        problems.write_text("id,problem\n" + "".join(f"p{n:04},{text}\n" for n in range(number)), "utf-8")
        for _ in range(rounds):
            for kind in kinds:
                for clock, seconds in zip(milliseconds[kind], _play(kind, theirs or folder, problems), strict=True):
                    clock.append(1000 * seconds / number)
    return milliseconds


def _play(kind: str, folder: str, problems: Path) -> tuple[float, float]:
    """A process of its own each time; seconds of the whole run, the writing of the submission included, and of them on
    the CPU."""
    began = monotonic()
    command = [sys.executable, "-c", _PLAYER, kind if kind == "ours" else "theirs", folder, str(problems)]
    environment = {
        **os.environ,
        "POLARS_MAX_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(command, cwd=problems.parent, env=environment, capture_output=True, text=True, check=True)
    print(f"{kind}: {monotonic() - began:.1f} s with its start", file=sys.stderr)
    wall, cpu = done.stdout.split()[-2:]
    return float(wall), float(cpu)
