"""A number that is wrong stops a training: NaN and Inf in losses, gradients and weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from egopack.data.loader import Loader
from egopack.errors import UserError
from egopack.params import OptimizerParams
from egopack.training import finite
from egopack.training.loop import StepReport, step, train
from egopack.training.optimizer import make_optimizer
from egopack.training.state import STATE, Scratch
from tests.support import small
from tests.support.train_tiny import loaders_of, network_of
from tests.support.workplace import Workplace

CPU = torch.device("cpu")
PARAMS = OptimizerParams(epochs=4, warmup_epochs=0, lr=1e-3)


class Spoilt(small.Features):
    """Features of which those of one video are as large as float32 allows."""

    def __init__(self, uid: str, value: float = 1e38) -> None:
        super().__init__()
        self.uid, self.value = uid, value

    def rows(self, uid: str, rows: np.ndarray) -> np.ndarray:
        found = super().rows(uid, rows)
        return np.full_like(found, self.value) if uid == self.uid else found


def spoil(loader: Loader, uid: str) -> int:
    """Spoil the features of a video; the step, from 1, that reads them first."""
    loader.features = Spoilt(uid)
    return 1 + next(k for k, chosen in enumerate(loader.chosen(0)) if uid in [one.video_uid for one in chosen])


def test_the_first_loss_that_is_not_finite_is_named(tmp_path: Path) -> None:
    network, loaders = network_of(), loaders_of()
    first = spoil(loaders["mq"], "video4")
    assert first > 1
    scratch = Scratch(tmp_path / "run", 1)
    scratch.due = lambda step: True  # type: ignore[method-assign]
    done: list[int] = []
    before: list[dict[str, torch.Tensor]] = []

    def on_step(step: int, total: int) -> None:
        done.append(step)
        before.append({name: value.clone() for name, value in network.state_dict().items()})

    with pytest.raises(finite.NotFiniteError) as caught:
        train(network, loaders, PARAMS, device=CPU, scratch=scratch, on_step=on_step)
    message = str(caught.value)
    assert message.startswith(f"step {first}: the loss of mq (classification) is nan")
    assert "ar" not in message.split("samples")[1].split(";")[0]
    keys = [one.key for one in loaders["mq"].chosen(0)[first - 1]]
    assert f"mq: {', '.join(keys)}" in message
    assert "clip4" in keys
    assert f"{finite_rate(loaders, first - 1):.3g}" in message
    assert done == list(range(1, first))
    parameters = dict(network.named_parameters())
    assert all(torch.equal(parameters[name].data, before[-1][name]) for name in parameters)
    assert load_file(tmp_path / "run" / STATE)["grad_norm"].isfinite().all()
    assert len(load_file(tmp_path / "run" / STATE)["grad_norm"]) == first - 1


def finite_rate(loaders: dict[str, Loader], step: int) -> float:
    total = max(map(len, loaders.values())) * PARAMS.epochs
    return 1e-8 + (1e-3 - 1e-8) * 0.5 * (1 + float(np.cos(np.pi * step / total)))


def test_a_gradient_alone() -> None:
    network, loaders = network_of(("ar",)), loaders_of(tasks=("ar",))
    weight = network.head("ar").neck["1"].weight
    weight.register_hook(lambda grad: grad * torch.inf)
    with pytest.raises(finite.NotFiniteError, match=r"step 1: the gradient of ar is (inf|nan), at a "):
        train(network, loaders, PARAMS, device=CPU)
    assert all(value.isfinite().all() for value in network.state_dict().values())


def test_an_accelerator_leaves_out_updates_until_somebody_looks() -> None:
    """What the optimizer does on a GPU, on the meta of a CPU: the flag that it reads, and the flag that stays."""
    network = network_of(("ar",))
    optimizer = make_optimizer(network, PARAMS)
    weights = list(network.parameters())
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    for norm, spoilt in ((1.0, 0.0), (torch.nan, 1.0), (1.0, 1.0)):
        report = StepReport({"ar": {"verb": torch.tensor(1.0)}}, torch.tensor(norm))
        before = [weight.detach().clone() for weight in weights]
        finite.update(optimizer, weights, report, 1e9, at_once=False)
        assert float(optimizer.found_inf) == spoilt  # type: ignore[attr-defined]
        moved = [not torch.equal(old, new.detach()) for old, new in zip(before, weights, strict=True)]
        assert set(moved) == {not spoilt}


def test_the_first_of_several_reports_is_found() -> None:
    loaders = loaders_of(tasks=("ar",))
    good, bad = (StepReport({"ar": {"verb": torch.tensor(value)}}, torch.tensor(1.0)) for value in (1.0, torch.inf))
    keys = [sample.key for number in (2, 3) for sample in loaders["ar"].chosen(0)[number]]
    finite.check([good, good], 7, float, loaders, 2)
    with pytest.raises(finite.NotFiniteError, match=r"step 2: .* is inf, at a learning rate of 1, .* ar: ") as caught:
        finite.check([good, bad, bad, good], 4, float, loaders, 2)
    assert f"samples ar: {', '.join(keys)};" in str(caught.value)


def test_a_step_that_is_finite_is_as_it_was() -> None:
    """Of torch's own clipping and update."""
    found = []
    for own in (False, True):
        network = small.network_of("ar")
        optimizer, batches = make_optimizer(network, PARAMS), {"ar": small.batch_of(small.samples_of("ar"))}
        if own:
            step(network, optimizer, batches, 0.1)
        else:
            torch.stack(
                list(network.head("ar").loss(network("ar", batches["ar"]), batches["ar"]).values())
            ).sum().backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
            optimizer.step()
        found.append(network.state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_state_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 1)
    train(network_of(), loaders_of(), PARAMS, device=CPU, scratch=scratch)
    saved = scratch.load()
    assert saved is not None
    tensors, record = saved
    tensors["network/backbone.projection.0.bias"][0] = torch.nan
    scratch.save(tensors, record)
    with pytest.raises(UserError, match=r"1 of \d+ tensors hold NaN or Inf: network/backbone\.projection\.0\.bias"):
        train(network_of(), loaders_of(), PARAMS, device=CPU, scratch=scratch)


