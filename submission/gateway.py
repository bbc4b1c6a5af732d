"""Kaggle's side of a run, written anew: asks a notebook's server for one answer after another, writes
`submission.parquet` and, in a scored run, `result.json`; with the errors that Kaggle's own gateway reports, and when.

What it is not: a judge. Like Kaggle's it lets wrong types and ranges through to the file; `submission.check` tells
those.
"""

import io
import json
import os
import random
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import grpc
import polars as pl

from submission import wire
from submission.errors import ErrorType, GatewayError
from submission.protocol import RERUN_VARIABLE, Protocol

_CONNECT_SECONDS = 0.5
_DETAILS_CHARS = 8000
_FRAMES = {"pandas_dataframe_value", "polars_dataframe_value"}


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """What a rehearsal sets otherwise than Kaggle does."""

    seed: int | None = None
    """Of the order of the problems; None: a new one each run."""
    startup_seconds: float | None = None
    call_seconds: float | None = None
    """Of every call, the first included; None: as the contest."""
    session_seconds: float | None = None
    """Over all calls: the notebook's limit."""
    host: str = "localhost"
    log: Path | None = None
    """Gets one JSON line for each answer."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer as it came over the wire."""

    number: int
    """From 1, in the order in which the problems were asked."""
    id: str
    seconds: float
    kind: str
    """The payload's field, such as polars_dataframe_value."""
    value: Any
    """Tables of either library come as polars."""

    def as_record(self) -> dict[str, Any]:
        table = self.value if isinstance(self.value, pl.DataFrame) else None
        return {
            "number": self.number,
            "id": self.id,
            "seconds": round(self.seconds, 3),
            "kind": self.kind,
            "columns": None if table is None else table.columns,
            "dtypes": None if table is None else [str(dtype) for dtype in table.dtypes],
            "rows": None if table is None else table.height,
            "values": repr(self.value)[:200] if table is None else [repr(row)[:200] for row in table.head(2).rows()],
        }


@dataclass
class Outcome:
    """How a run ended."""

    answered: list[Answered] = field(default_factory=list)
    error: GatewayError | None = None
    seconds: float = 0.0

    def as_result(self) -> dict[str, Any]:
        """Kaggle's result.json."""
        kind = self.error.kind if self.error else ErrorType.UNSPECIFIED
        return {
            "Succeeded": self.error is None,
            "ErrorType": int(kind),
            "ErrorName": kind.name if self.error else "",
            "ErrorDetails": self.error.details[:_DETAILS_CHARS] if self.error else "",
        }


class Gateway:
    """One run over the problems of a CSV file; the submission goes to the current folder."""

    def __init__(self, protocol: Protocol, problems: Path, options: GatewayOptions | None = None) -> None:
        self._protocol, self._problems = protocol, problems
        self._options = options or GatewayOptions()
        self._client = Client(self._options.host, protocol, self._options)
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Ask for every answer and write the files.

        Raises:
            GatewayError: outside a scored run; in one, `result.json` tells it instead.
        """
        began = monotonic()
        is_rerun = os.environ.get(RERUN_VARIABLE) is not None
        try:
            self._ask_all(began)
            _write_submission(self.outcome.answered, self._protocol)
        except GatewayError as error:
            self.outcome.error = error
        except Exception as error:  # noqa: BLE001  # Kaggle's gateway takes what it did not foresee as its own fault
            self.outcome.error = GatewayError(ErrorType.GATEWAY_RAISED_EXCEPTION, str(error))
        finally:
            self._client.close()
        self.outcome.seconds = monotonic() - began
        if is_rerun:
            Path("result.json").write_text(json.dumps(self.outcome.as_result()), "utf-8")
        elif self.outcome.error is not None:
            raise self.outcome.error
        return self.outcome

    def _ask_all(self, began: float) -> None:
        self._client.connect()
        self._log({"connected": time()})
        for number, row in enumerate(self._rows(), start=1):
            asked = monotonic()
            kind, value = self._client.call("predict", list(row))
            answered = Answered(number, str(row["id"][0]), monotonic() - asked, kind, value)
            self.outcome.answered.append(answered)
            self._log(answered.as_record())
            _check_prediction(answered, self._protocol)
            limit = self._options.session_seconds
            if limit is not None and monotonic() - began > limit:
                raise GatewayError(ErrorType.UNSPECIFIED, f"Notebook Timeout: {limit:g} s are over at problem {number}")

    def _rows(self) -> Iterator[pl.DataFrame]:
        """One-row frames, in random order. The types are inferred from the file, as Kaggle does: ids of digits alone
        become numbers."""
        table = pl.read_csv(self._problems)
        order = list(range(table.height))
        random.Random(self._options.seed).shuffle(order)
        for index in order:
            yield table[index]

    def _log(self, record: dict[str, Any]) -> None:
        if self._options.log is not None:
            with self._options.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


class Client:
    """Calls a notebook's server. The first call has no deadline, unless the options set one."""

    def __init__(self, host: str, protocol: Protocol, options: GatewayOptions) -> None:
        self._host, self._protocol, self._options = host, protocol, options
        self._channel: grpc.Channel | None = None
        self._has_called = False

    def call(self, name: str, args: Sequence[Any]) -> tuple[str, Any]:
        """The payload's kind and value. Raises GatewayError."""
        limit = self._options.call_seconds
        if limit is None and self._has_called:
            limit = self._protocol.call_seconds
        self._has_called = True
        send = self.connect().unary_unary(
            wire.METHOD,
            request_serializer=wire.Request.SerializeToString,
            response_deserializer=wire.Response.FromString,
        )
        try:
            response = send(wire.encode_call(name, args, {}), timeout=limit)
        except grpc.RpcError as error:
            raise _gateway_error(error, name, limit) from None
        kind = response.payload.WhichOneof("value") or ""
        return kind, _value(kind, response.payload)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()

    def connect(self) -> grpc.Channel:
        """Find the server on whichever port. Raises GatewayError where it does not come up in time."""
        if self._channel is None:
            self._channel = self._find_server()
        return self._channel

    def _find_server(self) -> grpc.Channel:
        seconds = self._options.startup_seconds or self._protocol.startup_seconds
        until = monotonic() + seconds
        while monotonic() < until:
            for port in wire.PORTS:
                if _is_listening(self._host, port):
                    return grpc.insecure_channel(f"{self._host}:{port}", options=wire.CHANNEL_OPTIONS)
            sleep(0.1)
        raise GatewayError(ErrorType.SERVER_NEVER_STARTED, f"no server answered within {seconds:g} s")


