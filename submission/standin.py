"""The notebook's side of `kaggle_evaluation`, for rehearsals: what Kaggle mounts with a competition. Same names, same
ports, one worker thread, the same refusals. A rehearsal's fake competition folder imports this where the user has no
copy of Kaggle's files.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType
from typing import Any

import grpc

from submission import wire
from submission.gateway import Gateway, GatewayOptions
from submission.protocol import PROTOCOLS, RERUN_VARIABLE, Protocol, rehearsal_options


class InferenceServer:
    """Serves plain functions by their names."""

    protocol: Protocol

    def __init__(self, *listeners: Callable[..., Any]) -> None:
        self._listeners = {}
        for listener in listeners:
            if not isinstance(listener, FunctionType) or listener.__name__ == "<lambda>":
                raise ValueError(f"a listener must be a plain function with a name, not {listener!r}")
            self._listeners[listener.__name__] = listener
        self._is_started = False
        # One worker: one question at a time, and never in the main thread.
        self._server = grpc.server(ThreadPoolExecutor(max_workers=1), options=wire.CHANNEL_OPTIONS)
        handler = grpc.unary_unary_rpc_method_handler(
            self._send,
            request_deserializer=wire.Request.FromString,
            response_serializer=wire.Response.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(wire.SERVICE, {wire.RPC: handler}),)
        )
        self.port = self._bind()

    def serve(self) -> None:
        """Start; in a scored run, block for ever."""
        self._start()
        if os.environ.get(RERUN_VARIABLE) is not None:
            self._server.wait_for_termination()

    def run_local_gateway(self, data_paths: tuple[str | Path, ...] | None = None) -> None:
        """Start, and ask the server from this process as Kaggle does in a commit run. Raises GatewayError."""
        self._start()
        default = f"/kaggle/input/{self.protocol.slug}/test.csv"  # Kaggle's own default names the old layout alone
        try:
            Gateway(self.protocol, Path(data_paths[0] if data_paths else default), _options()).run()
        finally:
            self._server.stop(0)

    def _start(self) -> None:
        if self._is_started:
            raise ValueError("the server has already started: make one server object, and use it once")
        self._is_started = True
        self._server.start()

    def _bind(self) -> int:
        for port in wire.PORTS if self.protocol.version != "0.3.0" else wire.PORTS[:1]:
            try:
                if bound := int(self._server.add_insecure_port(f"[::]:{port}")):
                    return bound
            except RuntimeError:
                continue
        raise RuntimeError("every port is taken: is another server still running in this notebook?")

    def _send(self, request: Any, context: Any) -> Any:
        if request.name not in self._listeners:
            raise NotImplementedError(f"No listener for {request.name} was registered.")
        args = [wire.decode(payload) for payload in request.args]
        kwargs = {key: wire.decode(payload) for key, payload in request.kwargs.items()}
        return wire.Response(payload=wire.encode(self._listeners[request.name](*args, **kwargs)))


class AIMO2InferenceServer(InferenceServer):
    protocol = PROTOCOLS["aimo-2"]


class AIMO3InferenceServer(InferenceServer):
    protocol = PROTOCOLS["aimo-3"]


def write_package(folder: Path, protocol: Protocol) -> None:
    """The files that make `import kaggle_evaluation.aimo_N_inference_server` work in a fake competition folder."""
    package = folder / "kaggle_evaluation"
    package.mkdir()
    (package / "__init__.py").write_text("", "utf-8")
    source = f'"""A stand-in, for rehearsals."""\n\nfrom submission.standin import {protocol.server_class}\n'
    (package / f"{protocol.module}.py").write_text(source, "utf-8")


def _options() -> GatewayOptions:
    values = dict(rehearsal_options().get("gateway", {}))
    if values.get("log"):
        values["log"] = Path(values["log"])
    return GatewayOptions(**values)
