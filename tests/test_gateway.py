"""The stand-in for Kaggle's gateway and server: over a real socket, with what Kaggle's own code did in each case."""

import io
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission import wire
from submission.errors import GatewayError
from submission.gateway import Gateway, GatewayOptions
from submission.protocol import PROTOCOLS, RERUN_VARIABLE, Protocol
from submission.standin import AIMO2InferenceServer, AIMO3InferenceServer

PUBLIC = (
    'id,problem\n000aaa,"What is $1-1$?"\n111bbb,"What is $0\\times10$,\nagain?"\n222ccc,"Solve $4+x=4$ for $x$."\n'
)
KAGGLE = {name: os.environ.get(f"KAGGLE_EVALUATION_{name.replace('-', '_').upper()}") for name in ("aimo-2", "aimo-3")}
"""Folders with Kaggle's own kaggle_evaluation, from a competition's data: KAGGLE_EVALUATION_AIMO_3=DIR."""

SERVERS = {"aimo-2": AIMO2InferenceServer, "aimo-3": AIMO3InferenceServer}


@pytest.fixture
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kaggle_ports: None) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RERUN_VARIABLE, raising=False)
    (tmp_path / "test.csv").write_text(PUBLIC, "utf-8")
    return tmp_path / "test.csv"


def answer(id_: pl.Series, problem: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"id": id_, "answer": [len(problem[0])]})


def named_predict(function: Callable[..., Any]) -> Callable[..., Any]:
    def predict(id_: Any, problem: Any) -> Any:
        return function(id_, problem)

    return predict


def run(function: Callable[..., Any], problems: Path, name: str = "aimo-3", **options: Any) -> pl.DataFrame:
    """A commit run; the submission it wrote. Raises GatewayError."""
    server = SERVERS[name](named_predict(function))
    try:
        server._start()
        Gateway(PROTOCOLS[name], problems, GatewayOptions(**{"seed": 1, **options})).run()
    finally:
        server._server.stop(0).wait()
    return pl.read_parquet("submission.parquet")


def test_answers_arrive_as_one_row_series_and_are_written_in_the_order_asked(problems: Path) -> None:
    seen: list[tuple[str, str, str, str]] = []

    def predict(id_: pl.Series, problem: pl.Series) -> pl.DataFrame:
        assert isinstance(id_, pl.Series)
        assert id_.len() == problem.len() == 1
        seen.append((id_.name, problem.name, id_[0], threading.current_thread().name))
        return answer(id_, problem)

    table = run(predict, problems)
    assert table["id"].to_list() == [row[2] for row in seen]
    assert sorted(table["id"]) == ["000aaa", "111bbb", "222ccc"]
    assert {row[:2] for row in seen} == {("id", "problem")}
    assert len({row[3] for row in seen}) == 1
    assert threading.main_thread().name not in seen[0][3]


def test_the_order_is_random_and_the_seed_repeats_it(problems: Path) -> None:
    problems.write_text("id,problem\n" + "".join(f"p{n:03},text\n" for n in range(50)), "utf-8")
    first, again, other = (run(answer, problems, seed=seed)["id"].to_list() for seed in (1, 1, 2))
    assert first == again != other
    assert first != sorted(first) == sorted(other)