def test_a_state_with_another_number_is_not_resumed(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 1)
    train(network_of(), loaders_of(), PARAMS, device=CPU, scratch=scratch)
    assert scratch.load() is not None
    content = bytearray((tmp_path / STATE).read_bytes())
    content[-100] ^= 1
    (tmp_path / STATE).write_bytes(content)
    assert scratch.load() is None


def test_rows_beyond_float32_are_named_by_their_batch() -> None:
    from egopack.evaluation.predict import predict

    network, samples = small.network_of("ar"), small.samples_of("ar", 3)
    options: dict[str, Any] = {"seed": 0, "device": CPU}
    decode = network.head("ar").Decode()
    predict(network, "ar", samples, small.Features(), decode, **options)
    with pytest.raises(UserError, match=r"ar: \w+ of the network is not finite in the batch from clip0, clip1, "):
        predict(network, "ar", samples, Spoilt("video1", np.inf), decode, **options)


def test_a_learning_rate_beyond_reason_ends_in_one_line(workplace: Workplace) -> None:
    for arguments in (["shard"], ["index", "pnr"]):
        assert workplace.run(*arguments).exit_code == 0
    workplace.edit_params(lambda params: params["tasks"]["pnr"]["train"].update(lr=1e30))
    done = workplace.run("train_single", "pnr")
    assert done.exit_code == 1
    lines = [line for line in done.output.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert re.match(
        r"Error: single/pnr: step \d+: the (loss|gradient) of pnr .* is \w+, at a learning rate of", lines[0]
    )
    assert not (workplace.folder / "data" / "models").exists()
