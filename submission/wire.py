"""The wire between Kaggle's gateway and a notebook: messages, payload encodings, ports, channel options.

Written from the protocol's description, not from Kaggle's code; speaks with kaggle_evaluation 0.3.0 and 0.9.0 (1.4.0 is
a superset whose module payloads, fields 17 to 19, are refused). One unary call:
`/kaggle_evaluation_client.KaggleEvaluationService/Send`. The descriptors live in a pool of their own, so that Kaggle's
generated code can be imported into the same process.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

METHOD = "/kaggle_evaluation_client.KaggleEvaluationService/Send"
SERVICE, _, RPC = METHOD[1:].rpartition("/")
PORTS = (50051, *range(60053, 60063))
"""0.9.0 binds the first that is free and its gateway tries all; 0.3.0 knows the first alone."""
CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.so_reuseport", 0),  # a second server must not share the port in silence
    # Kaggle's retries: UNAVAILABLE only, 5 attempts from 0.1 s.
    (
        "grpc.service_config",
        '{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.1s", '
        '"maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}',
    ),
)

_FIELD = descriptor_pb2.FieldDescriptorProto
_PAYLOAD_FIELDS = (
    ("str_value", 1, _FIELD.TYPE_STRING),
    ("bool_value", 2, _FIELD.TYPE_BOOL),
    ("int_value", 3, _FIELD.TYPE_SINT64),
    ("float_value", 4, _FIELD.TYPE_FLOAT),
    ("none_value", 5, _FIELD.TYPE_BOOL),
    ("list_value", 6, "PayloadList"),
    ("tuple_value", 7, "PayloadList"),
    ("dict_value", 8, "PayloadMap"),
    ("pandas_dataframe_value", 9, _FIELD.TYPE_BYTES),
    ("polars_dataframe_value", 10, _FIELD.TYPE_BYTES),
    ("pandas_series_value", 11, _FIELD.TYPE_BYTES),
    ("polars_series_value", 12, _FIELD.TYPE_BYTES),
    ("numpy_array_value", 13, _FIELD.TYPE_BYTES),
    ("numpy_scalar_value", 14, _FIELD.TYPE_BYTES),
    ("bytes_io_value", 15, _FIELD.TYPE_BYTES),
)


def _messages() -> Mapping[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="kaggle_evaluation_client.proto", package=SERVICE.partition(".")[0], syntax="proto3"
    )

    def message(name: str) -> Any:
        return file.message_type.add(name=name)

    def add(owner: Any, name: str, number: int, kind: Any, label: Any = _FIELD.LABEL_OPTIONAL) -> Any:
        field = owner.field.add(name=name, number=number, label=label)
        if isinstance(kind, str):
            field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{file.package}.{kind}"
        else:
            field.type = kind
        return field

    def add_map(owner: Any, name: str, number: int) -> None:
        entry_name = "".join(part.title() for part in name.split("_")) + "Entry"
        entry = owner.nested_type.add(name=entry_name)
        entry.options.map_entry = True
        add(entry, "key", 1, _FIELD.TYPE_STRING)
        add(entry, "value", 2, "Payload")
        add(owner, name, number, f"{owner.name}.{entry_name}", _FIELD.LABEL_REPEATED)

    request = message("KaggleEvaluationRequest")
    add(request, "name", 1, _FIELD.TYPE_STRING)
    add(request, "args", 2, "Payload", _FIELD.LABEL_REPEATED)
    add_map(request, "kwargs", 3)
    add(message("KaggleEvaluationResponse"), "payload", 1, "Payload")
    payload = message("Payload")
    payload.oneof_decl.add(name="value")
    for name, number, kind in _PAYLOAD_FIELDS:
        add(payload, name, number, kind).oneof_index = 0
    add(message("PayloadList"), "payloads", 1, "Payload", _FIELD.LABEL_REPEATED)
    add_map(message("PayloadMap"), "payload_map", 1)

    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}"))
        for name in ("KaggleEvaluationRequest", "KaggleEvaluationResponse", "Payload", "PayloadList", "PayloadMap")
    }


_MESSAGES = _messages()
Request = _MESSAGES["KaggleEvaluationRequest"]
Response = _MESSAGES["KaggleEvaluationResponse"]
Payload = _MESSAGES["Payload"]
_LIST, _MAP = _MESSAGES["PayloadList"], _MESSAGES["PayloadMap"]


def encode(value: Any) -> Any:
    """A `Payload` of what a call takes or returns.

    Raises:
        TypeError: a type that the protocol does not know, or a column of objects.
        ValueError: an integer beyond 64 bits.
    """
    library = type(value).__module__.partition(".")[0]
    if library in ("numpy", "pandas", "polars"):
        return _LIBRARIES[library](value)
    if value is None:
        return Payload(none_value=True)
    if isinstance(value, bool):  # before int, which it is one of
        return Payload(bool_value=value)
    if isinstance(value, int):
        return Payload(int_value=value)
    if isinstance(value, float):
        return Payload(float_value=value)
    if isinstance(value, str):
        return Payload(str_value=value)
    if isinstance(value, list):
        return Payload(list_value=_LIST(payloads=map(encode, value)))
    if isinstance(value, tuple):
        return Payload(tuple_value=_LIST(payloads=map(encode, value)))
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("KaggleEvaluation only supports dicts with keys of type str")
        return Payload(dict_value=_MAP(payload_map={key: encode(item) for key, item in value.items()}))
    if isinstance(value, io.BytesIO):
        return Payload(bytes_io_value=value.getvalue())
    raise TypeError(f"Type {type(value)} not supported for KaggleEvaluation.")


def decode(payload: Any) -> Any:
    """The value of a `Payload`. A pandas frame or series comes as polars where pandas is not installed.

    Raises:
        TypeError: a payload of a later version of the protocol, or an empty one.
    """
    kind = payload.WhichOneof("value")
    if kind is None:
        raise TypeError("an empty payload, or one of a later version of the protocol")
    value = getattr(payload, kind)
    if kind == "list_value":
        return [decode(item) for item in value.payloads]
    if kind == "tuple_value":
        return tuple(decode(item) for item in value.payloads)
    if kind == "dict_value":
        return {key: decode(item) for key, item in value.payload_map.items()}
    if kind == "none_value":
        return None
    return _DECODERS[kind](value) if kind in _DECODERS else value


def encode_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return Request(name=name, args=map(encode, args), kwargs={key: encode(value) for key, value in kwargs.items()})


def _encode_polars(value: Any) -> Any:
    frame = value.to_frame() if isinstance(value, pl.Series) else value
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"Type {type(value)} not supported for KaggleEvaluation.")
    for dtype in frame.dtypes:
        if dtype in (pl.Enum, pl.Object, pl.Unknown):
            raise TypeError(f"Polars data type {dtype} not supported for KaggleEvaluation.")
    buffer = io.BytesIO()
    if isinstance(value, pl.DataFrame):
        frame.write_ipc_stream(buffer, compression="lz4")
        return Payload(polars_dataframe_value=buffer.getvalue())
    frame.write_parquet(buffer, compression="lz4", statistics=False)
    return Payload(polars_series_value=buffer.getvalue())


def _encode_pandas(value: Any) -> Any:
    import pandas as pd

    buffer = io.BytesIO()
    if isinstance(value, pd.DataFrame):
        value.to_parquet(buffer, index=False, compression="lz4")
        return Payload(pandas_dataframe_value=buffer.getvalue())
    if isinstance(value, pd.Series):
        frame = value.to_frame(name=str(value.name if value.name is not None else 0))
        frame.to_parquet(buffer, index=False, compression="lz4")
        return Payload(pandas_series_value=buffer.getvalue())
    raise TypeError(f"Type {type(value)} not supported for KaggleEvaluation.")


def _encode_numpy(value: Any) -> Any:
    import numpy as np

    if not isinstance(value, np.ndarray | np.number | np.bool_):
        raise TypeError(f"Type {type(value)} not supported for KaggleEvaluation.")
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(value), allow_pickle=False)
    name = "numpy_array_value" if isinstance(value, np.ndarray) else "numpy_scalar_value"
    return Payload(**{name: buffer.getvalue()})


_LIBRARIES = {"numpy": _encode_numpy, "pandas": _encode_pandas, "polars": _encode_polars}


def _decode_pandas_frame(data: bytes) -> Any:
    try:
        import pandas as pd
    except ImportError:
        return pl.read_parquet(io.BytesIO(data))
    return pd.read_parquet(io.BytesIO(data))


def _decode_pandas_series(data: bytes) -> Any:
    frame = _decode_pandas_frame(data)
    return frame.to_series(0) if isinstance(frame, pl.DataFrame) else frame.iloc[:, 0]


def _decode_numpy(data: bytes) -> Any:
    import numpy as np

    return np.load(io.BytesIO(data), allow_pickle=False)


_DECODERS: dict[str, Any] = {
    "pandas_dataframe_value": _decode_pandas_frame,
    "polars_dataframe_value": lambda data: pl.read_ipc_stream(io.BytesIO(data)),
    "pandas_series_value": _decode_pandas_series,
    "polars_series_value": lambda data: pl.read_parquet(io.BytesIO(data)).to_series(0),
    "numpy_array_value": _decode_numpy,
    "numpy_scalar_value": lambda data: _decode_numpy(data)[()],
    "bytes_io_value": io.BytesIO,
}
