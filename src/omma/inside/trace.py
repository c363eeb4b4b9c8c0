"""One forward pass, watched: every layer and every operation between layers, what came in, what came out, and how long it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from omma.inside.field import WHOLE, Field, carried, through, together
from omma.inside.kinds import GLOBAL, LAYERS, MOVES, Layout, channels_of, count_of, maps_of, square, usual
from omma.inside.terms import heads_of, macs_of, terms_of

PICTURE = -1  # what stands for the picture itself among the places of steps
JOINS = ("add", "mul", "sub", "div")


@dataclass(slots=True, eq=False)
class Given:
    """Something that a step reads: what an earlier step gave, or a tensor of its own where it was moved on the way.

    Args:
        place: of the step it came from, `PICTURE` for the picture; None: nobody was seen making it.
        own: the tensor, where it is not just what that step gave.
        layout: how it lies; None where nobody knows.
    """

    place: int | None
    own: torch.Tensor | None
    layout: Layout | None


@dataclass(slots=True, eq=False)
class Step:
    """One layer, or one operation between layers, as it ran.

    Args:
        key: its name, different from all others'.
        path: the module it belongs to, "" for the network itself.
        word: as its module or function is called: Conv2d, relu, add.
        op: the kind, see `kinds.LAYERS`.
        given: what came in.
        value: what came out, a copy; the batch in front.
        layout: where its channels and places lie.
        seconds: of this one run.
        macs: multiply-adds.
        terms: weights and numbers of its arithmetic.
        field: what a unit sees of the picture; None: not known.
        attention: (heads, queries, keys) shares.
        module: the layer it ran in.
    """

    key: str
    path: str
    word: str
    op: str
    given: list[Given]
    value: torch.Tensor
    layout: Layout
    seconds: float
    macs: int
    terms: dict[str, Any]
    field: Field | None
    attention: torch.Tensor | None
    module: nn.Module

    @property
    def maps(self) -> torch.Tensor:
        """(C, h, w): what came out, one map a channel."""
        return maps_of(self.value, self.layout)

    @property
    def channels(self) -> int:
        return channels_of(self.value, self.layout)

    @property
    def count(self) -> int:
        """How many the batch held; the first of them is shown."""
        return count_of(self.value, self.layout)


@dataclass(slots=True)
class Trace:
    """What was seen.

    Args:
        picture: what went in, (1, C, H, W) normalised or (1, L) seeds.
        steps: in the order they ran.
        answer: what the call gave back.
        slopes: place of a step → gradient of what was asked last, filled while a backward pass runs.
        unseen: operations that are no layers and no moves → how often: their numbers go on unseen.
        nets: networks by player.
    """

    picture: torch.Tensor
    steps: list[Step] = field(default_factory=list)
    answer: Any = None
    slopes: dict[int, torch.Tensor] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)
    nets: Mapping[str, nn.Module] = field(default_factory=dict)

    @property
    def picture_layout(self) -> Layout:
        found = usual(self.picture)
        assert found is not None
        return found

    def raw(self, given: Given) -> torch.Tensor | None:
        """What came in, as it lay; None where nobody was seen making it and it was not kept."""
        if given.own is not None:
            return given.own
        if given.place is None:
            return None
        return self.picture.detach() if given.place == PICTURE else self.steps[given.place].value

    def coming(self, given: Given) -> torch.Tensor | None:
        """(C, h, w): what came in; None where it lies as nobody knows."""
        if given.own is not None:
            return None if given.layout is None else maps_of(given.own, given.layout)
        if given.place is None:
            return None
        return maps_of(self.picture, self.picture_layout) if given.place == PICTURE else self.steps[given.place].maps


@dataclass(slots=True, eq=False)
class _Tag:
    """What is known of a tensor on its way: `same` while it is just what its step gave."""

    place: int | None
    layout: Layout | None
    field: Field | None
    same: bool = True


def trace(
    call: Callable[[], Any], nets: Mapping[str, nn.Module], picture: torch.Tensor, *, visit: Callable[[Step], None] | None = None
) -> Trace:
    """Run `call()`, which lets `nets` look at `picture`, and watch.

    Layers are what torch's functions make of tensors inside a network: convolutions, products, norms, activations, pools, sums …, whether a
    module or a line of code calls them. What only moves numbers is followed but is no layer; other operations are counted as unseen.

    Args:
        call: reads `picture` as it is (the same tensor).
        nets: in evaluation mode; not changed.
        picture: (1, C, H, W) or (1, L).
        visit: is shown each step instead of its being kept: no copies, no gradients.
    """
    found = Trace(picture, nets=dict(nets))
    with _Watching(found, visit) as watching, _paths(nets, watching):
        found.answer = call()
    return found


class _Watching(TorchFunctionMode):
    """Sees every torch function before and after it runs."""

    def __init__(self, found: Trace, visit: Callable[[Step], None] | None) -> None:
        super().__init__()
        self.found, self.visit = found, visit
        self.stack: list[tuple[str, nn.Module]] = []
        self.count = 0  # steps so far, kept or not
        self._kept: list[Any] = []  # no tensor may go while its number stands for it
        self._tags: dict[int, _Tag] = {}
        self._keys: dict[str, int] = {}
        self._tag(found.picture, _Tag(PICTURE, usual(found.picture), Field() if found.picture.dim() == 4 else WHOLE))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        op = LAYERS.get(name) if self.stack else None
        inputs = _tensors(args, op, kwargs)
        if op is not None and self._layer(op, name, inputs):
            given = [self._given(one) for one in inputs]
            start = perf_counter()
            out = func(*args, **kwargs)
            self._note(op, name, args, kwargs, inputs, given, out, perf_counter() - start)
            return out
        out = func(*args, **kwargs)
        if not name.startswith("__get") or name == "__getitem__":
            self._carry(name, inputs, out)
        return out

    def _layer(self, op: str, name: str, inputs: list[torch.Tensor]) -> bool:
        """Whether this is a layer of the network, and no arithmetic on sizes and boxes beside it."""
        if not inputs or not inputs[0].is_floating_point():
            return False
        if op in (*JOINS, "mean", "matmul", "softmax", "act", "cat", "pad"):
            tags = [self._tags.get(id(one)) for one in inputs]
            return any(tag is not None and tag.place is not None and one.dim() > 1 for tag, one in zip(tags, inputs, strict=True))
        return True

    def _tag(self, tensor: torch.Tensor, tag: _Tag) -> None:
        self._tags[id(tensor)] = tag
        self._kept.append(tensor)

    def _given(self, tensor: torch.Tensor) -> Given:
        tag = self._tags.get(id(tensor))
        if tag is not None and tag.same:
            return Given(tag.place, None, tag.layout)
        own = None if self.visit else tensor.detach().clone()
        layout = None if tag is None else tag.layout
        return Given(tag.place if tag else None, own, _fitting(layout, tensor))

    def _carry(self, name: str, inputs: list[torch.Tensor], out: Any) -> None:
        """Numbers that were moved keep what is known of them; those that were changed out of sight do not."""
        outs = [one for one in (out if isinstance(out, tuple | list) else [out]) if isinstance(one, torch.Tensor)]
        if not inputs or not outs:
            return
        tag = self._tags.get(id(inputs[0]))
        if tag is None:
            return
        if name in MOVES:
            for one in outs:
                if one is inputs[0]:
                    continue
                place, layout = carried(tag.field, tag.layout, inputs[0], one)
                # What was cut out or turned is not what the step gave, though it has the same numbers.
                same = tag.same and one.shape == inputs[0].shape and name in _STILL
                self._tag(one, _Tag(tag.place, layout, place, same))
        elif any(one.is_floating_point() for one in outs) and self.stack:
            self.found.unseen[name] = self.found.unseen.get(name, 0) + 1
            if name.endswith("_") and not name.endswith("__"):  # changed in place: no longer what it was
                self._tag(inputs[0], replace_tag(tag))

    def _note(
        self, op: str, name: str, args: Any, kwargs: Any, inputs: list[torch.Tensor], given: list[Given], out: Any, seconds: float
    ) -> None:
        """A layer ran: what it gave, and what is known of that."""
        value = out[0] if isinstance(out, tuple) else out
        if not isinstance(value, torch.Tensor) or not 2 <= value.dim() <= 4 or value.numel() == 0:
            return
        terms = terms_of(op, name, args, kwargs, inputs)
        tags = [self._tags.get(id(one)) for one in inputs]
        layout = _layout(op, terms, value, inputs, tags)
        if layout is None:
            return
        sight = _sight(op, terms, value, layout, inputs, tags)
        path, module = self.stack[-1]
        word = type(module).__name__ if not any(True for _ in module.children()) or op == "recurrent" else name.strip("_")
        key = f"{path}.{word}" if path and word == name.strip("_") else path or word
        self._keys[key] = self._keys.get(key, 0) + 1
        key = key if self._keys[key] == 1 else f"{key} ({self._keys[key]})"
        with torch.no_grad():
            attention = heads_of(op, name, args, kwargs, value)
        kept = value.detach() if self.visit else value.detach().clone()
        step = Step(key, path, word, op, given, kept, layout, seconds, macs_of(op, terms, value, inputs), terms, sight, attention, module)
        place = self.count
        self.count += 1
        self._tag(value, _Tag(place, layout, sight))
        if self.visit is not None:
            self.visit(step)
            return
        self.found.steps.append(step)
        if value.requires_grad:
            value.register_hook(lambda slope: self.found.slopes.__setitem__(place, slope.detach()))


_STILL = frozenset({"dropout", "dropout_", "contiguous", "to", "clone", "detach", "float", "type_as"})


def replace_tag(tag: _Tag) -> _Tag:
    """The same place with numbers that nobody knows."""
    return _Tag(None, tag.layout, tag.field, False)


def _tensors(args: Any, op: str | None, kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
    """The tensors that are read: one, two where things are joined, all of a list; weights are no input."""
    first = args[0] if args else next(iter(kwargs.values()), None)
    if isinstance(first, tuple | list):
        return [one for one in first if isinstance(one, torch.Tensor)]
    if not isinstance(first, torch.Tensor):
        second = args[1] if len(args) > 1 else None
        return [second] if isinstance(second, torch.Tensor) and op in JOINS else []
    many = 3 if op == "attention" else 2 if op in (*JOINS, "matmul") else 1
    others = [*args[1:many], *(kwargs[key] for key in ("other", "key", "value") if key in kwargs)] if many > 1 else []
    return [first, *(one for one in others if isinstance(one, torch.Tensor))]


def _fitting(layout: Layout | None, value: torch.Tensor) -> Layout | None:
    """A layout that this tensor can have; what is remembered may be of before it was moved."""
    if layout is None or layout.kind == "none":
        return usual(value)
    dims = {"chw": 4, "hwc": 4, "heads": 4, "tc": 3, "sbc": 3, "c": 2}[layout.kind]
    if dims != value.dim():
        return usual(value)
    if layout.grid is not None:
        count = value.shape[{"tc": 1, "sbc": 0, "heads": 2}[layout.kind]]
        if layout.prefix + layout.grid[0] * layout.grid[1] != count:
            return square(Layout(layout.kind, sure=layout.sure), value)
    return layout


def _layout(op: str, terms: dict[str, Any], value: torch.Tensor, inputs: list[torch.Tensor], tags: list[_Tag | None]) -> Layout | None:
    """How what a layer gives lies: by the layer's own nature, else as what it reads."""
    if op in ("conv", "deconv", "batch_norm", "max_pool", "avg_pool", "adaptive_avg", "adaptive_max", "shuffle", "resize", "group_norm"):
        return usual(value)
    own = next(
        (tag.layout for tag, one in zip(tags, inputs, strict=True) if tag and tag.layout and tag.layout.sure and one.shape == value.shape),
        None,
    ) or next((tag.layout for tag, one in zip(tags, inputs, strict=True) if tag and tag.layout and one.shape == value.shape), None)
    known = own or next((tag.layout for tag in tags if tag and tag.layout), None)
    if op == "recurrent":
        return Layout("tc" if terms["first"] else "sbc", sure=True)
    if op in ("linear", "layer_norm"):
        kind = {2: "c", 3: "tc", 4: "hwc"}.get(value.dim())
        if kind is None:
            return None
        grid = (known.prefix, known.grid) if known and kind == "tc" and known.kind in ("tc", "sbc") else (0, None)
        return _fitting(Layout(kind, *grid, sure=True), value)
    if op == "attention" and value.dim() == 4:
        return square(Layout("heads", sure=True), value)
    if op == "attention" and value.dim() == 3:
        return _fitting(Layout(terms.get("kind", "tc"), *((known.prefix, known.grid) if known else (0, None)), sure=True), value)
    if op == "cat" and value.dim() == 3 and terms["dim"] in (1, -2) and known is not None:
        inner = next((tag.layout for tag in tags if tag and tag.layout and tag.layout.grid), None)
        if inner is not None and inner.grid is not None:
            return Layout("tc", value.shape[1] - inner.grid[0] * inner.grid[1], inner.grid, True)
    return _fitting(own or known, value)


