"""What DVC reruns, and that it leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from egopack.evaluation.comparison import read_comparison
from tests.pipeline.conftest import TASKS, Clone

ALWAYS = {"fingerprint_code", "fingerprint"}
LAST = {"release", "report"}  # which read all that there is
END = LAST | {"publish"}  # the same, and what follows once the report is another


def test_nothing_runs_twice(clone: Clone) -> None:
    assert set(clone.dvc("repro")) == ALWAYS
    assert clone.git("status", "--porcelain") == ""


def test_what_python_runs_has_the_bytes_of_what_was_forked(clone: Clone) -> None:
    stages = ["train_single@ar", "evaluate_single@ar"]
    assert clone.dvc("repro", "--force", "--single-item", *stages) == stages
    assert clone.git("status", "--porcelain") == ""


def test_learning_rate_reruns_what_depends_on_it(clone: Clone) -> None:
    ran = clone.dvc("exp", "run", "-S", "tasks.mq.train.lr=1.5e-5")
    assert set(ran) == ALWAYS | END | {"train_single@mq", "evaluate_single@mq", "compare"}
    changed = json.loads(clone.run("dvc", "metrics", "diff", "--json").stdout)
    assert changed.keys() == {"metrics/single.json"}
    assert changed["metrics/single.json"].keys() == {"mq.map"}


def test_decoding_reruns_evaluation_alone(clone: Clone) -> None:
    clone.edit(lambda params: params["tasks"]["mq"]["decode"].update(sigma=0.5))
    evaluated = {"evaluate_single@mq", "evaluate_egopack@mq", "evaluate_multi@all", "evaluate_multi@without_ar"}
    assert clone.repro() == ALWAYS | END | evaluated | {"compare"}


def test_model_reruns_only_packs_with_the_task(clone: Clone) -> None:
    clone.edit(lambda params: params["tasks"]["ar"]["model"].update(classifier_hidden=12))
    ran = clone.repro()
    assert {"train_single@ar", "train_multi@all", "train_multi@without_mq", "train_egopack@mq"} <= ran
    assert not ran & {"train_multi@without_ar", "train_single@mq", "index@ar", "index@mq", "shard"}


def test_pack_added_and_removed(clone: Clone) -> None:
    clone.edit(lambda params: params["packs"].update(alone=["mq"]))
    ran = clone.repro()
    assert ran == ALWAYS | END | {
        "fill_pack@alone",
        "train_multi@alone",
        "evaluate_multi@alone",
        "build_prototypes@alone",
        "compare",
    }
    clone.edit(lambda params: params["helped_by"].update(ar="alone"))
    ran = clone.repro()  # the network comes out the same where the pack has the members of another
    assert ALWAYS | {"train_egopack@ar"} <= ran <= ALWAYS | END | {"train_egopack@ar", "evaluate_egopack@ar", "compare"}
    clone.edit(lambda params: (params["packs"].pop("alone"), params["helped_by"].update(ar="without_ar")))
    assert clone.repro() <= ALWAYS | END | {"train_egopack@ar", "evaluate_egopack@ar", "compare"}


def test_new_task_is_one_file_and_one_block(clone: Clone) -> None:
    (clone.path / "src/egopack/tasks/toy.py").write_text(
        "from egopack.tasks.ar import ActionRecognition\n\n\nclass Toy(ActionRecognition):\n"
        '    """Actions again, under another name."""\n'
    )
    clone.edit(
        lambda params: (params["tasks"].update(toy=params["tasks"]["ar"]), params["helped_by"].update(toy="all"))
    )
    ran = clone.repro()
    own = {
        f"{stage}@toy" for stage in ("index", "train_single", "evaluate_single", "train_egopack", "evaluate_egopack")
    }
    assert own <= set(ran)
    assert not [stage for stage in ran if stage.startswith("train") and stage not in own]
    egopack, multi = (json.loads((clone.path / f"metrics/{name}.json").read_text()) for name in ("egopack", "multi"))
    assert "verb_top1" in egopack["toy"]
    assert not multi.get("toy")


def test_replaced_checkpoint_reruns_what_started_from_it(clone: Clone) -> None:
    named, models = clone.path / "data/imported/some", clone.path / "data/models/multi"
    shutil.copytree(models / "all", named)
    begin = {"epochs": 0, "warmup_epochs": 0, "extras": {"start_from": "data/imported/some"}}
    clone.edit(lambda params: params["tasks"]["ar"]["train"].update(begin))
    assert clone.repro("train_single@ar") == ALWAYS | {"train_single@ar"}
    clone.repro("fingerprint")
    before = json.loads(clone.run("dvc", "status", "--json").stdout)
    assert "train_single@ar" not in before
    shutil.copyfile(models / "without_mq/model.safetensors", named / "model.safetensors")
    shutil.copyfile(models / "without_mq/config.json", named / "config.json")
    clone.repro("fingerprint")
    after = json.loads(clone.run("dvc", "status", "--json").stdout)
    assert {stage for stage in after if after[stage] != before.get(stage)} == {"train_single@ar"}
    (changed,) = after["train_single@ar"]
    assert changed == {"changed deps": {"data/manifest/start_from/single/ar.json": "modified"}}
    assert set(clone.dvc("repro", "--dry", "train_single@ar", "train_single@mq", "train_multi@all")) == ALWAYS | {
        "train_single@ar"
    }
    shutil.rmtree(named)
    refused = clone.run("dvc", "repro", "train_single@ar", check=False)
    assert "extras.start_from: 'data/imported/some' is not a folder" in refused.stderr


def test_comparison_is_complete(reproduced: Clone) -> None:
    comparison = read_comparison(reproduced.path / "metrics", TASKS)
    for values in comparison.values():
        assert all(value is not None for value in values.values())


def test_one_after_the_other_from_nothing_reproduces_every_byte(reproduced: Clone, tmp_path: Path) -> None:
    """What ran two at once; dvc.lock too, in the order in which `dvc repro` writes it; it is removed before."""
    fresh = reproduced.from_nothing(tmp_path / "fresh")
    fresh.server = reproduced.server
    fresh.repro()
    assert fresh.git("status", "--porcelain") == ""
    assert fresh.repro() == ALWAYS


def test_misspelt_key_is_one_line(clone: Clone) -> None:
    clone.edit(lambda params: params["tasks"]["mq"]["train"].update(learning_rate=1e-3))
    done = clone.run("python", "-m", "stages.train_single", "mq", check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "Error: params.yaml: tasks.mq.train.learning_rate: unknown key; is it misspelt?"


def test_missing_root_is_one_line(clone: Clone) -> None:
    clone.edit(lambda params: params["data"].update(root="data/raw/elsewhere"))
    done = clone.run("python", "-m", "stages.fingerprint", check=False)
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert "data.root: 'data/raw/elsewhere' is not a folder" in done.stderr