FRAME = pl.DataFrame({"id": ["x"], "answer": [5]})
# What predict returns, and how it ended under Kaggle's own 0.9.0 and 0.3.0: None is a written submission.
MATRIX: list[tuple[str, Callable[[Any, Any], Any], str | None, str | None]] = [
    ("frame with id", answer, None, None),
    ("frame without id", lambda i, p: pl.DataFrame({"answer": [5]}), None, "INVALID_SUBMISSION"),
    ("wrong id", lambda i, p: FRAME, None, "INVALID_SUBMISSION"),
    ("other column", lambda i, p: pl.DataFrame({"id": i, "result": [5]}), None, None),
    ("text answer", lambda i, p: pl.DataFrame({"id": i, "answer": ["5"]}), None, None),
    ("no row", lambda i, p: FRAME.head(0), "INVALID_SUBMISSION", "INVALID_SUBMISSION"),
    ("two rows", lambda i, p: pl.concat([FRAME, FRAME]), "INVALID_SUBMISSION", "INVALID_SUBMISSION"),
    ("bare int", lambda i, p: 5, "GATEWAY_RAISED_EXCEPTION", "GATEWAY_RAISED_EXCEPTION"),
    ("numpy int", lambda i, p: np.int64(5), "GATEWAY_RAISED_EXCEPTION", "GATEWAY_RAISED_EXCEPTION"),
    ("polars series", lambda i, p: pl.Series([5]), "GATEWAY_RAISED_EXCEPTION", "GATEWAY_RAISED_EXCEPTION"),
    ("None", lambda i, p: None, "INVALID_SUBMISSION", "INVALID_SUBMISSION"),
    ("series of two", lambda i, p: pl.Series([5, 6]), "INVALID_SUBMISSION", "INVALID_SUBMISSION"),
    ("text", lambda i, p: "5", "GATEWAY_RAISED_EXCEPTION", "GATEWAY_RAISED_EXCEPTION"),
    ("two digits", lambda i, p: "42", "GATEWAY_RAISED_EXCEPTION", "INVALID_SUBMISSION"),
    ("numpy float", lambda i, p: np.float32(5), "INVALID_SUBMISSION", "GATEWAY_RAISED_EXCEPTION"),
    ("numpy array", lambda i, p: np.array([5]), "INVALID_SUBMISSION", "GATEWAY_RAISED_EXCEPTION"),
    ("dict", lambda i, p: {"answer": 5}, "INVALID_SUBMISSION", "GATEWAY_RAISED_EXCEPTION"),
    ("list", lambda i, p: [5], "INVALID_SUBMISSION", "GATEWAY_RAISED_EXCEPTION"),
    ("list of two", lambda i, p: [5, 6], "INVALID_SUBMISSION", "INVALID_SUBMISSION"),
    ("huge int", lambda i, p: 2**70, "SERVER_RAISED_EXCEPTION", "SERVER_RAISED_EXCEPTION"),
    ("object", lambda i, p: object(), "SERVER_RAISED_EXCEPTION", "SERVER_RAISED_EXCEPTION"),
    ("exception", lambda i, p: 1 / 0, "SERVER_RAISED_EXCEPTION", "SERVER_RAISED_EXCEPTION"),
]


@pytest.mark.parametrize("name", ["aimo-2", "aimo-3"])
@pytest.mark.parametrize("case", MATRIX, ids=[case[0] for case in MATRIX])
def test_what_predict_may_return_and_how_kaggle_takes_it(name: str, case: Any, problems: Path) -> None:
    _, function, aimo3, aimo2 = case
    expected = aimo3 if name == "aimo-3" else aimo2
    if expected is None:
        assert run(function, problems, name).height == 3
        return
    with pytest.raises(GatewayError) as caught:
        run(function, problems, name)
    assert caught.value.kind.name == expected
    assert not Path("submission.parquet").exists()


def test_a_bare_int_is_found_out_only_after_the_last_problem(problems: Path) -> None:
    asked: list[str] = []

    def predict(id_: pl.Series, problem: pl.Series) -> int:
        asked.append(id_[0])
        return 5

    with pytest.raises(GatewayError, match="GATEWAY_RAISED_EXCEPTION"):
        run(predict, problems)
    assert len(asked) == 3


def test_frames_of_two_shapes_are_refused_at_the_end(problems: Path) -> None:
    orders = iter([["id", "answer"], ["answer", "id"], ["id", "answer"]])
    with pytest.raises(GatewayError, match="INVALID_SUBMISSION: Inconsistent prediction column counts"):
        run(lambda i, p: answer(i, p).select(next(orders)), problems)


def test_a_call_without_answer_ends_at_the_rehearsals_limit(problems: Path) -> None:
    over = threading.Event()
    with pytest.raises(GatewayError, match="GRPC_DEADLINE_EXCEEDED: predict gave no answer within"):
        run(lambda i, p: over.wait(600), problems, call_seconds=0.3)
    over.set()


