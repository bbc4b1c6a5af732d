"""A push: Kaggle's own client is asked for each step, and the notebook goes last, with what has just been taken in."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from submission import push
from submission.bundle import BundleOptions, make_bundle
from submission.config import load_preset, read_config
from submission.errors import BundleError
from submission.isolation import namespaces
from submission.push import steps, upload

DATASET = "someone/olympiad-solver-aimo-3-wheels"
MODEL = "someone/olympiad-solver-aimo-3-model"
VARIATION = f"{MODEL}/transformers/default"


class FakeClient:
    """Kaggle's client and what lies on Kaggle: versions by name."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.commands: list[str] = []
        self.model_sources: list[str] = []
        self.polls_until_ready = 0
        self.refuses = ""

    def __call__(self, arguments: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
        options = next((place for place, word in enumerate(arguments) if word.startswith("-")), len(arguments))
        command = " ".join(word for word in arguments[:options] if "/" not in word)
        if command.endswith((" get", " status")):
            return self._look(arguments, arguments[options - 1])
        self.commands.append(command)
        if command == self.refuses:
            return subprocess.CompletedProcess([], 0, "Kernel push error: Notebook not found\n", "")
        return self._change(arguments)

    def _look(self, arguments: tuple[str, ...], name: str) -> "subprocess.CompletedProcess[str]":
        if name not in self.versions:
            return subprocess.CompletedProcess([], 1, "Not found", "")
        if arguments[0] == "datasets":
            self.polls_until_ready -= 1
            status = "ready" if self.polls_until_ready < 0 else "pending"
            shown = json.dumps({"status": status, "current_version_number": self.versions[name]})
            return subprocess.CompletedProcess([], 0, shown, "")
        if "-p" in arguments:
            path = Path(arguments[-1], "model-instance-metadata.json")
            path.write_text(json.dumps({"versionNumber": self.versions[name]}), "utf-8")
        return subprocess.CompletedProcess([], 0, "", "")

    def _change(self, arguments: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
        folder = Path(arguments[arguments.index("-p") + 1])
        if arguments[0] == "kernels":
            metadata = json.loads((folder / "kernel-metadata.json").read_text("utf-8"))
            self.model_sources = metadata["model_sources"]
        else:
            name = DATASET if arguments[0] == "datasets" else VARIATION if "variations" in arguments else MODEL
            self.versions[name] = self.versions.get(name, 0) + 1
        return subprocess.CompletedProcess([], 0, "done\n", "")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    fake = FakeClient()
    monkeypatch.setattr(push, "_kaggle", fake)
    monkeypatch.setattr(push, "_POLL_SECONDS", 0.0)
    return fake


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    model = tmp_path / "checkpoint"
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).write_text("{}", "utf-8")
    config = load_preset("aimo-3-h100", {"kaggle.owner": "someone"})
    return make_bundle(config, BundleOptions(tmp_path / "bundle", model, wheels=False))


@pytest.fixture
def send(bundle: Path) -> Callable[[], None]:
    config = read_config(bundle / "wheels" / "submission.json")
    return lambda: upload(steps(config, bundle, "notes"), lambda line: None)


def test_the_first_push_creates_everything_and_the_notebook_comes_last(client: FakeClient, send: Any) -> None:
    send()
    assert client.commands == ["datasets create", "models create", "models variations create", "kernels push"]
    assert client.model_sources == [f"{VARIATION}/1"]


def test_a_later_push_makes_new_versions_and_the_notebook_names_them(
    client: FakeClient, send: Any, bundle: Path
) -> None:
    before = (bundle / "notebook" / "kernel-metadata.json").read_bytes()
    send()
    client.commands.clear()
    send()
    assert client.commands == ["datasets version", "models variations versions create", "kernels push"]
    assert client.model_sources == [f"{VARIATION}/2"]
    assert (bundle / "notebook" / "kernel-metadata.json").read_bytes() == before


def test_the_notebook_waits_until_its_wheels_are_taken_in(client: FakeClient, send: Any) -> None:
    client.polls_until_ready = 3
    send()
    assert client.polls_until_ready < 0


def test_what_kaggle_does_not_take_in_ends_the_push(
    client: FakeClient, send: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "_READY_SECONDS", 0.0)
    client.polls_until_ready = 10**6
    with pytest.raises(BundleError, match=f"Kaggle has not taken in {DATASET} after 0 s: push again later"):
        send()
    assert client.commands == ["datasets create"]


def test_a_refusal_that_the_client_tells_in_words_ends_the_push(client: FakeClient, send: Any) -> None:
    client.refuses = "kernels push"
    with pytest.raises(BundleError, match="kaggle kernels push failed: Kernel push error: Notebook not found"):
        send()


@pytest.mark.real
@pytest.mark.skipif(namespaces() is None, reason="needs a network namespace of its own")
def test_a_push_without_a_token_says_where_to_get_one(monkeypatch: pytest.MonkeyPatch, send: Any) -> None:
    said = "Authentication required ... export KAGGLE_API_TOKEN=xxxxxxxxxxxxxx ... ~/.kaggle/access_token"
    monkeypatch.setattr(push, "_kaggle", lambda arguments: subprocess.CompletedProcess([], 1, said, ""))
    with pytest.raises(BundleError, match=r"has no token here: make one at https://www\.kaggle\.com/settings/api"):
        send()


def test_a_dry_run_of_nobodys_bundle_says_that_a_push_would_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_bundle(load_preset("scripted"), BundleOptions(tmp_path / "bundle", wheels=False))
    monkeypatch.setattr(push, "check_bundle", lambda bundle: [])
    monkeypatch.setattr(push, "require_client", lambda: None)
    monkeypatch.setattr(push, "_show", lambda step, tell: None)
    lines: list[str] = []
    push.push_bundle(made, "notes", dry_run=True, tell=lines.append)
    assert lines == ["a push would be refused: the bundle has no owner, make it with --owner YOUR-KAGGLE-NAME"]


def test_kaggles_own_client_sends_new_versions_to_a_service_on_this_machine(bundle: Path) -> None:
    pytest.importorskip("kaggle")
    command = [*(namespaces() or ()), sys.executable, "-m", "tests.kaggle_on_loopback", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    requests = json.loads(done.stdout)
    sent = dict(requests)
    changes = [method for method, _ in requests if not method.startswith(("Get", "Start"))]
    assert changes == ["CreateDatasetVersion", "CreateModelInstanceVersion", "SaveKernel"]
    assert sent["SaveKernel"]["modelDataSources"] == [f"{VARIATION}/2"]
    assert sent["SaveKernel"]["enableInternet"] is False
    assert sent["CreateModelInstanceVersion"]["body"]["versionNotes"] == "notes"
