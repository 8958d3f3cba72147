"""The one training loop: a step is one batch of every task, gradients added, one update (section 5 of the method)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from egopack.data.batch import Batch
from egopack.data.loader import Loader
from egopack.errors import UserError
from egopack.model.checkpoint import check_finite
from egopack.model.network import Network
from egopack.params import OptimizerParams
from egopack.runtime.ranks import ALONE, KEPT_STEP, Ranks, all_reduce_losses, data_parallel, no_sync
from egopack.training import finite
from egopack.training.best_weights import BestWeights
from egopack.training.ema import EMA
from egopack.training.optimizer import freeze, learning_rate, make_optimizer
from egopack.training.state import Scratch, random_state, set_random_state

Evaluate = Callable[[Network], dict[str, tuple[float, str]]]  # headline metrics, each with what is better, max or min


@dataclass(frozen=True)
class StepReport:
    """Loss terms of each task and the gradient norm before clipping; tensors, so that a step never waits for the
    device.
    """

    losses: dict[str, dict[str, Tensor]]
    grad_norm: Tensor


@dataclass(frozen=True)
class EpochReport:
    """Means over one epoch: loss terms by "task/term", the gradient norm, and the learning rate of its last step.

    `scores`: headline metrics after it, where it was evaluated.
    """

    epoch: int
    lr: float
    grad_norm: float
    losses: dict[str, float]
    scores: dict[str, float] = field(default_factory=dict)


class Losses(nn.Module):
    """The network and what it is trained for, in one module that ranks run side by side: the loss terms of one task's
    batch, which added over the ranks are those of the whole batch.
    """

    def __init__(self, network: Network, precision: str = "fp32", ranks: Ranks = ALONE) -> None:
        super().__init__()
        self.network, self.precision, self.ranks = network, precision, ranks

    def forward(self, name: str, batch: Batch) -> dict[str, Tensor]:
        weight = float(batch.own)
        part = replace(batch, total=lambda count: self.ranks.all_reduce(count if batch.own else count * weight))
        terms = loss_terms(self.network, name, part, self.precision)
        return terms if batch.own else {term: value * weight for term, value in terms.items()}


def step(
    network: Network,
    optimizer: torch.optim.Optimizer,
    batches: Mapping[str, Batch] | Sequence[Mapping[str, Batch]],
    grad_clip_norm: float,
    *,
    losses: nn.Module | None = None,
    ranks: Ranks = ALONE,
) -> StepReport:
    """One update from one batch of every task, or from several of every task, whose gradients are averaged.

    `losses` is `Losses` of the network, as the ranks run it side by side.
    """
    optimizer.zero_grad(set_to_none=True)
    losses = Losses(network) if losses is None else losses
    rounds = [batches] if isinstance(batches, Mapping) else batches
    turns = [(number, name) for number, each in enumerate(rounds) for name in each]
    found: list[dict[str, dict[str, Tensor]]] = [{} for _ in rounds]
    for number, name in turns:
        with nullcontext() if (number, name) == turns[-1] else no_sync(losses):
            terms = losses(name, rounds[number][name])
            # times the ranks, over which gradients are averaged although their parts of the loss add up
            total = torch.stack(list(terms.values())).sum()
            (total if ranks.world == len(rounds) == 1 else total * ranks.world / len(rounds)).backward()
        found[number][name] = {term: value.detach() for term, value in terms.items()}
    weights = list(network.parameters())
    norm = torch.nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    report = StepReport(all_reduce_losses(found[0] if len(found) == 1 else _mean(found), ranks), norm)
    finite.update(optimizer, weights, report, grad_clip_norm, at_once=norm.device.type == "cpu")
    return report


def loss_terms(network: Network, name: str, batch: Batch, precision: str) -> dict[str, Tensor]:
    """Loss terms of a task; with bf16 the network runs under autocast, and the loss is computed in float32."""
    with torch.autocast(batch.x.device.type, torch.bfloat16, enabled=precision == "bf16"):
        outputs = network(name, batch)
    if precision == "bf16":
        outputs = {key: value.float() for key, value in outputs.items()}
    return network.head(name).loss(outputs, batch)


def _mean(found: Sequence[Mapping[str, Mapping[str, Tensor]]]) -> dict[str, dict[str, Tensor]]:
    return {
        task: {term: torch.stack([one[task][term] for one in found]).mean() for term in terms}
        for task, terms in found[0].items()
    }


@dataclass
class TrainingState:
    """All that training adds to as it goes; with it, a run that was stopped resumes as if it had not been."""

    network: Network
    optimizer: torch.optim.Optimizer
    device: torch.device
    ranks: Ranks = ALONE
    average: EMA | None = None
    best: BestWeights = field(default_factory=BestWeights)
    step: int = 0
    reports: list[EpochReport] = field(default_factory=list)
    current: list[StepReport] = field(default_factory=list)  # of the epoch under way

    def save(self, scratch: Scratch) -> None:
        """Save the whole state: weights and buffers, moments, all ranks' generators, average, best, reports so far."""
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": value for name, value in moments.items()}
        for rank, generators in enumerate(self.ranks.all_gather(random_state(self.device))):
            tensors |= {f"random/{rank}/{name}": state for name, state in generators.items()}
        if self.average is not None:
            tensors |= {f"average/{name}": value for name, value in self.average.weights.items()}
        tensors |= {f"best/{name}": value for name, value in self.best.weights.items()}
        terms = [(task, term) for report in self.current[:1] for task, of in report.losses.items() for term in of]
        for number, (task, term) in enumerate(terms):
            tensors[f"loss/{number}"] = torch.stack([report.losses[task][term] for report in self.current])
        if self.current:
            tensors["grad_norm"] = torch.stack([report.grad_norm for report in self.current])
        record = {"step": self.step, "terms": terms, "best": self.best.record()}
        record |= {"reports": [asdict(report) for report in self.reports]}
        if self.ranks.is_main:
            scratch.save(tensors, record | {"averaged": 0 if self.average is None else int(self.average.n_averaged)})
            self.ranks.note(KEPT_STEP, str(self.step))

    def resume(self, scratch: Scratch) -> bool:
        """Go back to the state that was saved last, if any was.

        Raises:
            UserError: ranks see different states, or a number of the state is not finite.
        """
        saved = scratch.load()
        if len(set(self.ranks.all_gather(None if saved is None else saved[1]["step"]))) > 1:
            raise UserError(
                f"{scratch.folder}: not every rank can read this; it must be on a disk that all machines share"
            )
        if saved is None:
            return False
        tensors, record = saved
        check_finite(scratch.folder, tensors)
        self.network.load_state_dict(_under(tensors, "network/"))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(tensors, "optimizer/").items():
            index, moment = name.split("/")
            state.setdefault(int(index), {})[moment] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        set_random_state(_under(tensors, f"random/{self.ranks.rank}/"), self.device, record["step"])
        if self.average is not None:
            for name, value in _under(tensors, "average/").items():
                self.average.weights[name].copy_(value)
            self.average.n_averaged.fill_(record["averaged"])
        kept = {name: value.to(self.device) for name, value in _under(tensors, "best/").items()}
        self.best = BestWeights(**record["best"], weights=kept)
        self.step = record["step"]
        self.reports = [EpochReport(**report) for report in record["reports"]]
        self.current = _steps({name: value.to(self.device) for name, value in tensors.items()}, record["terms"])
        self.ranks.note(KEPT_STEP, str(self.step))
        return True

    def chosen_weights(self) -> dict[str, Tensor]:
        """Weights that count: the average where there is one."""
        return self.network.state_dict() if self.average is None else self.average.weights


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _steps(tensors: Mapping[str, Tensor], terms: Sequence[Sequence[str]]) -> list[StepReport]:
    """Reports of the steps of the epoch under way."""
    reports = []
    for index, norm in enumerate(tensors.get("grad_norm", torch.zeros(0))):
        losses: dict[str, dict[str, Tensor]] = {}
        for number, (task, term) in enumerate(terms):
            losses.setdefault(task, {})[term] = tensors[f"loss/{number}"][index]
        reports.append(StepReport(losses, norm))
    return reports


