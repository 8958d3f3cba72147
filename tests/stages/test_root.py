"""Where the raw data is: named in params.yaml or by $EGO4D_ROOT, and it leaves no trace in what git sees."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.workplace import Workplace

STAGES = (["fingerprint"], ["shard"], ["index", "mq"])


def run_all(workplace: Workplace) -> dict[str, bytes]:
    """What the stages that read the raw data write."""
    for stage in STAGES:
        done = workplace.run(*stage)
        assert done.exit_code == 0, done.output
    files = sorted(path for top in ("data", "metrics") for path in Path(top).rglob("*") if path.is_file())
    files = [path for path in files if "scratch" not in path.parts]
    return {str(path): path.read_bytes() for path in files}


def absolute(workplace: Workplace, to: Path) -> str:
    return str(workplace.raw.rename(to))


def relative(workplace: Workplace, to: Path) -> str:
    return os.path.relpath(workplace.raw.rename(to))


def link(workplace: Workplace, to: Path) -> str:
    workplace.raw.rename(to)
    (to.parent / "link").symlink_to(to)
    return str(to.parent / "link")


def links_inside(workplace: Workplace, to: Path) -> str:
    """A root of links to folders elsewhere, and features as links to files."""
    workplace.raw.rename(to)
    root = to.parent / "linked"
    shutil.copytree(to / "annotations", root / "annotations", copy_function=os.symlink)
    (root / "features").symlink_to(to / "features")
    return str(root)


def read_only(workplace: Workplace, to: Path) -> str:
    workplace.raw.rename(to)
    for path in [to, *to.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return str(to)


@pytest.mark.parametrize("place", [absolute, relative, link, links_inside, read_only])
def test_the_same_outputs_wherever_the_root_is(
    place: Callable[[Workplace, Path], str],
    workplace: Workplace,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = run_all(workplace)
    shutil.rmtree("data")
    shutil.rmtree("metrics")
    named = place(workplace, tmp_path_factory.mktemp("mount") / "ego4d")
    raw = [(path, path.stat().st_mtime_ns) for path in sorted(Path(named).rglob("*"))]
    monkeypatch.setenv("EGO4D_ROOT", named)
    written = run_all(workplace)
    assert written == expected
    assert not [name for name, data in written.items() if b"mount" in data]
    assert [
        (path, path.stat().st_mtime_ns) for path in sorted(Path(named).rglob("*"))
    ] == raw  # nothing is written there


def test_the_variable_comes_before_the_params(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EGO4D_ROOT", "nowhere")
    done = workplace.run("fingerprint")
    assert done.exit_code == 1
    assert done.output.startswith("Error: $EGO4D_ROOT: 'nowhere' is not a folder; mount Ego4D there")
    assert "ego4d --output_directory" in done.output
    assert done.output.count("\n") == 1
    monkeypatch.setenv("EGO4D_ROOT", "")  # as good as none
    assert workplace.run("fingerprint").exit_code == 0


def test_an_experiment_in_a_copy_finds_a_relative_root(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc/tmp/exps/tmpx"
    copy.mkdir(parents=True)
    shutil.copy("params.yaml", copy)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert workplace.run("fingerprint").exit_code == 0


def test_a_source_that_is_misspelt_is_one_line(workplace: Workplace) -> None:
    workplace.edit_params(lambda params: params["tasks"]["ar"].update(annotations="fho_ita"))
    done = workplace.run("fingerprint")
    assert done.exit_code == 1
    assert done.output.startswith("Error: params.yaml: tasks.ar.annotations: 'fho_ita' is not one of fho_lta, fho_oscc")
