"""Bundles: what is written, what is refused before anything is, and what Kaggle's own client makes of it."""

import json
import tarfile
from pathlib import Path
from typing import Any

import nbformat
import pytest

from solver.competition import find_competition
from solver.errors import InputError, ModelError, UsageError
from submission import bundle as bundle_module
from submission import wheels as wheels_module
from submission.bundle import BundleOptions, cpu_builds, left_out, make_bundle, pack
from submission.check import check_bundle, check_submission
from submission.config import SubmissionConfig, load_preset, preset_names, read_config
from submission.errors import BundleError
from submission.mounts import LAYOUTS, find_input, mount_point
from submission.names import slugify
from submission.push import push_bundle, request_of, steps
from submission.wheels import Wheel, build_own_wheel, download, find_image, judge_wheels, resolve
from tests.wheel_files import write_wheel


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}", "utf-8")
    return folder


def make(preset: str, out: Path, model: Path | None = None, **settings: Any) -> Path:
    values = {"kaggle.owner": "someone"} | {name.replace("__", "."): value for name, value in settings.items()}
    return make_bundle(load_preset(preset, values), BundleOptions(out, model, wheels=False))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def metadata(bundle: Path) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((bundle / "notebook" / "kernel-metadata.json").read_text("utf-8"))
    return tree


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, model: Path) -> None:
    first, second = (make("miniature", tmp_path / name, model) for name in ("one", "two"))
    assert files(first) == files(second)
    assert set(json.loads((first / "manifest.json").read_text("utf-8"))) == set(files(first)) - {"manifest.json"}


def test_an_archive_does_not_tell_when_it_was_made(tmp_path: Path) -> None:
    for name, when in (("one", 1_000_000_000), ("two", 1_500_000_000)):
        path = tmp_path / name / "file.whl"
        path.parent.mkdir()
        path.write_bytes(b"same")
        import os

        os.utime(path, (when, when))
        pack([path], tmp_path / f"{name}.tarball")
    assert (tmp_path / "one.tarball").read_bytes() == (tmp_path / "two.tarball").read_bytes()


def test_the_notebook_is_short_valid_and_empty_of_outputs(tmp_path: Path) -> None:
    notebook = nbformat.read(make("scripted", tmp_path / "bundle") / "notebook" / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert sum(len([line for line in cell.source.splitlines() if line.strip()]) for cell in code) <= 15
    assert all(cell.outputs == [] and cell.execution_count is None and cell.id for cell in code)


def test_metadata_names_every_source_once_and_no_internet(tmp_path: Path, model: Path) -> None:
    h100 = metadata(make("aimo-3-h100", tmp_path / "one", model))
    assert h100["machine_shape"] == "NvidiaH100"
    assert h100["enable_internet"] is False
    assert h100["model_sources"] == ["someone/olympiad-solver-aimo-3-model/transformers/default/1"]
    source = "openai/gpt-oss-120b/transformers/default/1"
    theirs = metadata(make("aimo-3-h100", tmp_path / "two", None, kaggle__model_source=source))
    assert theirs["model_sources"] == [source]
    small = metadata(make("miniature", tmp_path / "three", model))
    assert "machine_shape" not in small
    assert small["dataset_sources"] == [
        "someone/olympiad-solver-miniature-wheels",
        "someone/olympiad-solver-miniature-model",
    ]


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_makes_a_bundle_that_check_passes_but_for_its_wheels(
    preset: str, tmp_path: Path, model: Path
) -> None:
    needs = load_preset(preset).needs_model
    bundle = make(preset, tmp_path / "bundle", model if needs else None)
    assert {finding.code for finding in check_bundle(bundle)} == {"wheels"}


def test_a_bundle_that_is_nobodys_is_told(tmp_path: Path) -> None:
    bundle = make("scripted", tmp_path / "bundle", kaggle__owner="your-kaggle-name")
    found = {finding.code: finding.severity for finding in check_bundle(bundle)}
    assert found["owner"] == "warning"


def test_a_gpu_preset_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="aimo-3-h100 needs a model: --model DIR"):
        make("aimo-3-h100", tmp_path / "bundle")
    with pytest.raises(BundleError, match="miniature needs a model: --model embedded, --model DIR"):
        make("miniature", tmp_path / "bundle")
    with pytest.raises(ModelError, match="no model folder"):
        make("aimo-3-h100", tmp_path / "bundle", tmp_path / "nowhere")
    assert not (tmp_path / "bundle").exists()


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(BundleError, match="is not empty"):
        make("scripted", tmp_path / "bundle")
    assert files(tmp_path / "bundle") == {"notes.txt": b"mine"}


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(BundleError, match=r"file is a file: name a new folder with -o"):
        make("scripted", tmp_path / "file")
    with pytest.raises(BundleError, match=r"bundle cannot be made: .*file is no folder that can be written to"):
        make("scripted", tmp_path / "file" / "bundle")