def train(
    network: Network,
    loaders: Mapping[str, Loader],
    params: OptimizerParams,
    *,
    device: torch.device,
    on_step: Callable[[int, int], None] = lambda step, total: None,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
    on_resume: Callable[[int], None] = lambda step: None,
    evaluate: Evaluate | None = None,
    scratch: Scratch | None = None,
    precision: str = "fp32",
    ranks: Ranks = ALONE,
) -> list[EpochReport]:
    """Train `network` in place for `params.epochs` epochs, each as long as the longest loader, or of as many updates as
    `params.epoch_steps` says; loaders that end before cycle.

    With `scratch`, states are saved on the way and a run that was stopped resumes from the last; `on_epoch` is then
    told of the epochs before it too, after `on_resume`. `evaluate` is called as `params.extras.evaluate_every` says, on
    all `ranks`; what rank 0 finds counts, and rank 0 saves. Returns the reports of all epochs, the same on every rank.

    Raises:
        NotFiniteError: a loss or gradient is not finite; the weights are then those of before.
    """
    extras = params.extras
    losses, now = begin(network, params, device, precision, ranks)
    if scratch is not None and now.resume(scratch):
        on_resume(now.step)
        for report in now.reports:
            on_epoch(report)
    steps = params.epoch_steps or -(-max(len(loader) for loader in loaders.values()) // extras.accumulate)
    total, warmup = steps * params.epochs, steps * params.warmup_epochs
    rate = partial(learning_rate, total=total, warmup=warmup, lr=params.lr, lr_min=params.lr_min)
    parts = {name: loader.part(ranks.rank, ranks.world).on(device) for name, loader in loaders.items()}
    streams = {name: loader.forever(now.step * extras.accumulate) for name, loader in parts.items()}
    while now.step < total and not (extras.patience and now.best.waited >= extras.patience):
        lr = rate(now.step)
        for group in now.optimizer.param_groups:
            group["lr"] = lr
        batches = [{name: next(stream) for name, stream in streams.items()} for _ in range(extras.accumulate)]
        now.current.append(step(network, now.optimizer, batches, params.grad_clip_norm, losses=losses, ranks=ranks))
        now.step += 1
        if device.type == "cpu":
            finite.check(now.current[-1:], now.step, rate, loaders, extras.accumulate)
        if now.average is not None:
            now.average.update_parameters(network)
        if now.step % steps == 0:
            finite.check(now.current, now.step, rate, loaders, extras.accumulate)
            due = evaluates_after(now.step // steps, params.epochs, extras.evaluate_every)
            end_epoch(now, lr, evaluate if due else None)
            on_epoch(now.reports[-1])
        asked = scratch is not None and (scratch.stop or now.step % scratch.every == 0)
        if scratch is not None and asked and ranks.broadcast(scratch.due(now.step)):
            finite.check(now.current, now.step, rate, loaders, extras.accumulate)
            now.save(scratch)
        on_step(now.step, total)
    for stream in streams.values():
        stream.close()
    network.load_state_dict(now.best.weights or now.chosen_weights())
    return now.reports


def begin(
    network: Network, params: OptimizerParams, device: torch.device, precision: str, ranks: Ranks
) -> tuple[nn.Module, TrainingState]:
    """The losses as the ranks run them side by side, and the state of a training that has done no step."""
    network.to(device).train()
    freeze(network, params.extras.freeze)
    losses = data_parallel(Losses(network, precision, ranks), ranks)
    if not ranks.is_main:
        torch.manual_seed(torch.initial_seed() + ranks.rank)  # other dropout in another part of the batch
    now = TrainingState(network, make_optimizer(network, params), device, ranks)
    now.average = EMA(network, params.extras.ema_decay) if params.extras.ema_decay else None
    return losses, now


def evaluates_after(done: int, epochs: int, every: int) -> bool:
    """Whether to evaluate when `done` of `epochs` epochs are done: after every so many, and at the end; 0 is never."""
    return every > 0 and (done % every == 0 or done == epochs)


def end_epoch(now: TrainingState, lr: float, evaluate: Evaluate | None) -> None:
    """Sum up the epoch, evaluate the weights that count, and keep them if they are the best so far."""
    scores: dict[str, float] = {}
    epoch = len(now.reports)
    if evaluate is not None:
        trained = {name: value.clone() for name, value in now.network.state_dict().items()}
        now.network.load_state_dict(now.chosen_weights())
        found = now.ranks.broadcast(evaluate(now.network))
        scores = {name: value for name, (value, _) in found.items()}
        signed = {name: value if better == "max" else -value for name, (value, better) in found.items()}
        now.best.offer(epoch, signed, now.network.state_dict())
        now.network.load_state_dict(trained)
        now.network.train()
    report: dict[str, Any] = vars(summarize(epoch, lr, now.current))
    now.reports.append(EpochReport(**report | {"scores": scores}))
    now.current = []


def summarize(epoch: int, lr: float, reports: list[StepReport]) -> EpochReport:
    """Means of an epoch's steps."""
    names = [(task, term) for task, terms in reports[0].losses.items() for term in terms]
    losses = {
        f"{task}/{term}": torch.stack([report.losses[task][term] for report in reports]).mean().item()
        for task, term in names
    }
    return EpochReport(epoch, lr, torch.stack([report.grad_norm for report in reports]).mean().item(), losses)