def test_a_server_that_never_starts_is_told(problems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen: nobody else can have this port
        monkeypatch.setattr(wire, "PORTS", (taken.getsockname()[1],))
        with pytest.raises(GatewayError, match="SERVER_NEVER_STARTED"):
            Gateway(PROTOCOLS["aimo-3"], problems, GatewayOptions(startup_seconds=0.2)).run()


def test_a_function_of_another_name_is_a_missing_endpoint(problems: Path) -> None:
    def solve(id_: Any, problem: Any) -> None: ...

    server = AIMO3InferenceServer(solve)
    with pytest.raises(GatewayError, match="SERVER_MISSING_ENDPOINT: No listener for predict was registered"):
        server.run_local_gateway((problems,))


def test_a_scored_run_never_raises_and_writes_result_json(problems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RERUN_VARIABLE, "1")
    with pytest.raises(FileNotFoundError):
        run(lambda i, p: 1 / 0, problems)
    result = json.loads(Path("result.json").read_text("utf-8"))
    assert result == {
        "Succeeded": False,
        "ErrorType": 3,
        "ErrorName": "SERVER_RAISED_EXCEPTION",
        "ErrorDetails": "division by zero",
    }
    assert run(answer, problems).height == 3
    assert json.loads(Path("result.json").read_text("utf-8"))["Succeeded"]


@pytest.mark.usefixtures("kaggle_ports")
@pytest.mark.parametrize("listener", [lambda i, p: 5, [].append, print], ids=["lambda", "bound method", "builtin"])
def test_only_plain_functions_may_listen(listener: Any) -> None:
    with pytest.raises(ValueError, match="plain function"):
        AIMO3InferenceServer(listener)


def test_a_server_serves_once_and_a_second_one_takes_another_port(problems: Path) -> None:
    first, second = (AIMO3InferenceServer(named_predict(answer)) for _ in range(2))
    assert first.port != second.port
    first.run_local_gateway((problems,))
    with pytest.raises(ValueError, match="the server has already started"):
        first.run_local_gateway((problems,))
    second._start()  # only then does stopping it free its port, which another run's tests may look at
    second._server.stop(0).wait()


def test_every_answer_is_logged_as_it_comes(problems: Path) -> None:
    run(answer, problems, log=problems.parent / "log.jsonl")
    lines = [json.loads(line) for line in (problems.parent / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line.get("number") for line in lines] == [None, 1, 2, 3]
    assert "connected" in lines[0]
    assert lines[1]["columns"] == ["id", "answer"]
    assert lines[1]["dtypes"] == ["String", "Int64"]


SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(width=32, allow_nan=False)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(VALUES)
def test_values_cross_the_wire_unchanged(value: Any) -> None:
    payload = wire.Payload.FromString(wire.encode(value).SerializeToString())
    assert wire.decode(payload) == value


def test_tables_and_arrays_cross_the_wire_unchanged() -> None:
    for value in (pl.Series("id", ["a"]), pl.DataFrame({"id": ["a"], "answer": [1]})):
        back = wire.decode(wire.encode(value))
        assert type(back) is type(value)
        assert str(back) == str(value)
    assert wire.decode(wire.encode((1, "a"))) == (1, "a")
    assert wire.decode(wire.encode(np.arange(3))).tolist() == [0, 1, 2]
    assert wire.decode(wire.encode(np.int64(7))) == 7
    assert wire.decode(wire.encode(io.BytesIO(b"x"))).read() == b"x"


def test_series_go_as_parquet_and_frames_as_an_arrow_stream() -> None:
    assert wire.encode(pl.Series("id", ["a"])).polars_series_value.startswith(b"PAR1")
    assert wire.encode(pl.DataFrame({"a": [1]})).polars_dataframe_value.startswith(b"\xff\xff\xff\xff")


@pytest.mark.parametrize("value", [object(), {1: "a"}, pl.Series([object()], dtype=pl.Object), {1, 2}])
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        wire.encode(value)


@pytest.fixture
def kaggles(request: pytest.FixtureRequest) -> Iterator[tuple[Protocol, Any, Any]]:
    """Kaggle's own modules: the contest's gateway and its server."""
    protocol = PROTOCOLS[request.param]
    folder = KAGGLE[request.param]
    if folder is None:
        pytest.skip("set KAGGLE_EVALUATION_AIMO_2 and _AIMO_3 to folders that hold Kaggle's own kaggle_evaluation")
    before = set(sys.modules)
    sys.path.insert(0, folder)
    try:
        server = import_module(f"kaggle_evaluation.{protocol.module}")
        gateway = import_module(f"kaggle_evaluation.{protocol.module.replace('inference_server', 'gateway')}")
        yield protocol, gateway, server
    finally:
        sys.path[:] = [path for path in sys.path if not path.startswith(folder)]
        for name in set(sys.modules) - before:
            if "kaggle_evaluation" in name or "gateway" in name or "inference_server" in name:
                del sys.modules[name]


def gateway_class(module: Any) -> Any:
    return next(getattr(module, name) for name in dir(module) if name.startswith("AIMO") and name.endswith("Gateway"))


@pytest.mark.parametrize("kaggles", ["aimo-2", "aimo-3"], indirect=True)
def test_kaggles_own_server_answers_our_gateway(kaggles: Any, problems: Path) -> None:
    protocol, _, module = kaggles
    server = getattr(module, protocol.server_class)(named_predict(answer))
    server.server.start()
    try:
        outcome = Gateway(protocol, problems, GatewayOptions(seed=1)).run()
    finally:
        server.server.stop(0).wait()
    assert len(outcome.answered) == 3
    assert sorted(pl.read_parquet("submission.parquet")["id"]) == ["000aaa", "111bbb", "222ccc"]


@pytest.mark.parametrize("kaggles", ["aimo-2", "aimo-3"], indirect=True)
def test_kaggles_own_gateway_asks_our_server(kaggles: Any, problems: Path) -> None:
    protocol, module, _ = kaggles
    if protocol.competition == "aimo-2":
        problems.write_text(PUBLIC.replace("id,problem", "id,question"), "utf-8")
    server = SERVERS[protocol.competition](named_predict(answer))
    server._start()
    try:
        gateway_class(module)((str(problems),)).run()
    finally:
        server._server.stop(0).wait()
    assert sorted(pl.read_parquet("submission.parquet")["id"]) == ["000aaa", "111bbb", "222ccc"]


def ending(ask: Callable[[], Any]) -> tuple[str, list[tuple[Any, ...]]]:
    """How a run ended, and what it wrote, by id."""
    Path("submission.parquet").unlink(missing_ok=True)
    try:
        ask()
    except Exception as error:  # noqa: BLE001  # Kaggle's class for it cannot be imported here
        kind = error.kind if isinstance(error, GatewayError) else error.error_type  # type: ignore[attr-defined]
        return kind.name, []
    return "written", sorted(pl.read_parquet("submission.parquet").rows(), key=str)


def in_turn(*functions: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Each answers one call, the last one all the others."""
    left = list(functions)
    return lambda i, p: (left.pop(0) if len(left) > 1 else left[0])(i, p)


def pandas_frame(i: Any, p: Any, *columns: str) -> Any:
    import pandas as pd

    return pd.DataFrame({"id": list(i), "answer": [5]})[[*(columns or ("id", "answer"))]]


def pandas_series(i: Any, p: Any) -> Any:
    import pandas as pd

    return pd.Series([5], name="answer")


IN_TURN: list[tuple[str, tuple[Callable[[Any, Any], Any], ...]]] = [
    ("columns in another order", (answer, lambda i, p: answer(i, p).select("answer", "id"))),
    ("a column more", (answer, lambda i, p: answer(i, p).with_columns(x=pl.lit(1)))),
    ("int and text", (answer, lambda i, p: pl.DataFrame({"id": i, "answer": ["5"]}))),
    ("int and null", (answer, lambda i, p: pl.DataFrame({"id": i, "answer": [None]}))),
    ("int and float", (answer, lambda i, p: pl.DataFrame({"id": i, "answer": [7.5]}))),
    ("int and list", (answer, lambda i, p: pl.DataFrame({"id": i, "answer": [[5]]}))),
    ("frame and int", (answer, lambda i, p: 5)),
    ("pandas", (pandas_frame,)),
    ("pandas and polars", (pandas_frame, answer)),
    ("polars and pandas", (answer, pandas_frame)),
    ("pandas in another order", (pandas_frame, lambda i, p: pandas_frame(i, p, "answer", "id"))),
    ("pandas series", (pandas_series,)),
]


@pytest.mark.parametrize("kaggles", ["aimo-2", "aimo-3"], indirect=True)
@pytest.mark.parametrize(
    "functions",
    [*((case[1],) for case in MATRIX), *(case[1] for case in IN_TURN)],
    ids=[*(case[0] for case in MATRIX), *(case[0] for case in IN_TURN)],
)
def test_our_gateway_ends_as_kaggles_own_does(kaggles: Any, functions: Any, problems: Path) -> None:
    protocol, module, _ = kaggles
    if protocol.competition == "aimo-2":
        problems.write_text(PUBLIC.replace("id,problem", "id,question"), "utf-8")

    def served(make_gateway: Callable[[], Any]) -> tuple[str, list[tuple[Any, ...]]]:
        server = SERVERS[protocol.competition](named_predict(in_turn(*functions)))
        server._start()
        try:
            return ending(lambda: make_gateway().run())
        finally:
            server._server.stop(0).wait()

    theirs = served(lambda: gateway_class(module)((str(problems),)))
    ours = served(lambda: Gateway(protocol, problems, GatewayOptions(seed=1)))
    assert ours[0] == theirs[0]
    if len(functions) == 1:  # else it depends on the order who is answered what
        assert ours[1] == theirs[1]