def _is_listening(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_SECONDS) as probe:
            # These ports are ephemeral ones too: a probe of a free port may be given it as its own, and meet itself.
            return bool(probe.getsockname() != probe.getpeername())
    except OSError:
        return False


def _gateway_error(error: Any, name: str, limit: float | None) -> GatewayError:
    code, details = error.code(), error.details() or ""
    said = details.removeprefix("Exception calling application: ")
    if code is grpc.StatusCode.UNAVAILABLE:
        return GatewayError(ErrorType.SERVER_CONNECTION_FAILED, details)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return GatewayError(ErrorType.GRPC_DEADLINE_EXCEEDED, f"{name} gave no answer within {limit:g} s")
    if said == f"No listener for {name} was registered.":
        return GatewayError(ErrorType.SERVER_MISSING_ENDPOINT, said)
    if said != details:
        return GatewayError(ErrorType.SERVER_RAISED_EXCEPTION, said)
    return GatewayError(ErrorType.UNSPECIFIED, f"{code.name}: {details}")


def _value(kind: str, payload: Any) -> Any:
    """Tables of pandas are read by polars, so that this side needs no pandas."""
    if kind in ("pandas_dataframe_value", "pandas_series_value"):
        frame = pl.read_parquet(io.BytesIO(getattr(payload, kind)))
        return frame if kind == "pandas_dataframe_value" else frame.to_series(0)
    return wire.decode(payload)


def _check_prediction(answered: Answered, protocol: Protocol) -> None:
    """What Kaggle's gateway checks after each answer; anything else goes through."""
    if answered.kind == "none_value":
        raise GatewayError(ErrorType.INVALID_SUBMISSION, "No prediction received")
    if protocol.needs_id:
        _check_with_id(answered)
    elif not _is_scalar(answered.value):
        if not isinstance(answered.value, pl.DataFrame | pl.Series):
            raise GatewayError(ErrorType.INVALID_SUBMISSION, f"Invalid prediction data type: {answered.kind}")
        _check_rows(len(answered.value))


def _check_with_id(answered: Answered) -> None:
    """0.3.0 asks anything for its length, its columns and its id at once; 0.9.0 meets bare values only when it writes
    the file."""
    value = answered.value
    if not hasattr(value, "__len__"):
        raise GatewayError(ErrorType.GATEWAY_RAISED_EXCEPTION, f"a prediction of kind {answered.kind} has no len()")
    _check_rows(len(value))
    if not isinstance(value, pl.DataFrame):
        raise GatewayError(ErrorType.GATEWAY_RAISED_EXCEPTION, f"a prediction of kind {answered.kind} has no columns")
    if "id" not in value.columns:
        raise GatewayError(ErrorType.INVALID_SUBMISSION, "Prediction missing column id")
    if str(value["id"][0]) != answered.id:
        raise GatewayError(ErrorType.INVALID_SUBMISSION, f"Invalid values for id: {value['id'][0]}")


def _check_rows(number: int) -> None:
    if number != 1:
        raise GatewayError(ErrorType.INVALID_SUBMISSION, f"expected 1 rows but received {number}")


def _is_scalar(value: Any) -> bool:
    return isinstance(value, int | float | str) or type(value).__name__ == "int64"  # numpy's


def _write_submission(answered: Sequence[Answered], protocol: Protocol) -> None:
    frames = [_as_frame(item) for item in answered]
    if len({item.kind for item in answered}) > 1:
        raise GatewayError(ErrorType.GATEWAY_RAISED_EXCEPTION, "predictions of different kinds cannot be concatenated")
    is_pandas = answered[0].kind.startswith("pandas")  # which finds columns by their names
    if not is_pandas and len({tuple(frame.columns) for frame in frames}) > 1:
        raise GatewayError(ErrorType.INVALID_SUBMISSION, "Inconsistent prediction column counts")
    try:
        table = pl.concat(frames, how="diagonal_relaxed" if is_pandas else "vertical_relaxed")
    except pl.exceptions.SchemaError:
        raise GatewayError(ErrorType.INVALID_SUBMISSION, "Inconsistent prediction types") from None
    if not protocol.needs_id:
        table = table.with_columns(pl.Series("id", [item.id for item in answered]))
    order = ["id", *(name for name in table.columns if name != "id")]
    table.select(order).write_parquet("submission.parquet")


def _as_frame(item: Answered) -> pl.DataFrame:
    if item.kind in _FRAMES:
        return pl.DataFrame(item.value)
    if item.kind == "pandas_series_value":
        return pl.DataFrame(item.value.to_frame())
    raise GatewayError(
        ErrorType.GATEWAY_RAISED_EXCEPTION,
        f"a bare {item.kind.removesuffix('_value')} cannot be written: target_column_name must be set",
    )
