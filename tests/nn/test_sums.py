from __future__ import annotations

import numpy as np
import pytest
import torch

from egopack.data.sparse import range_means, selection, sparse
from egopack.nn.sums import is_compiled, portable, sum_rows


def test_the_path_is_told_by_the_tensor_and_the_switch() -> None:
    x = torch.zeros(1)
    assert is_compiled(x)
    assert not is_compiled(x.double())
    assert not is_compiled(x.to("meta"))
    with portable():
        assert not is_compiled(x)
        with portable():
            pass
        assert not is_compiled(x)
    assert is_compiled(x)


def test_a_product_with_its_gradient() -> None:
    row, column = np.array([0, 0, 2, 3, 3]), np.array([1, 2, 0, 0, 3])
    weight = np.array([1.0, -2.0, 0.5, 3.0, 1.5])
    matrix = torch.zeros(4, 5)
    matrix[row, column] = torch.from_numpy(weight).float()
    x = torch.randn(5, 3, requires_grad=True)
    found = sum_rows(x, sparse(row, column, weight, (4, 5)))
    torch.testing.assert_close(found, matrix @ x)
    grad = torch.randn(4, 3)
    torch.testing.assert_close(torch.autograd.grad(found, x, grad)[0], matrix.T @ grad)
    exact = x.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda value: sum_rows(value, selection(column, 5)), [exact])


def test_nothing_to_add_gives_zeros() -> None:
    x, none = torch.randn(3, 2), np.zeros(0, np.int64)
    assert torch.equal(sum_rows(x, range_means(np.array([1]), np.array([1]), 3)), torch.zeros(1, 2))
    assert sum_rows(x, range_means(none, none, 3)).shape == (0, 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_added_up_in_full(dtype: torch.dtype) -> None:
    x = torch.ones(5000, 2, dtype=dtype)
    found = sum_rows(x, range_means(np.array([0]), np.array([5000]), 5000))
    torch.testing.assert_close(found, torch.ones(1, 2), atol=1e-4, rtol=0)
