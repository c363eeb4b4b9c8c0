"""A pruned network as a plan: how wide every changed layer is, carried out on the network its name builds.

    plan = {"groups.0.conv1": [out, in], "groups.0.norm1": [out, out], …}

The plan is plain numbers in `bundle.json`; the weights that fit it are in the weights file. Nothing is unpickled to open a pruned network.
"""

from __future__ import annotations

from typing import Any

from torch import nn

Plan = dict[str, list[int]]
KINDS = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)


def widths(module: nn.Module) -> list[int] | None:
    """[out, in] channels of a layer that surgery knows; None of any other."""
    if isinstance(module, nn.Conv2d):
        return [module.out_channels, module.in_channels]
    if isinstance(module, nn.Linear):
        return [module.out_features, module.in_features]
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return [module.num_features] * 2
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1:
        return [module.normalized_shape[0]] * 2
    return None


def plan_of(whole: nn.Module, pruned: nn.Module) -> Plan:
    """The plan that turns `whole` into a network of the shapes of `pruned`.

    Raises:
        ValueError: they differ in more than the widths of known layers.
    """
    theirs = dict(pruned.named_modules())
    plan: Plan = {}
    for path, module in whole.named_modules():
        before, after = widths(module), widths(theirs[path])
        if before != after and after is not None:
            plan[path] = after
    twin = operate(_empty(whole), plan)
    for key, tensor in pruned.state_dict().items():
        if twin.state_dict()[key].shape != tensor.shape:
            raise ValueError(f"{key} was changed in a way a plan cannot tell")
    return plan


def _empty(net: nn.Module) -> nn.Module:
    """A copy without memory."""
    import copy

    return copy.deepcopy(net).to("meta")


def operate(net: nn.Module, plan: dict[str, Any]) -> nn.Module:
    """Give the layers a plan names their widths, in place; their new parameters are not initialised. Returns the network.

    Raises:
        ValueError: the plan names what is not there, or a width that only a hostile plan would have.
    """
    for path, wanted in plan.items():
        try:
            module = net.get_submodule(path)
        except AttributeError:
            raise ValueError(f"surgery: there is no layer {path[:80]!r}") from None
        have = widths(module)
        if have is None:
            raise ValueError(f"surgery: {path[:80]!r} is no layer that can be made narrower")
        if not isinstance(wanted, list) or len(wanted) != 2 or not all(type(v) is int for v in wanted):
            raise ValueError(f"surgery: {path[:80]!r} needs two whole numbers")
        if not all(1 <= new <= old for new, old in zip(wanted, have, strict=True)):
            raise ValueError(f"surgery: {path[:80]!r} may only become narrower than {have}, not {wanted}")
        _narrow(module, *wanted)
    return net


def _narrow(module: nn.Module, out: int, into: int) -> None:
    if isinstance(module, nn.Conv2d):
        if module.groups > 1:
            if not module.groups == module.in_channels == module.out_channels or out != into:
                raise ValueError("surgery: grouped convolutions are changed only where every channel is its own group")
            module.groups = out
        module.out_channels, module.in_channels = out, into
        _resize(module, weight=(out, into // module.groups, *module.kernel_size), bias=(out,))
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = out, into
        _resize(module, weight=(out, into), bias=(out,))
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = (out,)
        _resize(module, weight=(out,), bias=(out,))
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        if out != into:
            raise ValueError("surgery: a batch norm has one width")
        module.num_features = out
        _resize(module, weight=(out,), bias=(out,), running_mean=(out,), running_var=(out,))


def _resize(module: nn.Module, **shapes: tuple[int, ...]) -> None:
    for name, shape in shapes.items():
        old = getattr(module, name, None)
        if old is None:
            continue
        new = old.detach().new_empty(shape)
        if isinstance(old, nn.Parameter):
            new = nn.Parameter(new, requires_grad=old.requires_grad)
            new.__dict__.update(old.__dict__)  # how an optimizer should treat it stays true
        setattr(module, name, new)
