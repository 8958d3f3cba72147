"""What is noted of prototypes is what the network consulted, at the time of each feature."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from egopack.evaluation import predict as module
from egopack.evaluation.consulted import Consultations
from egopack.evaluation.predict import predict
from egopack.model.network import Network
from egopack.model.regimes import multi_network, novel_network
from egopack.params import InteractionParams
from egopack.tasks.base import load_task
from tests.model.test_regimes import prototypes_of
from tests.support import small

STEP = small.GRID.stride / small.GRID.fps


def helped(name: str) -> Network:
    members = [task for task in ("ar", "oscc") if task != name]
    backbone = small.backbone_params()
    sizes = {task: small.sizes(task) for task in members}
    pack = multi_network(small.WIDTH, backbone, {task: small.task_params(task) for task in members}, sizes, 3)
    made = prototypes_of(*members, count=9)
    torch.manual_seed(1)
    network = novel_network(name, small.task_params(name), small.sizes(name), small.randomize(pack), made, INTERACTION)
    return network.eval()


INTERACTION = InteractionParams(k=3, hidden=5, rounds=2)


@pytest.mark.parametrize("name", small.TASKS)
def test_the_nearest_of_the_first_round_at_its_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLES_AT_ONCE", 2)
    network, samples = helped(name), small.samples_of(name, 3)
    consulted = Consultations(network, small.GRID)
    decode = load_task(name).Decode()
    cpu = torch.device("cpu")
    predict(network, name, samples, small.Features(), decode, seed=0, device=cpu, watch=consulted.take)
    table = consulted.table()
    levels = 3 if name == "mq" else 1
    expected: dict[str, list[np.ndarray]] = {support: [] for support in network.support}
    for sample in samples:  # one by one: a feature does not depend on the others of its batch
        batch = small.batch_of([sample], levels=levels)
        with torch.no_grad():
            nodes = network.backbone(batch.x, batch.pyramid)
            for support in expected:
                neck = network.support[support]["neck"]
                aligned = network.head(name).align([neck(level) for level in nodes], batch)
                expected[support].append(network.egopack[support].matched(aligned)[1][0][:, 0].numpy())
    for sample, *parts in zip(samples, *expected.values(), strict=True):
        own = table[table["video_uid"] == sample.video_uid]
        for support, part in zip(expected, parts, strict=True):
            assert own[support].tolist() == part.tolist()
        begin = sample.rows[0] * STEP
        if name in ("ar", "oscc"):
            assert sample.segments is not None
            times = sample.segments.mean(axis=1) + begin
        elif name == "lta":
            times = np.array([(sample.rows[-1] + 1) * STEP])
        else:
            times = (sample.rows + 0.5) * STEP
        np.testing.assert_allclose(own["second"][: len(times)], times, rtol=1e-5)
        assert own["second"].between(begin, (sample.rows[-1] + 1) * STEP + 5).all()
