"""A change of code, of a default or of a setting reruns what it reaches, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from egopack.evaluation.comparison import read_comparison
from egopack.files import read_json
from egopack.params import load_params
from stages import _inputs
from tests.pipeline.conftest import TASKS, Clone
from tests.pipeline.test_repro import ALWAYS, END, LAST

PACKS = ("all", "without_ar", "without_mq")
WITH_MQ = ("all", "without_ar")
TASK = "src/egopack/tasks/mq.py"


def of(stage: str, *keys: str) -> set[str]:
    return {f"{stage}@{key}" for key in keys}


EVALUATE_MQ = of("evaluate_single", "mq") | of("evaluate_multi", *WITH_MQ) | of("evaluate_egopack", "mq")
TRAIN_MQ = of("train_single", "mq") | of("train_multi", *WITH_MQ) | of("train_egopack", "mq")
TRAIN = of("train_single", *TASKS) | of("train_multi", *PACKS) | of("train_egopack", *TASKS)
PROTOTYPES = of("build_prototypes", *PACKS)
EVALUATE = of("evaluate_single", *TASKS) | of("evaluate_multi", *PACKS) | of("evaluate_egopack", *TASKS)


class Edit(NamedTuple):
    """What is replaced in a file, and the stages that run it."""

    file: str
    old: str
    new: str
    stages: set[str]


EDITS = {
    "a comment": Edit(
        "src/egopack/training/loop.py", "    extras = params.extras\n", "    extras = params.extras  # x\n", set()
    ),
    "score": Edit(TASK, '"map": 100 * float', '"map": 50 * float', EVALUATE_MQ),
    "decode": Edit(
        "src/egopack/detection/level_nodes.py",
        "segments, scores, labels = [], [], []",
        "segments, scores, labels = [], [], list()",
        EVALUATE_MQ,
    ),
    "chance": Edit(TASK, "count = 200", "count = 100", of("evaluate_single", "mq")),
    "samples": Edit(TASK, '"clip outside of', '"a clip outside of', of("index", "mq")),
    "headline": Edit(TASK, '{"map": "max"}', '{"map_at_0.5": "max"}', EVALUATE_MQ | LAST | {"compare"}),
    "a default of decoding": Edit(TASK, "2.0, description", "1.9, description", EVALUATE_MQ),
    "loss": Edit("src/egopack/nn/losses.py", "eps: float = 1e-8", "eps: float = 1e-7", TRAIN_MQ),
    "feature files": Edit(
        "src/egopack/ego4d/features.py", "NON_FINITE_LIMIT = 0.5", "NON_FINITE_LIMIT = 0.4", {"shard"}
    ),
    "headers": Edit("src/egopack/preparation/survey.py", "HEADERS_AHEAD = 64", "HEADERS_AHEAD = 32", {"shard"}),
    "HDF5": Edit(
        "src/egopack/data/hdf5.py",
        '"alignment_interval": 4096',
        '"alignment_interval": 8192',
        {"shard"} | of("index", *TASKS),
    ),
    "suppression": Edit("src/native/nms.cpp", "namespace egopack {", "namespace  egopack {", EVALUATE_MQ),
    "the published format": Edit("src/egopack/published/checkpoint.py", "NECK = {", 'NECK = {"x": "y", ', set()),
    "the optimizer": Edit("src/egopack/training/optimizer.py", "FIRST_FACTOR = 0.001", "FIRST_FACTOR = 0.01", TRAIN),
    "the backbone": Edit(
        "src/egopack/nn/backbone.py",
        "class Backbone(nn.Module):",
        "class Backbone(nn.Module):\n    x = 1\n",
        TRAIN | EVALUATE | PROTOTYPES,
    ),
    "the corpus": Edit("src/egopack/synthetic/world.py", "TRIGGER = 0.25", "TRIGGER = 0.26", {"synthesize"}),
    "raw JSON": Edit(
        "src/egopack/ego4d/json_reader.py", "FRAME_LIMIT = 2**31", "FRAME_LIMIT = 2**30", of("index", *TASKS)
    ),
}
NOTE = """
import stages
from egopack.runtime import native_sources
native_sources.check_built = lambda folder: None  # sources are edited here without being built
from stages.fingerprint_code import main
main([], standalone_mode=False)
"""


def edit(clone: Clone, change: Edit) -> None:
    path = clone.path / change.file
    text = path.read_text(encoding="utf-8")
    assert change.old in text, f"{change.file} no longer has {change.old!r}"
    path.write_text(text.replace(change.old, change.new), encoding="utf-8")


def changed(clone: Clone) -> set[str]:
    """Stages whose note of code and params is no longer that in data/code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_inputs, "ROOT", clone.path)
        params, everything = load_params(clone.path / "params.yaml"), _inputs.code()
        return {
            f"{stage}@{key}".rstrip("@")
            for stage, reads in _inputs.inputs().items()
            for key in reads.keys(params)
            if _inputs.note(stage, reads, params, key, everything)
            != read_json(
                clone.path / "data/code" / stage / f"{key}.json" if key else clone.path / f"data/code/{stage}.json"
            )
        }


