"""`solver doctor`: what it says of a machine and a model that are well, and of each thing that is not."""

import json
import os
import shutil
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from solver import doctor
from solver.config import load_config
from solver.doctor import as_json, examine
from solver.doctor.lines import Line
from solver.sandbox.layers import SandboxReport
from tests.conftest import run_solver, spawn_solver

WELL = SandboxReport({"seccomp": {"on": True, "detail": "x86_64"}}, None, {}, 0.1)


@pytest.fixture(autouse=True)
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Callable[[SandboxReport], None]:
    """The probe of the sandbox has tests of its own and takes a second."""

    def report(found: SandboxReport) -> None:
        monkeypatch.setattr(doctor.machine, "probe_layers", lambda _limits: found)

    report(WELL)
    return report


def lines(*settings: str, **flags: Any) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in examine(load_config("scripted", settings=settings, flags=flags)):
        found.setdefault(line.name, []).append(line)
    return found


def make_model(folder: Path, **config: Any) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", **config}), "utf-8")
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    write_weights(folder / "model.safetensors")
    return folder


def write_weights(file: Path, missing: int = 0) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1250], "data_offsets": [0, 5000]}}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * (5000 - missing))


def test_every_part_has_a_line_and_a_scripted_run_would_start() -> None:
    found = lines()
    assert set(found) == {"machine", "gpu", "engine", "wheels", "model", "disk", "time", "sandbox"}
    assert all(line.state != "problem" for group in found.values() for line in group)


def test_json_tells_the_same_and_whether_all_is_well() -> None:
    told = json.loads(as_json([Line("a", "ok", "b"), Line("c", "problem", "d", "e")]))
    assert told["ok"] is False
    assert told["checks"][1] == {"name": "c", "state": "problem", "detail": "d", "remedy": "e"}


def test_the_last_line_tells_whether_a_run_would_start() -> None:
    warning, problem = Line("a", "warning", "b"), Line("c", "problem", "d")
    assert doctor.verdict([]) == "A run would start here."
    assert doctor.verdict([warning]) == "A run would start here, with 1 warning."
    assert doctor.verdict([warning, warning, problem]) == "A run would not start here: 1 problem, 2 warnings."


def test_the_embedded_model_that_is_looked_at_is_the_one_that_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_model(tmp_path / "miniature")
    make_model(tmp_path / "base")
    monkeypatch.setattr(doctor.model, "miniature_folder", lambda: tmp_path / "miniature")
    monkeypatch.setattr(doctor.model, "embedded_folder", lambda: tmp_path / "base")
    monkeypatch.setattr(doctor.model, "describe_model", lambda *_: ["chat template: as ours"])
    monkeypatch.setattr(doctor.model, "_memory", lambda *_: iter(()))
    for embedded in ("miniature", "base"):
        found = lines("engine.name='transformers'", f"engine.embedded='{embedded}'")
        assert f"/{embedded}: 1 file" in found["model"][0].detail
        assert str(found["chat"][0]) == "ok       chat: template: as ours"


def test_a_missing_model_is_a_problem_and_the_command_ends_with_one(tmp_path: Path) -> None:
    done = run_solver("doctor", "--json", "--model", tmp_path / "none")
    assert done.returncode == 1
    bad = [check for check in json.loads(done.stdout)["checks"] if check["state"] == "problem"]
    assert "no model folder" in bad[0]["detail"]


