from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.workplace import SETTINGS, Workplace

TASKS = ("ar", "oscc", "lta", "pnr", "mq")
SET = SETTINGS.feature_set
VIDEOS = SETTINGS.train_videos + SETTINGS.val_videos + SETTINGS.test_videos


def injure(workplace: Workplace) -> dict[str, str]:
    """Kind of injury -> the video that has it; two of them are missing, wide or cut short, one is all NaN."""
    first, second, third, fourth, fifth, *_ = workplace.features()
    first.unlink()
    workplace.save(second, np.zeros((200, 3), np.float32))
    third.write_bytes(third.read_bytes()[:100])
    workplace.save(fourth, np.full((200, SETTINGS.feature_size), np.nan, np.float32))
    rows = workplace.matrix(fifth).copy()
    rows[7] = np.inf
    workplace.save(fifth, rows)
    names = ("missing", "wrong size", "damaged", "nan", "inf")
    return dict(zip(names, (path.stem for path in (first, second, third, fourth, fifth)), strict=True))


def rows_of(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


def test_a_whole_corpus_passes(workplace: Workplace) -> None:
    done = workplace.run("check")
    assert done.exit_code == 0, done.output
    assert [SET, str(VIDEOS), "0", "0", "0"] in rows_of(done.output)
    for task in TASKS:
        for split in ("train", "val", "test_unannotated"):
            (row,) = [row for row in rows_of(done.output) if row[:2] == [task, split]]
            assert int(row[2].replace(",", "")) > 0
    clips = json.loads(workplace.annotation("fho_lta_train").read_text())["clips"]
    found = f"{len({clip['clip_uid'] for clip in clips})} clips, {len(clips)} actions"
    assert found in done.output
    assert not {path.name for path in workplace.folder.iterdir()} - {"raw", "params.yaml"}  # nothing is written


def test_what_is_wrong_is_counted_and_named(workplace: Workplace) -> None:
    injured = injure(workplace)
    done = workplace.run("check", "--rows")
    assert [SET, str(VIDEOS - 1), "1", "1", "1"] in rows_of(done.output)
    assert f"without a feature file: {injured['missing']}" in done.output
    assert f"1 feature file of another width than its set: {SET}/{injured['wrong size']}.pt" in done.output
    assert f"1 feature file that is cut short or not a plain tensor: {SET}/{injured['damaged']}.pt" in done.output
    assert f"more than half of its feature rows: {injured['nan']}" in done.output
    assert f"set to zero: {injured['inf']}: 1 rows" in done.output
    assert f"{VIDEOS - 4} videos can be used" in done.output
    assert f"{VIDEOS - 3} videos can be used" in workplace.run("check").output  # rows are not read


def counted(workplace: Workplace) -> dict[str, Any]:
    for stage, *arguments in (["fingerprint"], ["shard"], *(["index", task] for task in TASKS), ["count"]):
        done = workplace.run(stage, *arguments)
        assert done.exit_code == 0, done.output
    return json.loads(Path("metrics/data.json").read_text())


def test_the_pipeline_counts_the_same(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    from egopack.preparation import check as checking

    injure(workplace)
    reports = []
    check = checking.check_data

    def keep(*arguments: Any, **named: Any) -> Any:
        reports.append(check(*arguments, **named)[0])
        return reports[-1], []

    monkeypatch.setattr(checking, "check_data", keep)
    workplace.run("check", "--rows")
    written = counted(workplace)
    assert written == checking.numbers(reports[0])


def test_metrics_are_numbers(workplace: Workplace) -> None:
    def leaves(value: Any) -> list[Any]:
        return [leaf for one in value.values() for leaf in leaves(one)] if isinstance(value, dict) else [value]

    assert {type(leaf) for leaf in leaves(counted(workplace))} == {int}


@pytest.mark.parametrize(
    ("name", "tasks"),
    [("fho_lta_train", ("ar", "lta")), ("fho_oscc-pnr_val", ("oscc", "pnr")), ("moments_train", ("mq",))],
)
def test_a_task_with_nothing_to_train_on_is_an_error(name: str, tasks: tuple[str, ...], workplace: Workplace) -> None:
    workplace.edit_json(name, lambda value: value.update({"videos" if "moments" in name else "clips": []}))
    done = workplace.run("check")
    assert done.exit_code == 1
    split = name.rsplit("_", 1)[1]
    errors = [line for line in done.output.splitlines() if line.startswith("Error: ")]
    source = name.rsplit("_", 1)[0]
    expected = [
        f"Error: tasks.{task}: no usable sample in split '{split}' of {source} (the file lists none)" for task in tasks
    ]
    assert errors == expected
    for task in set(TASKS) - set(tasks):  # the others are told all the same
        assert [row for row in rows_of(done.output) if row[:2] == [task, "train"]]


def test_a_file_that_cannot_be_trusted_is_told_once_and_the_rest_is_counted(workplace: Workplace) -> None:
    file = workplace.annotation("fho_lta_val")
    file.write_bytes(file.read_bytes()[:-20])
    done = workplace.run("check")
    assert done.exit_code == 1
    assert done.output.count("not whole JSON") == 1
    assert "Error: raw/annotations/v1/fho_lta_val.json: not whole JSON at line 1" in done.output
    assert [row for row in rows_of(done.output) if row[:3] == ["ar", "val", "0"]]


def test_features_that_are_not_there(workplace: Workplace) -> None:
    workplace.edit_params(lambda params: params["data"]["features"].update(omnivore={"size": 4}))
    done = workplace.run("check")
    assert done.exit_code == 1
    assert (
        "Error: raw: missing features/omnivore/<video_uid>.pt; fetch them with the official client: ego4d"
        in done.output
    )
    assert "Error: raw/features/omnivore: no such folder; put the features there" in done.output
    assert "Error: tasks.mq: no usable sample in split 'train'" in done.output


def test_a_size_that_is_wrong_for_all_files(workplace: Workplace) -> None:
    workplace.edit_params(lambda params: params["data"]["features"][SET].update(size=99))
    done = workplace.run("check")
    assert done.exit_code == 1
    assert [SET, str(VIDEOS), "0", str(VIDEOS), "0"] in rows_of(done.output)
    assert f"Error: data.features.{SET}.size is 99, but the files are 8 wide; set it to 8" in done.output
    assert done.output.count("Error: ") == 1


def test_another_root(workplace: Workplace, tmp_path: Path) -> None:
    elsewhere = workplace.raw.rename(tmp_path / "elsewhere")
    assert workplace.run("check").exit_code == 1
    assert workplace.run("check", "--root", str(elsewhere)).exit_code == 0
    done = workplace.run("check", "--root", "nowhere")
    assert done.exit_code == 1
    assert done.output.startswith(
        "Error: --root: 'nowhere' is not a folder; mount Ego4D there, or name another folder;"
    )
    assert done.output.count("\n") == 1
