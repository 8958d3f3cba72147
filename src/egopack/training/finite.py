"""A training stops at the first loss or gradient that is not a finite number, before any weight follows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from egopack.data.loader import Loader
from egopack.errors import UserError

if TYPE_CHECKING:
    from egopack.training.loop import StepReport

KEYS_SHOWN = 8


class NotFiniteError(UserError):
    """A loss or gradient is not finite; the message names step, learning rate, tasks and samples."""


def update(
    optimizer: torch.optim.Optimizer,
    weights: Sequence[nn.Parameter],
    report: StepReport,
    clip: float,
    *,
    at_once: bool,
) -> None:
    """One update by the gradients, shortened to the norm `clip`; none where a loss or their norm is not finite.

    Not `at_once`, the device is not waited for: the optimizer itself leaves out this update and all that follow, so
    that `check` may come later.
    """
    good = finite(report)
    if at_once:
        if not good:
            return
    else:
        spoilt, before = (~good).float(), getattr(optimizer, "found_inf", None)
        optimizer.found_inf = spoilt if before is None else torch.maximum(before, spoilt)  # type: ignore[attr-defined]
    torch.nn.utils.clip_grads_with_norm_(weights, clip, report.grad_norm)
    optimizer.step()


def finite(report: StepReport) -> Tensor:
    """Whether all losses of a step and the norm of its gradient are finite: a scalar."""
    terms = [value for losses in report.losses.values() for value in losses.values()]
    return torch.isfinite(torch.stack([report.grad_norm, *terms])).all()


def check(
    reports: Sequence[StepReport],
    done: int,
    rate: Callable[[int], float],
    loaders: Mapping[str, Loader],
    rounds: int,
) -> None:
    """NotFiniteError for the first of the last reports, when `done` steps are done, that is not finite.

    `loaders` give a step `rounds` whole batches of every task; `rate` gives the learning rate of a step, from 0.
    """
    if not reports or all(torch.stack([finite(report) for report in reports]).tolist()):
        return
    index = next(index for index, report in enumerate(reports) if not finite(report))
    step = done - len(reports) + index
    values = {
        task: {term: float(value) for term, value in losses.items() if not torch.isfinite(value)}
        for task, losses in reports[index].losses.items()
    }
    spoilt = [f"the loss of {task} ({term}) is {value}" for task, of in values.items() for term, value in of.items()]
    tasks = [task for task, of in values.items() if of] or list(values)
    what = ", ".join(spoilt) or f"the gradient of {', '.join(tasks)} is {float(reports[index].grad_norm)}"
    samples = "; ".join(f"{task}: {_keys(loaders[task], step * rounds, rounds)}" for task in tasks)
    raise NotFiniteError(
        f"step {step + 1}: {what}, at a learning rate of {rate(step):.3g}, with the samples {samples}; the weights of "
        "before are kept; set a lower lr in params.yaml, or look at the feature rows of these samples"
    )


def _keys(loader: Loader, first: int, count: int) -> str:
    """Keys of the samples in batches number first ... first + count - 1 of a loader."""
    keys: list[str] = []
    for number in range(first, first + count):
        epoch, index = divmod(number, len(loader))
        keys += [sample.key for sample in loader.chosen(epoch)[index]]
    more = f" and {len(keys) - KEYS_SHOWN} more" if len(keys) > KEYS_SHOWN else ""
    return ", ".join(keys[:KEYS_SHOWN]) + more
