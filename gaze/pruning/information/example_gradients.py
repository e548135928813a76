"""The gradient of each example's loss with respect to each parameter, collected in the backward pass."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

Take = Callable[[str, Tensor], None]
Wanted = Callable[[nn.Module, str], bool]


def every_parameter(layer: nn.Module, name: str) -> bool:
    """All that can be collected."""
    return True


class ExampleGradients:
    """Forms the gradients of each example once more, layer by layer, from what entered a layer and what came back.

    A layer is a module that holds parameters itself and has no module in it that does: convolutions, linear layers,
    LayerNorm, an embedding of what each example brings, BatchNorm's affine, the finalizer's blur and centre bias. A
    layer that is called several times counts with the sum over its calls. On a CPU a backward pass takes two to six
    times as long with it. `left_out` names what it cannot collect: parameters beside a module that holds some, or that
    are read without a call of their layer; of a layer that is called by keyword, returns no tensor, or is shown
    something else than examples, such as windows or positions.

    Args:
        network: gets the hooks. It must treat examples by themselves, so BatchNorm must run on its stored statistics;
            the first dimension of what enters a layer by position is that of the examples.
        take: is told name and gradients, examples x the parameter's shape, in the precision of the parameter; once a
            backward pass, or at `read` where a layer was called more often than a gradient came back.
        wanted: of a layer and the name of its parameter, whether it is collected.
    """

    def __init__(self, network: nn.Module, take: Take, wanted: Wanted = every_parameter) -> None:
        self.layers = {name: layer for name, layer in network.named_modules() if _wanted(layer, wanted)}
        self.take, self.wanted = take, wanted
        self.names = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
        self.reached: set[str] = set()
        self.collected: set[str] = set()
        self.missed: set[str] = set()
        self.examples: int | None = None
        self.calls: dict[str, int] = dict.fromkeys(self.layers, 0)
        self.sums: dict[str, dict[str, Tensor]] = {}
        self.hooks = [network.register_forward_pre_hook(self._begin)]
        self.hooks += [network.get_parameter(name).register_hook(partial(self._reach, name)) for name in self.names]
        self.hooks += [
            layer.register_forward_hook(partial(self._watch, name), with_kwargs=True)
            for name, layer in self.layers.items()
        ]
        self.hooks.append(network.register_forward_hook(self._end, always_call=True))

    def parameters(self) -> dict[str, nn.Parameter]:
        """What is collected, by name."""
        return {
            _joined(name, key): parameter
            for name, layer in self.layers.items()
            for key, parameter in layer.named_parameters(recurse=False)
            if self.wanted(layer, key)
        }

    def left_out(self) -> list[str]:
        """The parameters that backward passes reached and whose gradients were not all collected, by name."""
        found = {name for name in self.collected if name.rpartition(".")[0] not in self.missed}
        return [name for name in self.names if name in self.reached - found]

    def read(self) -> None:
        """Hands on what is still held back, and is ready for the next pass."""
        for name in list(self.sums):
            self._hand_on(name)
        self.calls = dict.fromkeys(self.layers, 0)

    def detach(self) -> None:
        """Takes the hooks out of the network."""
        for hook in self.hooks:
            hook.remove()

    def _begin(self, _: nn.Module, entering: tuple[Any, ...]) -> None:
        self.examples = next((len(x) for x in entering if torch.is_tensor(x) and x.ndim), None)

    def _end(self, *_: Any) -> None:
        self.examples = None  # parts of the network may be called by themselves

    def _reach(self, name: str, _: Tensor) -> None:
        self.reached.add(name)

    def _watch(
        self, name: str, layer: nn.Module, entering: tuple[Any, ...], keywords: dict[str, Any], leaving: Any
    ) -> None:
        tensors = [x for x in (*entering, leaving) if torch.is_tensor(x)]
        lengths = {len(x) if x.ndim else 0 for x in tensors} | ({self.examples} - {None})
        if keywords or not torch.is_tensor(leaving) or len(lengths) > 1:
            self.missed.add(name)
        elif leaving.requires_grad:
            self.calls[name] += 1
            held = tuple(x.detach() if torch.is_tensor(x) else x for x in entering)
            leaving.register_hook(partial(self._collect, name, layer, held))

    def _collect(self, name: str, layer: nn.Module, entering: tuple[Any, ...], gradient: Tensor) -> None:
        if name in self.missed:
            return
        parameters = {key for key, _ in layer.named_parameters(recurse=False) if self.wanted(layer, key)}
        found = example_gradients(layer, parameters, entering, gradient)
        before = self.sums.get(name, {})
        self.sums[name] = {key: value + before[key] if key in before else value for key, value in found.items()}
        self.calls[name] -= 1
        if not self.calls[name]:
            self._hand_on(name)

    def _hand_on(self, name: str) -> None:
        for key, value in self.sums.pop(name).items():
            self.collected.add(_joined(name, key))
            self.take(_joined(name, key), value)


def example_gradients(
    layer: nn.Module, parameters: Collection[str], entering: tuple[Any, ...], gradient: Tensor
) -> dict[str, Tensor]:
    """The gradient of each example's loss with respect to a layer's parameters: examples x their shape.

    In the precision of the parameters, which mixed precision leaves alone.

    Args:
        layer: that holds the parameters itself.
        parameters: their names.
        entering: what the layer was given by position; tensors have the examples first.
        gradient: of the loss with respect to what it wrote.
    """
    values = {key: value.detach() for key, value in layer.named_parameters(recurse=False) if key in parameters}
    kind = next(iter(values.values()))
    given = [x.to(kind) if torch.is_tensor(x) and x.is_floating_point() else x for x in entering]
    over = tuple(0 if torch.is_tensor(x) else None for x in given)

    def product(values: dict[str, Tensor], g: Tensor, *example: Any) -> Tensor:
        inputs = tuple(x[None] if torch.is_tensor(x) else x for x in example)
        return (functional_call(_Bare(layer), {f"layer.{key}": v for key, v in values.items()}, inputs) * g[None]).sum()

    with torch.autocast(kind.device.type, enabled=False):
        found: dict[str, Tensor] = vmap(grad(product), in_dims=(None, 0, *over))(values, gradient.to(kind), *given)
    return found


def _wanted(layer: nn.Module, wanted: Wanted) -> bool:
    inner = any(True for child in layer.children() for _ in child.parameters())
    return not inner and any(wanted(layer, key) for key, _ in layer.named_parameters(recurse=False))


def _joined(layer: str, parameter: str) -> str:
    return f"{layer}.{parameter}".lstrip(".")


class _Bare(nn.Module):
    """A layer without its hooks."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Any) -> Tensor:
        return self.layer.forward(*inputs)
