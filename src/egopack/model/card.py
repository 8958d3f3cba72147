"""The model card that stands beside weights: README.md, as huggingface_hub reads it."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from egopack.ego4d.layout import told_of_rendered
from egopack.model.config import ModelConfig

REGIMES = {"single": "trained alone", "multi": "trained together", "egopack": "trained with the help of a pack"}
ARROWS = {"max": "↑", "min": "↓"}
PAPER = "https://arxiv.org/abs/2502.02487"


def card(config: ModelConfig, headlines: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """The card in Markdown, its metadata on top; it says nothing that the config does not.

    `headlines` are the metrics of each task that it shows, with what is better.
    """
    tasks = sorted(config.network.tasks)
    metadata = {
        "library_name": "egopack",
        "tags": ["egocentric-video", "hier-egopack", "model_hub_mixin", "pytorch_model_hub_mixin", *tasks],
    }
    head = yaml.safe_dump(metadata, sort_keys=False)
    regime = REGIMES.get(config.name.split("/")[0], "of unknown training")
    parts = [
        f"---\n{head}---\n",
        f"# Hier-EgoPack: {', '.join(task.upper() for task in tasks)}\n",
        f"A hierarchical temporal graph network for first-person video ([paper]({PAPER})), {regime}"
        + (f" ({config.name})." if config.name else "."),
        f"\nIt takes {_input(config)} and predicts {_output(config)}.\n",
        _use(config),
        _scores(config, headlines or {}),
        _origin(config),
    ]
    return "\n".join(filter(None, parts))


def _input(config: ModelConfig) -> str:
    if not config.features:
        return f"feature rows of {config.network.input_size} numbers, on a grid that is not known"
    sets = [
        f"`{one.name}` ({one.size} numbers every {one.stride} frames, windows of {one.window}, {one.fps:g} fps)"
        for one in config.features
    ]
    return "the features " + " and ".join(sets)


def _output(config: ModelConfig) -> str:
    tasks = []
    for name, task in sorted(config.network.tasks.items()):
        sets = ", ".join(f"{count} {key}" for key, count in sorted(task.labels.items()))
        tasks.append(name.upper() + (f" ({sets})" if sets else ""))
    return "; ".join(tasks)


def _use(config: ModelConfig) -> str:
    task = "" if len(config.network.tasks) == 1 else f', task="{min(config.network.tasks)}"'
    return f"""## Use

```python
import egopack

model = egopack.load("this folder")
table = model.predict("features.npy"{task})  # a row for every segment: its names, its seconds, its score
```
"""


def score(value: float | None) -> str:
    """A score in words."""
    return "undefined" if value is None else f"{value:g}"


def _scores(config: ModelConfig, headlines: Mapping[str, Mapping[str, str]]) -> str:
    rows = [
        f"| {task.upper()} {metric} {ARROWS[better]} | {score(config.scores[task][metric])} |"
        for task, headline in headlines.items()
        for metric, better in headline.items()
    ]
    if not rows:
        return ""
    return (
        "## Scores\n\nOn the validation split:\n\n" + "\n".join(["| metric | score |", "| --- | ---: |", *rows]) + "\n"
    )


def _origin(config: ModelConfig) -> str:
    known = [f"- {what}: `{digest}`" for what, digest in sorted(config.digests.items())]
    made = told_of_rendered(config.params.get("data.rendered", ()))
    licence = "Weights that were trained on Ego4D's features and annotations are under Ego4D's licence."
    said = "\n" + _data(config) + (f"**{made}** " if made else "")
    digests = "\n\nMade by and of (SHA-256):\n\n" + "\n".join(known) if known else ""
    return f"## Where it is from\n{said}`config.json` has all settings. {licence}{digests}\n"


def _data(config: ModelConfig) -> str:
    version, source = config.params.get("data.version"), config.params.get("data.source")
    if source:
        return f"Trained on annotations of the form `data.source: {source}`. "
    return f"Trained on annotations {version} in Ego4D's format. " if version else ""