def test_weights_that_are_missing_pointers_or_cut_short_are_problems(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")

    def model() -> str:
        found = lines("engine.name='transformers'", "chat.family='openmath'", **{"engine.model": folder})
        assert found["chat"]  # what else is wrong is told all the same
        return str(found["model"][0])

    assert model().startswith("ok ")
    file = folder / "model.safetensors"
    write_weights(file, missing=1000)
    assert "is cut short (" in model()
    file.write_text("version https://git-lfs.github.com/spec/v1\n", "utf-8")
    assert "model.safetensors is missing or only a pointer -> download or copy it again" in model()
    file.write_bytes(b"version 1" * 500)
    assert "is cut short or no safetensors file" in model()
    file.unlink()
    assert "no safetensors" in model()
    index = {"weight_map": {"a": "model-1.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    assert "model-1.safetensors is missing" in model()


def test_a_family_that_is_named_and_does_not_look_like_the_folder_s_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "model", model_type="qwen3")
    (folder / "chat_template.jinja").write_text("<|im_start|> enable_thinking <tool_call>", "utf-8")
    monkeypatch.setattr(doctor.model, "describe_model", lambda *_: [])
    settings = ("engine.name='transformers'", "chat.family='openmath-kaggle'")
    (line,) = lines(*settings, **{"engine.model": folder})["chat"]
    assert line.state == "warning"
    assert line.detail.startswith("chat.family is openmath-kaggle, the folder looks like qwen3")


def test_settings_for_gpus_that_are_not_there_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.engine, "require_engine", lambda _config: None)
    for num_gpus, problems in ((0, 2), (1, 1), (4, 0)):
        monkeypatch.setattr(doctor.engine, "_num_gpus", lambda num=num_gpus: num)
        settings = ("engine.name='vllm'", "engine.tensor_parallel_size=4", "engine.quantization='fp8'")
        assert [line.state for line in lines(*settings)["engine"]].count("problem") == problems


def test_a_server_that_does_not_answer_is_a_problem_and_one_that_refuses_is_up() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # it answers every GET with 501
        Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        (_, line) = lines("engine.name='openai'", f"engine.base_urls='{url}'")["engine"]
        assert str(line) == f"ok       engine: {url} answers"
    (_, line) = lines("engine.name='openai'", f"engine.base_urls='{url}'")["engine"]
    assert line.state == "problem"
    assert line.detail.startswith(f"{url}: ")
    (_, line) = lines("engine.name='openai'")["engine"]
    assert line.detail == "openai needs a server"


def test_a_tokenizer_that_cannot_be_read_is_a_problem_with_the_file_s_name(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    found = lines("engine.name='transformers'", "chat.family='openmath'", **{"engine.model": folder})
    (bad,) = [line for line in found["chat"] if line.state == "problem"]
    assert "tokenizer.json" in str(bad)


def test_a_context_longer_than_the_model_s_is_a_warning(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", max_position_embeddings=2048)
    (line,) = doctor.model._context(
        folder, load_config("scripted", settings=["engine.max_model_len=4096", "chat.family=openmath"])
    )
    assert (line.state, line.remedy) == ("warning", "--set engine.max_model_len=2048")


def test_an_engine_that_is_not_installed_is_a_problem_with_its_remedy() -> None:
    (bad,) = lines("engine.name='tensorrt-llm'")["engine"]
    assert bad.state == "problem"
    assert "pip install tensorrt-llm" in bad.remedy


def test_two_builds_of_vllm_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.engine, "installed_version", lambda name: "0.11.0" if name.startswith("vllm") else None)
    states = {line.state for line in lines()["engine"]}
    assert states == {"ok", "problem", "warning"}


def test_no_room_on_the_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1, 1, 1000))
    assert {line.state for line in lines()["disk"]} == {"warning"}


def test_a_limit_below_the_reserve_is_a_problem_and_a_contest_s_time_is_shared_out() -> None:
    assert lines("budget.time_limit_seconds=5")["time"][0].state == "problem"
    assert "360 s a problem" in lines("competition='aimo-3'")["time"][0].detail


def test_a_sandbox_that_cannot_confine_and_a_missing_library_are_problems(
    sandbox: Callable[[SandboxReport], None],
) -> None:
    sandbox(SandboxReport(WELL.layers, "no seccomp", {"sympy": "not installed"}, 0.1))
    found = [str(line) for line in lines()["sandbox"] if line.state == "problem"]
    assert "pip install sympy" in found[0]
    assert "--unsafe-sandbox" in found[1]


def test_a_busy_machine_and_a_broken_driver_are_warnings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (99.0, 0.0, 0.0))
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'driver mismatch' >&2; exit 9\n", "utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = lines()
    assert [line.state for line in found["machine"]] == ["ok", "warning"]
    assert found["gpu"][0] == Line("gpu", "warning", "nvidia-smi fails: driver mismatch", "check the driver")
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559, 20000, 570.1'\n", "utf-8")
    assert "end what holds its memory" in lines()["gpu"][0].remedy


def test_deep_runs_the_canary_and_tells_its_speed() -> None:
    found = list(examine(load_config("scripted"), deep=True))
    assert found[-1].name == "canary"
    assert found[-1].state in ("ok", "warning")
    assert "tokens at" in found[-1].detail


def test_deep_leaves_the_canary_out_where_it_could_not_start() -> None:
    found = list(examine(load_config("scripted", settings=["budget.time_limit_seconds=5"]), deep=True))
    assert found[-1] == Line("canary", "warning", "not run", "repair the problems above first")


@pytest.mark.real
def test_the_embedded_model_is_well_by_the_command() -> None:
    done = spawn_solver("doctor")
    assert done.returncode == 0, done.stdout
    assert "ok       model: " in done.stdout
    assert "sandbox: seccomp: " in done.stdout
    assert "differs" not in done.stdout