def _sight(
    op: str, terms: dict[str, Any], value: torch.Tensor, layout: Layout, inputs: list[torch.Tensor], tags: list[_Tag | None]
) -> Field | None:
    """What its units see of the picture."""
    after = tuple(maps_of(value, layout).shape[1:])
    if op in GLOBAL:
        return WHOLE
    if op in (*JOINS, "cat"):
        joined = [(tag.field, _lies(one, value, op)) for tag, one in zip(tags, inputs, strict=True) if tag is not None]
        return together([one for one, _ in joined], [full for _, full in joined]) if joined else None
    tag = tags[0]
    if tag is None or tag.field is None:
        return None
    if op == "linear" and value.dim() == 2:
        return WHOLE
    lying = _fitting(tag.layout, inputs[0])
    before = maps_of(inputs[0], lying).shape[1:] if lying is not None else after
    return through(op, tag.field, terms, tuple(before), after)


def _lies(one: torch.Tensor, value: torch.Tensor, op: str) -> bool:
    """Whether it has a number of its own at every place."""
    return one.dim() == value.dim() and (op == "cat" or one.numel() == value.numel())


@contextmanager
def _paths(nets: Mapping[str, nn.Module], watching: _Watching) -> Iterator[None]:
    """Hooks that tell which module is at work; several networks have their player's name in front."""
    hooks = []
    for who, net in nets.items():
        for name, module in net.named_modules():
            path = name if len(nets) == 1 else f"{who}.{name}".rstrip(".")

            def enter(module: nn.Module, inputs: Any, path: str = path) -> None:
                watching.stack.append((path, module))

            def leave(module: nn.Module, inputs: Any, out: Any) -> None:
                watching.stack.pop()

            hooks += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


__all__ = ["PICTURE", "Given", "Step", "Trace", "replace", "trace"]
