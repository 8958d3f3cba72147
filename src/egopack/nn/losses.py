"""Losses, each a pure function that reduces nothing it need not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from egopack.labels import UNLABELLED
from egopack.nn.sums import is_compiled


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over all labels [N]; a label -1 adds 0 but counts in the mean; 0 without any. logits [N, C] -> scalar"""
    if is_compiled(logits):
        losses = F.cross_entropy(logits, labels, ignore_index=UNLABELLED, reduction="none")
        return losses.mean() if len(losses) else losses.sum()
    chosen = labels[:, None] == torch.arange(logits.shape[1], device=labels.device)  # torch's is on its list
    return -torch.where(chosen, F.log_softmax(logits, dim=1), 0).sum() / max(len(labels), 1)


def sigmoid_focal(logits: Tensor, target: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sigmoid focal loss (arXiv 1708.02002, equation 5), element by element: same shape as `logits`."""
    probability = torch.sigmoid(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    correct = probability * target + (1 - probability) * (1 - target)
    weight = alpha * target + (1 - alpha) * (1 - target)
    return weight * entropy * (1 - correct) ** gamma


def diou_1d(offsets: Tensor, target: Tensor, *, eps: float = 1e-8) -> Tensor:
    """1-D distance IoU of segments around one point, given by their distances (left, right) to it. [N, 2], [N, 2] ->
    [N]

    1 - IoU + (center distance)^2 / (enclosing length)^2
    """
    left, right = offsets.unbind(-1)
    target_left, target_right = target.unbind(-1)
    intersection = torch.minimum(left, target_left) + torch.minimum(right, target_right)
    union = (left + right) + (target_left + target_right) - intersection
    enclosing = torch.maximum(left, target_left) + torch.maximum(right, target_right)
    center_distance = 0.5 * ((right - left) - (target_right - target_left))
    return 1 - intersection / union.clamp(min=eps) + (center_distance / enclosing.clamp(min=eps)) ** 2