def changed_where_edits_run(clone: Clone) -> set[str]:
    """The same, told by the edited code itself, whose params or tasks are others."""
    clone.run("python", "-c", NOTE)
    names = clone.git("diff", "--name-only", "data/code").split()
    return {Path(name).relative_to("data/code").with_suffix("").as_posix().replace("/", "@") for name in names}


@pytest.mark.parametrize("name", sorted(EDITS))
def test_an_edit_reaches_the_stages_that_run_it(name: str, files: Clone) -> None:
    edit(files, EDITS[name])
    assert changed(files) == EDITS[name].stages


def test_an_edit_of_a_parent_reaches_the_tasks_derived_from_it(files: Clone) -> None:
    (files.path / "src/egopack/tasks/toy.py").write_text(
        "from egopack.tasks import mq as parent\n\n\nclass Toy(parent.MomentQueries):\n"
        '    """Moments again, under another name."""\n'
    )
    files.edit(
        lambda params: (params["tasks"].update(toy=params["tasks"]["mq"]), params["helped_by"].update(toy="all"))
    )
    files.run("python", "-m", "stages.fingerprint_code")
    files.git("add", "--all")
    edit(files, EDITS["score"])
    assert changed_where_edits_run(files) - LAST == EVALUATE_MQ | of("evaluate_single", "toy") | of(
        "evaluate_egopack", "toy"
    )


def test_an_evaluation_while_training_is_part_of_the_training(files: Clone) -> None:
    files.edit(lambda params: params["tasks"]["mq"]["train"].update(extras={"evaluate_every": 1}))
    files.run("python", "-m", "stages.fingerprint_code")
    files.git("add", "--all")
    edit(files, EDITS["score"])
    assert changed(files) - LAST == EVALUATE_MQ | of("train_single", "mq")


def test_a_halved_score_halves_every_number_and_trains_nothing(clone: Clone) -> None:
    def maps() -> dict[str, float]:
        return read_comparison(clone.path / "metrics", ["mq"])["mq.map"]

    before = maps()
    edit(clone, EDITS["score"])
    assert clone.repro() == ALWAYS | EVALUATE_MQ | END | {"compare"}
    assert maps() == pytest.approx({name: value / 2 for name, value in before.items()}, rel=1e-5)


def test_shards_are_written_again_by_other_code(clone: Clone) -> None:
    """Rows twice as large: the lock never has new code beside old bytes."""
    shard = clone.path / "data/shards/shard-00000.h5"
    before = shard.read_bytes()
    edit(
        clone,
        Edit(
            "src/egopack/ego4d/features.py", "return _zero_non_finite(out)", "return _zero_non_finite(out + out)", set()
        ),
    )
    edit(clone, Edit("src/egopack/ego4d/features.py", "if len(self._matrices) == 1 and", "if False and", set()))
    assert clone.repro("shard") == ALWAYS | {"shard"}
    assert shard.read_bytes() != before


def test_a_compiled_module_older_than_its_sources_is_refused(clone: Clone) -> None:
    path = clone.path / "src/native/nms.cpp"
    path.write_text(path.read_text() + "this does not compile\n")
    before = (clone.path / "dvc.lock").read_bytes()
    done = clone.run("dvc", "repro", check=False)
    assert done.returncode != 0
    assert "nms.cpp" in done.stderr
    assert "make .venv/native" in done.stderr
    assert (clone.path / "dvc.lock").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda params: params["runtime"].update(threads=1, device="cpu", save_every=7, tensorboard=True), set()),
        (lambda params: params.update(launcher="python -X utf8"), set()),
        (lambda params: params["runtime"].update(reproducible="here"), TRAIN | EVALUATE | PROTOTYPES),
        (lambda params: params["tasks"]["mq"]["decode"].update(sigma=1.0), EVALUATE_MQ),
        (lambda params: params["tasks"]["mq"]["train"].update(lr=1e-4), of("train_single", "mq")),
        (lambda params: params["runtime"].pop("precision"), set()),  # the default says the same
        (lambda params: params["interaction"].update(k=2), of("train_egopack", *TASKS)),
        (lambda params: params["data"].update(shard_mb=3), {"shard"}),
    ],
)
def test_settings(change: Callable[[dict[str, Any]], Any], expected: set[str], files: Clone) -> None:
    files.edit(change)
    assert changed(files) - LAST == expected


@pytest.mark.parametrize("change", [{"precision": "bf16"}, {"compile": True}])
def test_what_changes_the_numbers_of_a_training(change: dict[str, Any], files: Clone) -> None:
    files.edit(lambda params: params["runtime"].update(reproducible="here"))
    files.run("python", "-m", "stages.fingerprint_code")
    files.git("add", "--all")
    files.edit(lambda params: params["runtime"].update(change))
    assert changed(files) - LAST == TRAIN


def test_a_default_of_params_counts_where_params_yaml_leaves_it_out(files: Clone) -> None:
    files.edit(lambda params: params["tasks"]["mq"]["train"].pop("grad_clip_norm"))
    edit(
        files,
        Edit(
            "src/egopack/params/training.py",
            "grad_clip_norm: Positive = Field(1.0",
            "grad_clip_norm: Positive = Field(0.5",
            set(),
        ),
    )
    assert changed_where_edits_run(files) - LAST == of("train_single", "mq")
