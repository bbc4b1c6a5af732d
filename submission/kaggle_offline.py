"""Kaggle's own client, without Kaggle: its whole validation runs on a folder, and the request that it would send is
printed as JSON. `python -m submission.kaggle_offline kernel|dataset|model|variation FOLDER`, a process of its own.
"""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Kind = str
_METHODS = {
    "kernel": ("kernels_push", {}),
    "dataset": ("dataset_create_new", {"quiet": True}),
    "model": ("model_create_new", {}),
    "variation": ("model_instance_create", {"quiet": True}),
}


class _Client:
    """Takes any request of any service, and keeps it."""

    def __init__(self, requests: list[Any]) -> None:
        self._requests = requests

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, request: Any = None, *rest: Any) -> Any:
        self._requests.append(request)
        return SimpleNamespace(error="", status="ok", url="", ref="", invalid_tags=[], version_number=1)


def request_of(kind: Kind, folder: Path) -> dict[str, Any]:
    """What the client would send. Raises ValueError where it refuses the folder."""
    os.environ |= {"KAGGLE_USERNAME": "offline", "KAGGLE_KEY": "offline", "KAGGLE_CONFIG_DIR": tempfile.mkdtemp()}
    os.environ["KAGGLE_API_ENVIRONMENT"] = "LOCALHOST"  # were anything to slip through, it would end on this machine
    from kaggle.api.kaggle_api_extended import KaggleApi
    from requests.exceptions import HTTPError

    requests: list[Any] = []
    uploaded: list[str] = []

    @contextlib.contextmanager
    def client(*arguments: Any) -> Iterator[_Client]:
        yield _Client(requests)

    def upload(path: str, *arguments: Any) -> str:
        uploaded.append(os.path.basename(path))  # noqa: PTH119
        return f"token of {uploaded[-1]}"

    def no_such_dataset(*arguments: Any) -> Any:
        raise HTTPError("404")

    api = KaggleApi()
    api.config_values = {"username": "offline", "key": "offline"}
    api.build_kaggle_client = client
    api._upload_blob = upload
    api.dataset_status = no_such_dataset
    method, options = _METHODS[kind]
    with contextlib.redirect_stdout(sys.stderr):
        getattr(api, method)(str(folder), **options)
    sent = _as_dict(requests[-1])
    sent["uploaded"] = sorted(uploaded)
    return sent


def _as_dict(request: Any) -> dict[str, Any]:
    tree = request.to_dict() if hasattr(request, "to_dict") else vars(request)
    return {key: value for key, value in tree.items() if value not in (None, "", [], {})}


def main() -> None:
    kind, folder = sys.argv[1:3]
    try:
        print(json.dumps(request_of(kind, Path(folder)), default=str))  # noqa: T201
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        sys.exit(f"Kaggle's client refuses {folder}: {error}")


if __name__ == "__main__":
    main()
