"""Where a number comes from that was only put there: joined, padded, shuffled; the place that is named holds the very number."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from omma.inside.kinds import maps_of
from omma.inside.sums import sums_of
from omma.inside.trace import PICTURE
from omma.inside.unit import unit
from test_mixing import of, units, watch


def whence(sums, channel, y, x):
    """(input, channel, y, x) of the number, as the page says it; None: of the padding; (input, channel, None, token) beside a grid."""
    n, which, at = sums["numbers"], 0, [channel, y, x]
    token = n["prefix"] + y * n["across"] + x if n["tokens"] else None
    if n["how"] == "cat":
        along = {"c": channel, "y": y, "x": x, "t": token}[n["axis"]]
        which = max(i for i, start in enumerate(n["starts"]) if start <= along)
        if n["axis"] == "t":
            token = along - n["starts"][which]
        else:
            at["cyx".index(n["axis"])] = along - n["starts"][which]
    elif n["how"] == "shuffle":
        times = n["times"]
        at = [channel * times**2 + y % times * times + x % times, y // times, x // times]
    else:
        at = [n[side][i] if side in n else i for side, i in zip("cyx", at, strict=True)]
        if min(at) < 0:
            return None
        token = at[2] if n["tokens"] and "x" in n else token
    source = n["from"][which]
    if token is None:
        return which, *at
    if not source["across"]:
        return which, at[0], 0, token
    if token < source["prefix"]:
        return which, at[0], None, token
    return which, at[0], *divmod(token - source["prefix"], source["across"])


def holds(seen, place, count=12):
    """Each of some units is the number at the place that is told; returns how many inputs they came from, None standing for a padding."""
    step, inputs = seen.steps[place], set()
    for channel, y, x in units(step, count):
        found = unit(seen, place, channel, y, x)
        sums = found["sums"]
        assert sums["kind"] == "moved" and found["total"] == float(step.maps[channel, y, x])
        source = whence(sums, channel, y, x)
        if source is None:
            assert found["total"] == sums["numbers"]["value"]
            inputs.add(None)
            continue
        which, *at = source
        given, told = step.given[which], sums["numbers"]["from"][which]
        assert told["place"] == given.place and told["moved"] == (given.own is not None)
        if at[1] is None:
            raw = seen.raw(given)
            assert raw[0, at[2], at[0]] == found["total"]
        elif given.place is None or given.own is not None:
            assert maps_of(seen.raw(given), given.layout)[tuple(at)] == found["total"]
        else:
            maps = seen.picture[0] if given.place == PICTURE else seen.steps[given.place].maps
            assert float(maps[tuple(at)]) == found["total"]
        inputs.add(which)
    return inputs


def both(net, x):
    return net.parts["a"](x), net.parts["b"](x)


PAIR = {"a": nn.Conv2d(3, 4, 1), "b": nn.Conv2d(3, 4, 1)}
JOINED = {
    "channels": lambda net, x: torch.cat([*both(net, x), x], 1),
    "rows": lambda net, x: torch.cat(both(net, x), dim=-2),
    "columns": lambda net, x: torch.concat(both(net, x), 3),
    "halves": lambda net, x: torch.cat([both(net, x)[0].chunk(2, 1)[1], both(net, x)[1]], axis=1),
    "last": lambda net, x: torch.cat([one.permute(0, 2, 3, 1) for one in both(net, x)], -1),
    "vectors": lambda net, x: torch.cat([one.mean((2, 3)) for one in both(net, x)], 1),
    "tokens": lambda net, x: torch.cat([net.parts["c"](x[:, 0]), net.parts["c"](x[:, 1])], 1),
}


@pytest.mark.parametrize("how", JOINED)
def test_what_stands_side_by_side_comes_from_one_of_the_inputs(how):
    seen = watch(JOINED[how], 3, 3, 4, c=nn.Linear(4, 5), **PAIR)
    place, step = of(seen, "cat")
    assert len(holds(seen, place, 24)) == len(step.given)
    told = sums_of(seen, step)
    assert told.kind == "moved" and len(told.outs) == min(8, step.channels) and not told.reads


def test_a_class_token_stands_before_those_of_the_picture():
    """In front of a grid the token is on no map; what it takes is told by its number, those behind it by row and column."""
    torch.manual_seed(0)
    token = nn.Linear(4, 1)  # holds a parameter of four numbers
    seen = watch(
        lambda net, x: net.parts["l"](torch.cat([net.parts["t"].weight[None], net.parts["a"](x).flatten(2).transpose(1, 2)], 1)),
        3, 4, 4, a=PAIR["a"], t=token, l=nn.Linear(4, 4),
    )  # fmt: skip
    place, step = of(seen, "cat")
    assert step.layout.prefix == 1 and holds(seen, place) == {1}
    found = unit(seen, place, 2, 1, 3)["sums"]
    assert (
        whence(found, 2, 1, 3) == (1, 2, 1, 3)
        and found["numbers"]["from"][1]["place"] == 0
        and found["numbers"]["from"][0]["place"] is None
    )


PADS = {
    "zero": (nn.ZeroPad2d((1, 2, 3, 0)), True),
    "constant": (lambda x: F.pad(x, (0, 2, 1, 0), value=-1.5), True),
    "reflect": (nn.ReflectionPad2d((2, 1, 3, 2)), False),
    "replicate": (nn.ReplicationPad2d(2), False),
    "circular": (lambda x: F.pad(x, (1, 2, 0, 3), "circular"), False),
    "channels": (lambda x: F.pad(x, (0, 0, 0, 0, 2, 3)), True),
    "cut": (lambda x: F.pad(x, (-1, -1, -2, 1)), True),
    "last": (lambda x: F.pad(x.permute(0, 2, 3, 1), (0, 1, 2, 0, 1, 1)), True),
}


@pytest.mark.parametrize("how", PADS)
def test_a_padded_number_is_copied_or_the_padding_s_own(how):
    pads, constant = PADS[how]
    seen = watch(lambda net, x: pads(net.parts["a"](x)), 3, 5, 4, a=PAIR["a"])
    place, _ = of(seen, "pad")
    inputs = holds(seen, place, 40)
    assert inputs == {0, None} if constant else inputs == {0}
    edge = unit(seen, place, 0, 0, 0)["sums"]["numbers"]
    assert edge["mode"] == ("constant" if constant else how)


def test_rows_of_a_shuffle_are_channels_of_what_came_in():
    seen = watch(lambda net, x: F.pixel_shuffle(net.parts["a"](x), 3), 3, 5, 4, a=nn.Conv2d(3, 18, 1))
    place, step = of(seen, "shuffle")
    assert step.maps.shape == (2, 15, 12) and holds(seen, place, 40) == {0}


def test_what_was_changed_out_of_sight_is_not_told():
    """Numbers that an unseen operation changed are not those that its layer gave: nothing is claimed of them."""

    def changed(net, x):
        a, b = both(net, x)
        a.clamp_(0)
        return torch.cat([a, b.transpose(2, 3).contiguous().transpose(2, 3)], 1)

    seen = watch(changed, 3, 5, 4, **PAIR)
    place, _ = of(seen, "cat")
    first, second = unit(seen, place, 0, 0, 0)["sums"]["numbers"]["from"]
    assert first["place"] is None and second["place"] == 1 and second["moved"] and holds(seen, place) == {0, 1}
