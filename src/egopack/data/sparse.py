"""Which rows of a table are added up: sparse matrices, made on the host together with their transposes.

A product with one is a sum over a list of rows for each row of the result, and so is its gradient, by the transpose.
Nothing is ever added to from two sides, so the order of every sum is fixed on any device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from egopack.data.moving import move


@dataclass(frozen=True)
class Rows:
    """A matrix by its rows: row m has `weight` (ones where None) in the columns `column`, both from row_start[m] to,
    without it, row_start[m + 1].
    """

    row_start: Tensor  # int32 [M + 1]
    column: Tensor  # int32 [entries]
    weight: Tensor | None  # float32 [entries]


@dataclass(frozen=True)
class Sparse:
    """A matrix [M, N] and its transpose [N, M]. Entry e of the transpose is entry `order`[e] of the matrix."""

    rows: Rows
    back: Rows
    order: Tensor


def sparse(row: np.ndarray, column: np.ndarray, weight: np.ndarray | None, shape: tuple[int, int]) -> Sparse:
    """The matrix with `weight` at [row, column]; entries in order of their rows, each place at most once."""
    order = np.argsort(column, kind="stable")
    own = None if weight is None else torch.from_numpy(weight.astype(np.float32))
    return Sparse(
        rows=_rows(row, column, own, shape[0]),
        back=_rows(column[order], row[order], None if own is None else own[torch.from_numpy(order)], shape[1]),
        order=torch.from_numpy(order),
    )


def _rows(row: np.ndarray, column: np.ndarray, weight: Tensor | None, count: int) -> Rows:
    row_start = np.searchsorted(row, np.arange(count + 1)).astype(np.int32)
    return Rows(torch.from_numpy(row_start), torch.from_numpy(column.astype(np.int32)), weight)


def selection(index: np.ndarray, count: int) -> Sparse:
    """What picks row index[m] of a table of `count` rows."""
    return sparse(np.arange(len(index)), index, None, (len(index), count))


def range_means(first: np.ndarray, last: np.ndarray, count: int) -> Sparse:
    """Means over the rows first[m] ... last[m] - 1 of a table of `count` rows; zeros where there are none."""
    lengths = last - first
    row = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return sparse(row, first[row] + within, 1.0 / lengths[row], (len(lengths), count))


def group_means(group: np.ndarray, groups: int) -> Sparse:
    """Means over the rows of each group, which each row [N] names; zeros where a group has none."""
    column = np.argsort(group, kind="stable")
    row = group[column]
    return sparse(row, column, 1.0 / np.bincount(group, minlength=groups)[row], (groups, len(group)))


def padded(lengths: np.ndarray) -> np.ndarray:
    """Rows [videos, longest] of videos that stand one after the other; a shorter one repeats its first."""
    starts = np.cumsum(lengths) - lengths
    place = np.arange(lengths.max(initial=0))[None]
    return starts[:, None] + np.where(place < lengths[:, None], place, 0)


@dataclass(frozen=True)
class GroupSums:
    """`Groups` for the portable path: their means; each row's group, picked; their rows padded to one length."""

    means: Sparse  # [groups, N]
    owner: Sparse  # [N, groups]
    padded: Sparse  # [groups * longest, N]


@dataclass(frozen=True)
class Groups:
    """Which of `count` groups each of N rows belongs to; each has at least one."""

    owner: Tensor  # int64 [N]
    count: int
    sums: GroupSums | None = None

    def prepared(self) -> Groups:
        """With what the portable path needs."""
        if self.sums is not None:
            return self
        owner = self.owner.cpu().numpy()
        order, lengths = np.argsort(owner, kind="stable"), np.bincount(owner, minlength=self.count)
        sums = GroupSums(
            means=group_means(owner, self.count),
            owner=selection(owner, self.count),
            padded=selection(order[padded(lengths).ravel()], len(owner)),
        )
        return replace(self, sums=move(sums, self.owner.device))
