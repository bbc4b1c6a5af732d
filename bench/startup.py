"""How long `import solver` and `python -m solver --help` take as whole processes; goal: under 0.3 s each."""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.report import table, write_report

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import solver": ["-c", "import solver"],
    "python -m solver --help": ["-m", "solver", "--help"],
    "python -m solver solve --help": ["-m", "solver", "solve", "--help"],
}


def main(arguments: Sequence[str]) -> None:
    rounds = int(arguments[0]) if arguments else 15
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - began)
    rows = [
        (name, *(f"{value:.3f}" for value in (min(s), statistics.median(s), max(s)))) for name, s in seconds.items()
    ]
    write_report(
        "startup",
        f"{rounds} runs each, in turn.\n\n" + table(("command", "min s", "median s", "max s"), rows),
        arguments,
    )
