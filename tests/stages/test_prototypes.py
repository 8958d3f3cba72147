"""Prototypes are made of the segments of the task that params name; no task has to be called ar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from egopack.model.prototypes import load_prototypes
from tests.support.workplace import Workplace

ACTIONS = '''
"""Action recognition under another name."""
from egopack.tasks.ar import ActionRecognition


class Actions(ActionRecognition):
    """The same."""
'''


def without_ar(params: dict[str, Any]) -> None:
    blocks = params["tasks"]
    params["tasks"] = {"actions": blocks["ar"], "oscc": blocks["oscc"]}
    params["helped_by"] = {"actions": "others", "oscc": "actions"}
    params["packs"] = {"actions": ["actions"], "others": ["oscc"]}
    params["comparison"] = {"multi_pack": "actions"}
    params["prototypes"] = {"task": "actions"}


def test_a_pipeline_without_ar(workplace: Workplace, folder_of_tasks: Path) -> None:
    (folder_of_tasks / "actions.py").write_text(ACTIONS)
    workplace.edit_params(without_ar)
    for command in (
        *(["fingerprint"], ["shard"], ["index", "actions"], ["index", "oscc"], ["train_multi", "actions"]),
        *(["build_prototypes", "actions"], ["train_egopack", "oscc"], ["evaluate_egopack", "oscc"]),
    ):
        done = workplace.run(*command)
        assert done.exit_code == 0, done.output
    assert list(load_prototypes("data/prototypes/actions.safetensors").rows) == ["actions"]
    workplace.edit_params(lambda params: params["prototypes"].update(task="oscc"))
    done = workplace.run("build_prototypes", "actions")
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] == (
        "Error: params.yaml: prototypes.task: samples of 'oscc' have no segments with a verb and a noun each; "
        "name a task that has them"
    )
    workplace.edit_params(lambda params: params["prototypes"].update(task="ar"))
    done = workplace.run("build_prototypes", "actions")
    assert done.output == "Error: params.yaml: prototypes.task: 'ar' is not one of the tasks actions, oscc\n"
