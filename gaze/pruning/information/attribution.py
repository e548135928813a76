"""What each feature map contributes to the loss of each example, to first order, collected in the backward pass."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn

from gaze.pruning.structure.groups import Group, weighted


class Attribution:
    """Collects, where the gates are, the gradient of each example's loss with respect to each map's gate.

    For example n and map k with activations a, g_nk = sum over consumers and positions of a dL_n/da: the gradient of
    L_n with respect to a mask that multiplies the map (Theis et al. 2018, arXiv 1801.05787, pruning of feature maps).
    The activations that a consumer keeps for its own gradient are read once more; no mask is multiplied in.

    Args:
        network: gets the hooks. It must treat examples by themselves, so BatchNorm must run on its stored statistics.
        groups: of the network.
    """

    def __init__(self, network: nn.Module, groups: Iterable[Group]) -> None:
        self.products: dict[str, Tensor] = {}
        readers = {member.layer for group in groups for member in group.consumers}
        layers = {name: weighted(network, name) for name in readers}
        self.hooks = [
            layer.register_forward_pre_hook(self._watch(name, isinstance(layer, nn.Linear)))
            for name, layer in layers.items()
        ]

    def read(self, groups: Iterable[Group], divisor: float) -> dict[str, Tensor]:
        """g of the last backward pass: one float32 tensor a group, examples x maps. It is handed out once.

        Args:
            groups: that the network has now. Consumers whose output the loss did not depend on count as zero.
            divisor: what the loss of each example was divided by before the backward pass.
        """
        products, self.products = self.products, {}
        examples = next(iter(products.values()))

        def total(group: Group) -> Tensor:
            sums = examples.new_zeros(len(examples), group.maps)
            for member in group.consumers:
                if member.layer in products:
                    found = products[member.layer][:, member.channels(group.maps)]
                    sums += found.unflatten(1, (group.maps, member.span)).sum(2)
            return divisor * sums

        return {group.name: total(group) for group in groups}

    def detach(self) -> None:
        """Takes the hooks out of the network."""
        for hook in self.hooks:
            hook.remove()

    def _watch(self, name: str, linear: bool) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor] | None]:
        def collect(maps: Tensor, gradient: Tensor) -> None:
            wide = torch.promote_types(maps.dtype, torch.float32)  # products of halves may overflow, or vanish
            product = maps.to(wide) * gradient.to(wide)
            positions = tuple(range(1, product.ndim - 1) if linear else range(2, product.ndim))
            self.products[name] = product.sum(positions, dtype=torch.float32) if positions else product.float()

        def watch(_: nn.Module, entering: tuple[Tensor]) -> tuple[Tensor] | None:
            if not torch.is_grad_enabled():
                return None
            # a view, so that its gradient is of this reader alone; required also where what lies before is frozen
            maps = entering[0].view_as(entering[0]).requires_grad_()
            maps.register_hook(partial(collect, maps.detach()))
            return (maps,)

        return watch
