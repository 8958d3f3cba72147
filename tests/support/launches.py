"""What a training step asks of an accelerator, counted on a CPU on the portable path."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

# what torch.use_deterministic_algorithms lists, of all that adds, gathers or scatters
NOT_DETERMINISTIC = {
    *("index_add", "index_put", "_index_put_impl", "index_copy", "put", "scatter", "scatter_add", "scatter_reduce"),
    *("nll_loss_forward", "nll_loss2d_forward", "histc", "bincount", "median", "kthvalue", "cumsum", "cumprod"),
    *("convolution", "convolution_backward", "_ctc_loss", "grid_sampler_2d", "max_unpool2d", "resize"),
}
NOT_LISTED_FOR_INTEGERS = {"cumsum", "bincount"}


class Launches(TorchDispatchMode):
    """Counts the operations that compute something, which are all but views of what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.not_deterministic: Counter[str] = Counter()

    @property
    def count(self) -> int:
        return sum(self.found.values())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "profiler":  # marks of the optimizer, nothing to compute
            return func(*args, **(kwargs or {}))
        returns = func._schema.returns
        is_view = any(one.alias_info is not None and not one.alias_info.is_write for one in returns)
        name = func.overloadpacket.__name__
        out = func(*args, **(kwargs or {}))
        if not is_view:
            self.found[name] += 1
            plain = name if name.startswith("_index") else name.rstrip("_")
            exact = plain in NOT_LISTED_FOR_INTEGERS and isinstance(out, Tensor) and not out.is_floating_point()
            by_maximum = plain == "_embedding_bag" and len(args) > 4 and args[4] == 2
            if by_maximum or (plain.rstrip("_") in NOT_DETERMINISTIC and not exact):
                self.not_deterministic[name] += 1
        return out


class Kept(saved_tensors_hooks):
    """Measures what a forward pass keeps for its backward pass, without the network's own parameters and buffers."""

    def __init__(self, network: nn.Module) -> None:
        own = {one.untyped_storage().data_ptr() for one in [*network.parameters(), *network.buffers()]}
        self.bytes: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                self.bytes[storage.data_ptr()] = storage.nbytes()
            return tensor

        super().__init__(keep, lambda tensor: tensor)

    @property
    def megabytes(self) -> float:
        return sum(self.bytes.values()) / 1e6


class Transfers(TorchDispatchMode):
    """Counts copies from one device to another."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and any(isinstance(one, Tensor) and one.device != out.device for one in args):
            self.count += 1
        return out
