"""What every estimate of growth does: how steeply the loss would fall in the weights of maps that are not there yet."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gaze.pruning.structure.growth import Joining


class GrowthSignal(ABC):
    """The weights that maps which join should start from, and a value for each such map, best first.

    The value is the squared norm of the loss's gradient with respect to the new map's weights: a step of rate eta along
    that gradient lowers the loss by eta times the value, to first order. The gradient is the mean over the examples
    since the signal was made.
    """

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether there is something to go by."""

    @abstractmethod
    def update(self, divisor: float) -> None:
        """Takes in what the last backward pass showed; `divisor` is as in `Signal.update`."""

    @abstractmethod
    def values(self) -> dict[str, Tensor]:
        """One float32 tensor a group, falling: the value of each map that could join."""

    @abstractmethod
    def joining(self, name: str, count: int) -> Joining:
        """The best `count` maps for a group."""

    @abstractmethod
    def detach(self) -> None:
        """Takes the hooks out of the network."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, to go on from."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state_dict`."""


class OutputGradients:
    """Collects the gradient of the loss with respect to what layers write, in the backward pass.

    Args:
        network: gets the hooks.
        layers: by their names.
    """

    def __init__(self, network: nn.Module, layers: Collection[str]) -> None:
        self.found: dict[str, Tensor] = {}
        self.hooks = [network.get_submodule(name).register_forward_hook(self._watch(name)) for name in layers]

    def read(self) -> dict[str, Tensor]:
        """Those of the last backward pass, by layer, handed out once; a layer that had no effect is missing."""
        found, self.found = self.found, {}
        return found

    def detach(self) -> None:
        """Takes the hooks out of the network."""
        for hook in self.hooks:
            hook.remove()

    def _watch(self, name: str) -> Callable[[nn.Module, Any, Tensor], Tensor | None]:
        def collect(gradient: Tensor) -> None:
            self.found[name] = gradient.detach().to(torch.promote_types(gradient.dtype, torch.float32))

        def watch(_: nn.Module, entering: Any, leaving: Tensor) -> Tensor | None:
            if not torch.is_grad_enabled():
                return None
            leaving = leaving if leaving.requires_grad else leaving.detach().requires_grad_()
            leaving.register_hook(collect)
            return leaving

        return watch


def finite(tensors: Collection[Tensor]) -> bool:
    """Whether all that mixed precision left are numbers."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)