def test_another_that_came_first_is_not_written_over(tmp_path: Path, monkeypatch: Any) -> None:
    out = tmp_path / "bundle"
    monkeypatch.setattr(bundle_module, "_write_manifest", lambda folder: make_notes(out))
    with pytest.raises(BundleError, match="cannot be written: directory not empty"):
        make("scripted", out)
    assert files(out) == {"notes.txt": b"mine"}


def make_notes(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("mine", "utf-8")


def test_a_preset_without_a_model_takes_none(tmp_path: Path, model: Path) -> None:
    with pytest.raises(BundleError, match="preset scripted plays texts in place of a model: leave the model out"):
        make("scripted", tmp_path / "bundle", model)


def test_weights_are_linked_and_what_one_might_edit_is_copied(tmp_path: Path, model: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(bundle_module, "_LINKED_BYTES", 1000)
    (model / "model.safetensors").write_bytes(b"\0" * 1000)
    (model / "original").mkdir()
    bundle = make("miniature", tmp_path / "bundle", model)
    assert (bundle / "model" / "model.safetensors").samefile(model / "model.safetensors")
    assert not (bundle / "model" / "config.json").samefile(model / "config.json")
    assert left_out(model) == ["original"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kaggle__title": "Another Title"}, "Kaggle makes 'another-title' of the title"),
        ({"kaggle__title": "My_Solver X", "kaggle__slug": "my_solver-x"}, "small letters, digits and single dashes"),
        ({"kaggle__title": "Abc", "kaggle__slug": "abc"}, "must have 6 to 43"),
        ({"kaggle__title": "Größter Gewinn", "kaggle__slug": "gr-ter-gewinn"}, "write it in ASCII"),
        ({"kaggle__owner": "Some One"}, "owner 'Some One'"),
        ({"kaggle__model_source": "openai/gpt-oss-120b"}, "a number last"),
    ],
)
def test_names_that_kaggle_would_refuse_are_refused_first(settings: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=said):
        make("scripted", tmp_path / "bundle", **settings)
    assert not (tmp_path / "bundle").exists()


def test_an_unknown_preset_or_image_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'miniature'"):
        load_preset("minature")
    with pytest.raises(UsageError, match="no image profile 'py314'"):
        find_image("py314")


def test_titles_become_slugs_as_kaggle_makes_them() -> None:
    assert slugify("AIMO 3: The Solver!") == "aimo-3-the-solver"


def test_a_changed_bundle_is_told(tmp_path: Path) -> None:
    bundle = make("scripted", tmp_path / "bundle")
    (bundle / "wheels" / "requirements.txt").write_text("other", "utf-8")
    (bundle / "README.md").unlink()
    findings = [finding.message for finding in check_bundle(bundle) if finding.code == "manifest"]
    assert findings == [
        "README.md is missing: make the bundle again",
        "wheels/requirements.txt was changed after the bundle was made: make it again",
    ]


@pytest.mark.parametrize("name", ["notebook/notebook.ipynb", "notebook/kernel-metadata.json", "wheels/wheels.tarball"])
def test_what_the_check_itself_reads_and_misses_is_told_without_an_errno(name: str, tmp_path: Path) -> None:
    bundle = make("scripted", tmp_path / "bundle")
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing: make the bundle again$"):
        check_bundle(bundle)


def test_a_path_that_is_not_there_is_no_submission_either() -> None:
    with pytest.raises(InputError, match="no nowhere: name a bundle's folder or a submission file"):
        check_submission(Path("nowhere"), find_competition("aimo-3"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_inputs_are_found_in_every_layout(layout: Any, tmp_path: Path) -> None:
    sources: list[tuple[Any, str]] = [
        ("competition", "ai-mathematical-olympiad-progress-prize-3"),
        ("dataset", "someone/wheels"),
        ("notebook", "someone/my-notebook"),
        ("model", "openai/gpt-oss-120b/Transformers/default/1"),
    ]
    for kind, source in sources:
        (tmp_path / mount_point(layout, kind, source)).mkdir(parents=True)
    for kind, source in sources:
        assert find_input(tmp_path, kind, source) == tmp_path / mount_point(layout, kind, source)
    with pytest.raises(BundleError, match="the dataset someone/other is not attached to this notebook"):
        find_input(tmp_path, "dataset", "someone/other")


def test_kaggles_own_client_takes_the_metadata(tmp_path: Path, model: Path) -> None:
    pytest.importorskip("kaggle")
    bundle = make("aimo-3-h100", tmp_path / "bundle", model)
    requests = {step.kind: request_of(step) for step in steps(load(bundle), bundle, "notes")}
    kernel = requests["kernel"]
    assert kernel["slug"] == "someone/olympiad-solver-aimo-3"
    assert kernel["machineShape"] == "NvidiaH100"
    assert (kernel["enableInternet"], kernel["isPrivate"], kernel["enableGpu"]) == (False, True, True)
    assert kernel["competitionDataSources"] == ["ai-mathematical-olympiad-progress-prize-3"]
    assert kernel["modelDataSources"] == ["someone/olympiad-solver-aimo-3-model/transformers/default/1"]
    assert kernel["datasetDataSources"] == ["someone/olympiad-solver-aimo-3-wheels"]
    assert requests["dataset"]["uploaded"] == ["requirements.txt", "submission.json", "wheels.tarball"]
    assert requests["model"]["isPrivate"] is True
    assert requests["variation"]["body"]["framework"] == "MODEL_FRAMEWORK_TRANSFORMERS"
    assert requests["variation"]["uploaded"] == ["config.json", "model.safetensors", "tokenizer.json"]


def test_what_kaggles_own_client_refuses_is_told_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("kaggle")
    bundle = make("scripted", tmp_path / "bundle")
    changed = metadata(bundle) | {"kernel_type": "book"}
    (bundle / "notebook" / "kernel-metadata.json").write_text(json.dumps(changed), "utf-8")
    step = list(steps(load(bundle), bundle, "notes"))[-1]
    with pytest.raises(BundleError, match=r"Kaggle's client refuses .*A valid kernel type must be specified"):
        request_of(step)


def test_what_is_not_fit_is_not_pushed(tmp_path: Path) -> None:
    bundle = make("scripted", tmp_path / "bundle")
    with pytest.raises(BundleError, match="is not fit to be pushed: the bundle holds no wheels"):
        push_bundle(bundle, "notes", dry_run=True, tell=print)
    nobody = make("scripted", tmp_path / "nobody", kaggle__owner="your-kaggle-name")
    with pytest.raises(BundleError, match="the bundle has no owner"):
        push_bundle(nobody, "notes", dry_run=False, tell=print)


def load(bundle: Path) -> SubmissionConfig:
    return read_config(bundle / "wheels" / "submission.json")


def test_a_closure_is_judged_with_the_images_markers(tmp_path: Path) -> None:
    requires = ["old>=1; python_version < '3.12'", "new>=1; python_version >= '3.12'", "win; sys_platform == 'win32'"]
    write_wheel(tmp_path, "root", requires=requires)
    write_wheel(tmp_path, "old")
    wheels = [Wheel.read(path) for path in tmp_path.glob("*.whl")]
    assert judge_wheels(wheels, ["root"], find_image("py311"), ()) == []
    assert judge_wheels(wheels, ["root"], find_image("py312"), ()) == [
        "missing: root needs new>=1, and there is no wheel of it"
    ]


def test_wheels_that_do_not_fit_the_image_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: Any
) -> None:
    own = write_wheel(tmp_path, "olympiad_solver", requires=["fast"])
    wrong = write_wheel(tmp_path, "fast", tag="cp311-cp311-manylinux_2_17_x86_64")
    monkeypatch.setattr(bundle_module, "build_own_wheel", lambda folder: own)
    monkeypatch.setattr(bundle_module, "resolve", lambda *rest: ["fast==1.0"])
    monkeypatch.setattr(bundle_module, "download", lambda *rest: [wrong])
    with pytest.raises(BundleError, match="the wheels do not fit py312: wrong tag: olympiad-solver needs fast"):
        make_bundle(load_preset("scripted", {"wheels.image": "py312"}), BundleOptions(tmp_path / "one"))
    assert not (tmp_path / "one").exists()
    settings = {"wheels.image": "py311", "kaggle.owner": "someone"}
    made = make_bundle(load_preset("scripted", settings), BundleOptions(tmp_path / "two"))
    assert check_bundle(made) == []


def test_extras_versions_and_twins_are_judged(tmp_path: Path) -> None:
    write_wheel(tmp_path, "root", requires=["lib[fast]>=2"])
    write_wheel(tmp_path, "lib", "2.0", requires=["speed; extra == 'fast'"])
    write_wheel(tmp_path, "lib", "1.0")
    wheels = [Wheel.read(path) for path in sorted(tmp_path.glob("*.whl"), reverse=True)]
    problems = judge_wheels(wheels, ["root"], find_image("py312"), ())
    assert any(problem.startswith("twice: ") for problem in problems)
    write_wheel(tmp_path, "speed", "0.5")
    wheels = [Wheel.read(path) for path in sorted(tmp_path.glob("*.whl")) if "lib-1" not in path.name]
    assert judge_wheels(wheels, ["root"], find_image("py312"), ()) == []
    assert judge_wheels(wheels, ["root>=3"], find_image("py312"), ())[0].startswith("wrong version: ")


@pytest.mark.parametrize(("image", "fits"), [("py311", True), ("py312", True), ("py313", True)])
def test_stable_abi_wheels_fit_every_later_python(image: str, fits: bool, tmp_path: Path) -> None:
    abi3 = Wheel.read(write_wheel(tmp_path, "lib", tag="cp38-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64"))
    assert bool(abi3.tags & find_image(image).tags) is fits
    newer = Wheel.read(write_wheel(tmp_path, "other", tag="cp311-cp311-manylinux_2_38_x86_64"))
    assert not newer.tags & find_image("py311").tags


def test_a_cpu_build_is_no_wheel_for_a_gpu(tmp_path: Path) -> None:
    wheels = [Wheel.read(write_wheel(tmp_path, "torch", version)) for version in ("2.13.0+cpu", "2.13.0+cu130", "2.13")]
    (problem,) = cpu_builds(wheels, load_preset("aimo-3-h100"))
    assert problem.startswith("torch-2.13.0+cpu-py3-none-any.whl is a build for CPUs, and aimo-3-h100 is for H100")
    assert cpu_builds(wheels, load_preset("miniature")) == []


def test_the_images_pins_are_not_replaced_unless_it_is_said(tmp_path: Path) -> None:
    write_wheel(tmp_path, "root", requires=["protobuf>=5"])
    other = write_wheel(tmp_path, "protobuf", "7.0")
    image = find_image("py312")
    wheels = [Wheel.read(path) for path in tmp_path.glob("*.whl")]
    assert judge_wheels(wheels, ["root"], image, ())[0].startswith("replaces the image's protobuf 5.29.5 by 7.0")
    assert judge_wheels(wheels, ["root"], image, ("protobuf",)) == []
    other.unlink()
    assert judge_wheels([Wheel.read(tmp_path / "root-1.0-py3-none-any.whl")], ["root"], image, ()) == []


def test_wheels_are_resolved_for_the_image_and_not_for_this_python(tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("uv")
    index = tmp_path / "index"
    index.mkdir()
    markers = [f"only{minor}; python_version == '3.{minor}'" for minor in (11, 12, 13)]
    write_wheel(index, "root", requires=markers)
    for minor in (11, 12, 13):
        write_wheel(index, f"only{minor}", tag=f"cp3{minor}-cp3{minor}-manylinux_2_17_x86_64")
    monkeypatch.setattr(wheels_module, "_sources", lambda: ["--no-index", "--find-links", str(index)])
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    for minor in (11, 12, 13):
        image = find_image(f"py3{minor}")
        pins = resolve(["root"], image)
        assert sorted(pins) == [f"only{minor}==1.0", "root==1.0"]
    other = find_image("py313")  # none that these tests run on
    paths = download(["only13==1.0", "root==1.0"], other, tmp_path / "wheels")
    assert judge_wheels([Wheel.read(path) for path in paths], ["root"], other, ()) == []
    with pytest.raises(BundleError, match="cannot be resolved"):
        resolve(["nothing-of-that-name"], find_image("py312"))


@pytest.mark.real
def test_our_own_wheel_has_the_same_bytes_twice_and_all_its_data(tmp_path: Path) -> None:
    first, second = (build_own_wheel(tmp_path / name) for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    import zipfile

    names = set(zipfile.ZipFile(first).namelist())
    assert {"submission/images.toml", "submission/presets/miniature.toml", "solver/presets/miniature.toml"} <= names
    assert not any(name.startswith(("kaggle/", "tests/", "bench/")) for name in names)


def test_wheels_travel_in_one_file_that_kaggle_does_not_unpack(tmp_path: Path) -> None:
    bundle = make("scripted", tmp_path / "bundle")
    with tarfile.open(bundle / "wheels" / "wheels.tarball") as archive:
        assert archive.getnames() == ["requirements.txt"]
    assert len(list((bundle / "wheels").iterdir())) == 4
