"""The model card: metadata that huggingface_hub reads, and nothing but what the config says."""

from __future__ import annotations

from huggingface_hub import ModelCard

from egopack.model.card import card
from egopack.model.config import About, ModelConfig, about
from egopack.params import FeatureSet
from tests.support import small


def config_of(*tasks: str, **more: object) -> ModelConfig:
    network = small.network_of(*tasks)
    known = about("egopack/mq", {"egovlp": FeatureSet(size=small.WIDTH)}, {task: small.LABELS[task] for task in tasks})
    return ModelConfig(network=network.spec, **(known.model_dump() | more))


def test_metadata_is_what_the_hub_reads() -> None:
    data = ModelCard(card(config_of("mq"))).data
    assert data.library_name == "egopack"
    assert {"pytorch_model_hub_mixin", "mq"} <= set(data.tags)


def test_it_says_what_the_model_takes_gives_and_scored() -> None:
    config = config_of("mq", scores={"mq": {"map": 21.5, "recall": 3.0}}, digests={"code": "abc", "data": "def"})
    text = card(config, {"mq": {"map": "max"}})
    assert "`egovlp` (6 numbers every 16 frames, windows of 16, 30 fps)" in text
    assert "MQ (4 moments)" in text
    assert "| MQ map ↑ | 21.5 |" in text
    assert "recall" not in text
    assert "- code: `abc`\n- data: `def`" in text
    assert 'model.predict("features.npy")' in text


def test_what_is_not_known_is_not_made_up() -> None:
    text = card(ModelConfig(network=small.network_of("ar", "mq").spec, **About().model_dump()))
    assert "of unknown training" in text
    assert "on a grid that is not known" in text
    assert "## Scores" not in text
    assert "SHA-256" not in text
    assert 'task="ar"' in text


def test_rendered_features_are_said_to_be() -> None:
    text = card(config_of("mq", params={"data.source": "table", "data.rendered": ["own"]}))
    assert "Trained on annotations of the form `data.source: table`." in text
    assert "**Features of own are rendered: made of the annotations, so scores say nothing of the footage.**" in text
    assert "rendered" not in card(config_of("mq", params={"data.version": "v1"}))
