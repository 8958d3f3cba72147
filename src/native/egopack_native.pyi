import numpy as np
from numpy.typing import NDArray
from torch import Tensor

SOURCES: dict[str, str]  # name of each source the module was built from -> its SHA-256

def nms(
    segments: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    method: str,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    max_segments: int,
    per_class: bool,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...
def vote(
    segments: NDArray[np.float32], scores: NDArray[np.float32], kept: NDArray[np.int64], threshold: float
) -> NDArray[np.float32]: ...
def match(
    segments: NDArray[np.float64],
    group: NDArray[np.int64],
    truth: NDArray[np.float64],
    first: NDArray[np.int64],
    tiou: NDArray[np.float64],
) -> NDArray[np.uint8]: ...
def best_overlap(
    segments: NDArray[np.float64],
    group: NDArray[np.int64],
    truth: NDArray[np.float64],
    first: NDArray[np.int64],
    top: NDArray[np.int64],
) -> NDArray[np.float64]: ...
def aggregate(
    row_start: Tensor,
    source: Tensor,
    sign: Tensor,
    distance: Tensor,
    message: Tensor,
    gate: Tensor | None,
    out: Tensor,
    is_signed: bool,
    mean: bool,
) -> None: ...
def aggregate_backward(
    row_start: Tensor,
    source: Tensor,
    sign: Tensor,
    distance: Tensor,
    grad: Tensor,
    message: Tensor,
    gate: Tensor | None,
    grad_message: Tensor,
    grad_gate: Tensor | None,
    is_signed: bool,
    mean: bool,
) -> None: ...
def dropout(x: Tensor, out: Tensor, seed: Tensor, p: float) -> None: ...
def range_means(x: Tensor, first: Tensor, last: Tensor, out: Tensor) -> None: ...
def range_means_backward(grad: Tensor, first: Tensor, last: Tensor, grad_x: Tensor) -> None: ...
def smallest(x: Tensor, values: Tensor, index: Tensor) -> None: ...
def scatter_rows(grad: Tensor, index: Tensor, weight: Tensor | None, grad_x: Tensor) -> None: ...
