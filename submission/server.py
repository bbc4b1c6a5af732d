"""What the notebook runs: `serve`, and Kaggle's `predict` over a `Contest`.

`predict` always answers with a one-row frame `id`, `answer`, in time: an exception that leaves it ends the run.
"""

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from solver.competition import find_competition
from submission.config import SubmissionConfig, read_config
from submission.contest import Contest
from submission.mounts import find_input
from submission.protocol import RERUN_VARIABLE, rehearsal_options

Predict = Callable[..., pl.DataFrame]


def serve(bundle: Path) -> None:
    """The notebook's last line. In a scored run it does not return; in a commit run it writes submission.parquet.

    Raises:
        HealthError: in a commit run, where the model or the machine would not do in a scored one.
        BundleError: the competition or the model is not attached to the notebook.
    """
    options = rehearsal_options()
    kaggle = Path(options.get("kaggle", "/kaggle"))
    config = read_config(bundle / "submission.json")
    competition = find_input(kaggle / "input", "competition", config.protocol.slug)
    model = find_model_folder(config, kaggle / "input")
    if options.get("without_model"):
        config, model = config.without_model(), None
    if fault := options.get("fault"):
        _inject(fault)
    contest = Contest(
        config,
        kaggle / "working",
        is_scored=RERUN_VARIABLE in os.environ,
        model=model,
        settings=(*_run_seed(config, options), *options.get("settings", ())),
        expected_problems=options.get("expected_problems"),
    )
    contest.start()
    server = inference_server(config, competition, make_predict(contest))
    if contest.health.is_scored:
        server.serve()
        return
    contest.require_health()
    server.run_local_gateway((str(competition / "test.csv"),))
    contest.require_answers()


def _run_seed(config: SubmissionConfig, options: Mapping[str, Any]) -> tuple[str, ...]:
    """AIMO-3 runs a notebook twice, and each run scores half: with seeds of its own, and the same expected score, the
    score varies half as much. The journal tells the seed. A preset that sets one keeps it."""
    if "seed" in config.solver or find_competition(config.competition).scoring != "two-run":
        return ()
    return (f"seed={options.get('seed', secrets.randbelow(2**31))}",)


def _inject(fault: str) -> None:
    from submission.faults import inject, parse_fault  # not loaded in a run of Kaggle's

    name, number = parse_fault(fault)
    inject(lambda served: name if served == number else None)


def find_model_folder(config: SubmissionConfig, inputs: Path) -> Path | None:
    """None where no model is needed. Raises BundleError where it is not attached."""
    kaggle = config.kaggle
    if not config.needs_model:
        return None
    if kaggle.model_source is not None:
        return find_input(inputs, "model", kaggle.model_source)
    return find_input(inputs, "dataset", f"{kaggle.owner}/{kaggle.model_slug}")


def make_predict(contest: Contest) -> Predict:
    """A plain function named `predict`, the only kind of listener that Kaggle's server takes."""

    def predict(id_: Any, problem: Any = None, answer: Any = None) -> pl.DataFrame:
        """`id_`, `problem`: polars Series of length one (anything that holds one value will do). `answer` is there
        where a reference file with answers is served, and is not looked at."""
        ids = pl.Series("id", ["unknown"])
        try:
            ids = id_ if isinstance(id_, pl.Series) and id_.len() == 1 else pl.Series("id", [str(only_value(id_))])
            return _frame(ids, contest.answer(str(ids[0]), str(only_value(problem))))
        except BaseException:  # noqa: BLE001  # an exception out of here ends the run
            return _frame(ids, 0)

    return predict


def only_value(value: Any) -> Any:
    """The value of a one-row Series, frame or list; itself, where it is no container."""
    if isinstance(value, pl.DataFrame):
        return value.item(0, 0)
    if isinstance(value, str) or not hasattr(value, "__getitem__"):
        return value
    return value.iloc[0] if hasattr(value, "iloc") else value[0]


def _frame(ids: pl.Series, answer: int) -> pl.DataFrame:
    return pl.DataFrame({"id": ids, "answer": pl.Series([answer], dtype=pl.Int64)})


def inference_server(config: SubmissionConfig, competition_folder: Path, predict: Predict) -> Any:
    """Kaggle's own server object, from the folder that it mounts with the competition."""
    if str(competition_folder) not in sys.path:
        sys.path.insert(0, str(competition_folder))
    module = import_module(f"kaggle_evaluation.{config.protocol.module}")
    return getattr(module, config.protocol.server_class)(predict)
