"""A stand-in for Kaggle's service on this machine's port 80, where Kaggle's own client looks for it when it is told to.

`python -m tests.kaggle_on_loopback BUNDLE`, in a network namespace of its own: pushes the bundle onto an account that
has version 1 of everything, and writes the requests that came to standard output, as JSON.
"""

import json
import os
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from submission import push
from submission.config import read_config
from submission.isolation import raise_loopback

REQUESTS: list[tuple[str, Any]] = []
VERSIONS = {"dataset": 1, "variation": 1}


def answer(method: str) -> dict[str, Any]:
    if method in ("CreateDatasetVersion", "CreateModelInstanceVersion"):
        VERSIONS["dataset" if method == "CreateDatasetVersion" else "variation"] += 1
    answers: dict[str, dict[str, Any]] = {
        "StartBlobUpload": {"token": "token", "createUrl": "http://localhost/upload"},
        "GetDatasetStatus": {"status": "READY"},
        "GetDataset": {"currentVersionNumber": VERSIONS["dataset"]},
        "CreateDatasetVersion": {"status": "ok", "url": "url", "ref": "ref"},
        "GetModel": {"id": 1, "ref": "someone/model"},
        "GetModelInstance": {"id": 1, "slug": "default", "versionNumber": VERSIONS["variation"]},
        "CreateModelInstanceVersion": {"id": 1, "url": "url"},
        "SaveKernel": {"versionNumber": 1, "url": "url"},
    }
    return answers.get(method, {})


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        method = self.path.rpartition("/")[2]
        if method != "upload":
            REQUESTS.append((method, json.loads(body)))
        content = json.dumps(answer(method)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_PUT = do_POST

    def log_message(self, *arguments: Any) -> None: ...


def main() -> None:
    raise_loopback()
    server = ThreadingHTTPServer(("127.0.0.1", 80), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        os.environ.pop(name, None)
    os.environ |= {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "KAGGLE_USERNAME": "someone", "KAGGLE_KEY": "none"}
    os.environ["KAGGLE_CONFIG_DIR"] = tempfile.mkdtemp()
    bundle = Path(sys.argv[1])
    config = read_config(bundle / "wheels" / "submission.json")
    push.upload(push.steps(config, bundle, "notes"), lambda line: None)
    sys.stdout.write(json.dumps(REQUESTS))


if __name__ == "__main__":
    main()
