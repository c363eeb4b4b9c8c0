"""The Inside page in a real browser: looked at, clicked through, asked; its numbers are the tensors', and nothing in a name runs."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from models_at_hand import bundle_of
from omma.bundle import Bundle
from omma.data.views import Views
from omma.inside.look import look_inside
from omma.inside.page.html import page as page_of
from omma.inside.page.sheet import sheet
from omma.inside.subject import Subject, drawn_scene
from omma.tasks.classify import Classify
from test_look import GATHER, digits, real
from test_studio import Running
from test_studio_browser import CUT, XSS, Seen, _until, play, pytestmark  # noqa: F401

NAMES = [*XSS[:6], "很长的类别名称以便看看会不会被截断"]
WIDER = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A studio with a run of hostile classes and a project of two pictures."""
    cwd = tmp_path_factory.mktemp("told")
    bundle_of("classify", names=NAMES).save(cwd / "runs" / "evil-1" / "bundle")
    folder = cwd / "photos" / XSS[1]
    folder.mkdir(parents=True)
    y, x = np.mgrid[:90, :120] / 90
    for i in range(2):
        pixels = np.stack([x * 150, y * 200, 120 + 100 * np.sin(9 * np.hypot(x - 0.5 - i / 3, y - 0.5))], 2)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{i}{XSS[0]}.png".replace("/", "\u2215"))
    running = Running(tmp_path_factory.mktemp("home"), cwd)
    running.id = running.post("/api/projects", data=str(cwd / "photos"))["id"]
    running.picture = next(folder.iterdir())
    yield running
    running.close()


def framed(seen):
    """The frame with the network in it, drawn; and what the server holds for it."""
    seen.until("!!document.querySelector('.look-frame')?.contentDocument?.documentElement?.dataset.ready")
    key = re.search(r"inside/([\w-]+)", seen.page.url)[1]
    return seen.page.frame(url=re.compile("/frame$")), seen.world.studio.looks.get(key)


@pytest.mark.slow
@pytest.mark.parametrize("wide", [True, False], ids=["desk", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("tongue", ["en", "zh"])
def test_the_page_as_people_see_it(play, told, wide, theme, tongue):  # noqa: F811
    """A picture dropped, a layer walked to, an answer followed back: nothing cut, wider than the screen, or complained of."""
    size = {"width": 1280, "height": 860} if wide else {"width": 390, "height": 844}
    seen = Seen(play, told, viewport=size, has_touch=not wide)
    page, name = seen.page, f"{tongue}-{theme}-{'desk' if wide else 'phone'}"
    page.add_init_script("window.owned = () => { top.wasOwned = true; }")
    page.evaluate(f"localStorage.setItem('omma-lang', '{tongue}'); localStorage.setItem('omma-theme', '{theme}')")
    page.reload()
    page = seen.go(f"{told.id}/inside", "#look")
    seen.until("document.getElementById('model').value === 'evil-1'")
    seen.shot(f"inside-0-{name}")
    assert not page.evaluate(CUT) and page.evaluate(WIDER) <= size["width"]
    page.set_input_files("#picture", str(told.picture))
    frame, live = framed(seen)
    assert frame.evaluate("document.documentElement.lang") == tongue
    assert frame.evaluate("getComputedStyle(document.body).backgroundColor") == page.evaluate(
        "getComputedStyle(document.body).backgroundColor"
    )
    seen.shot(f"inside-1-{name}")
    place = next(i for i, step in enumerate(live.found.seen.steps) if step.op == "conv" and i > 8)
    frame.evaluate(f"ommaLook({place}, 5, 3, 2).then(() => document.getElementById('layer').scrollIntoView())")
    frame.wait_for_selector("#unit [data-total]")
    seen.shot(f"inside-2-{name}")
    frame.locator("#slopes select").select_option(NAMES[1])
    frame.locator("#ask").click()
    frame.wait_for_selector("#slopes svg")
    frame.evaluate("document.getElementById('slopes').scrollIntoView()")
    seen.shot(f"inside-3-{name}")
    assert not frame.evaluate(CUT) and frame.evaluate(WIDER) <= frame.evaluate("innerWidth") and page.evaluate(WIDER) <= size["width"]
    assert not page.evaluate("window.wasOwned") and NAMES[1] in frame.inner_text("#slopes")
    page.click("#theme")
    assert frame.evaluate("document.documentElement.dataset.theme") == ("light" if theme == "dark" else "dark")
    page.click("#tongue")  # the same look, in the other language, not computed again
    frame, again = framed(seen)
    assert again is live and frame.evaluate("document.documentElement.lang") != tongue
    seen.close()


@pytest.mark.slow
def test_the_numbers_shown_are_the_tensors(play, told):  # noqa: F811
    """A thousand numbers of any channel, to the last digit shown; gradients too."""
    seen = Seen(play, told)
    seen.go(f"{told.id}/inside?item=1", "#look")
    frame, live = framed(seen)
    made, draw, compared = live, np.random.default_rng(1), 0
    steps = live.found.seen.steps
    while compared < 1000:
        place = int(draw.integers(len(steps)))
        channel, y, x = (int(draw.integers(length)) for length in steps[place].maps.shape)
        frame.evaluate(f"ommaLook({place}, {channel}, {y}, {x})")
        shown = [row for row in frame.evaluate(GATHER) if row[0] != "slope"]
        for index in draw.permutation(len(shown))[:40]:
            kind, at, text = shown[index]
            value, half = digits(text)
            true = real(_Made(made.found), place, kind, [int(one) for one in at.split(",")])
            assert abs(value - true) <= half, (steps[place].key, kind, at, text, true)
            compared += 1
    place = next(i for i, step in enumerate(steps) if step.op == "conv" and seen_inputs(step) > 16)
    frame.evaluate(f"ommaLook({place}, 1, 0, 0)")
    assert frame.locator("#unit .input").count() == 16
    frame.locator("#unit .account > button").click()
    _until(lambda: frame.locator("#unit .input").count() == seen_inputs(steps[place]))
    seen.close()


def seen_inputs(step):
    return step.terms["weight"].shape[1]


class _Made:
    """What `real` reads of a look."""

    def __init__(self, found):
        self.inside = found


class Mixes(nn.Module):
    """What shuffles, resizes, pads, joins; attention fused and by hand; a softmax; a recurrence in both directions."""

    gives = "row"

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.side, self.tokens, self.more = nn.Conv2d(3, 24, 4, 4), nn.Conv2d(6, 2, 1), nn.Linear(8, 24), nn.Linear(8, 24)
        self.heads, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(12, 3)
        self.rows = nn.LSTM(8, 6, batch_first=True, bidirectional=True)

    def forward(self, pictures):
        found = F.interpolate(F.pixel_shuffle(self.stem(pictures), 2), scale_factor=0.75, mode="bilinear")
        found = F.pad(found, (1, 0, 0, 1), value=0.25)
        found = torch.cat([found, self.side(found)], 1)
        query, key, value = self.tokens(found.flatten(2).transpose(1, 2)).reshape(1, -1, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        query, key, value = self.more(found).reshape(1, -1, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        found = ((query @ key.transpose(-2, -1)).softmax(-1) @ value).transpose(1, 2).flatten(2)
        return self.head(self.rows(self.heads(found, found, found)[0])[0][:, -1])


GATHERED = """() => [...document.querySelectorAll('#unit *')]
  .flatMap(one => Object.entries(one.dataset).map(([name, at]) => [name, at, one.textContent]))
  .filter(([name]) => ['at', 'total', 'score', 'share', 'value', 'query', 'key', 'left', 'right', 'gate', 'through', 'from', 'edge']
    .includes(name))"""


def behind(seen, step, kind, at):
    """The tensors' own number behind one that is shown."""
    raws = [seen.raw(given) for given in step.given]
    if kind in ("total", "at"):
        return float((step.maps if kind == "total" else seen.coming(step.given[0]))[tuple(at[:3])])
    if kind == "edge":
        return float(step.terms["value"])
    if kind in ("left", "right"):
        return float(raws[kind == "right"][0][tuple(at)])
    if kind == "gate":
        layer, (way, number), time, size = step.module, divmod(at[0], step.module.hidden_size), at[1], step.module.hidden_size
        states = F.pad(step.maps[way * size : (way + 1) * size, 0], (1, 1))  # a step before the first, and one behind the last
        row, before = at[2] * size + number, states[:, time + 2 if way else time]
        into, back, lift, more = (one[row] for one in layer.all_weights[way])
        return float((into @ raws[0][0, time], lift, back @ before, more)[at[3]])
    if isinstance(step.module, nn.MultiheadAttention):
        layer = step.module
        rows = F.linear(raws[0][:, 0], layer.in_proj_weight, layer.in_proj_bias).chunk(3, 1)
        query, key, value = (one.unflatten(1, (layer.num_heads, -1)).transpose(0, 1) for one in rows)
        if kind == "through":
            return float(layer.out_proj.weight[at[0]].unflatten(0, (layer.num_heads, -1))[at[1]] @ value[at[1], at[2]])
    else:
        query, key, value = (one[0] for one in raws)
    scores = (query @ key.transpose(1, 2)).double() * query.shape[2] ** -0.5
    found = {"score": scores, "share": scores.softmax(-1), "query": query, "key": key}
    return float(value[at[0], at[1], at[2] % value.shape[2]] if kind == "value" else found[kind][tuple(at)])


@pytest.mark.slow
def test_what_mixes_is_told_to_the_last_digit_on_both_pages(play, told, tmp_path):  # noqa: F811
    """Scores, shares, values, products, gates and neighbours, in the studio and on the page that is a file."""
    torch.manual_seed(0)
    of = Subject(Bundle(Classify(["a", "b", "c"]), {"net": Mixes().eval()}, Views(16)), "mixes", True)
    found = look_inside(of, drawn_scene(32), "x")
    file = tmp_path / "mixes.html"
    file.write_text(page_of(sheet(found)), "utf-8")
    seen = Seen(play, told)
    seen.go(f"inside/{told.studio.looks.keep(found)}", "#look")
    frame, _ = framed(seen)
    alone = seen.context.new_page()
    complaints = []
    alone.on("console", lambda message: complaints.append(message.text))
    alone.on("pageerror", lambda error: complaints.append(str(error)))
    alone.goto(file.as_uri())
    alone.wait_for_selector("html[data-ready]", state="attached")
    kinds = set()
    with torch.no_grad():
        for place, step in enumerate(found.seen.steps):
            if step.op not in ("resize", "attention", "softmax", "matmul", "recurrent", "cat", "pad", "shuffle"):
                continue
            row = sheet(found).data["steps"][place]["sums"]
            for channel in row["outs"][:2]:
                sides = step.maps.shape
                for y, x in ((0, 0), (sides[1] - 1, sides[2] // 2)):
                    for page in (frame, alone):
                        page.evaluate(f"ommaLook({place}, {channel}, {y}, {x})")
                        shown = page.evaluate(GATHERED)
                        assert any(kind == "total" for kind, *_ in shown), (step.key, page.inner_text("#unit"))
                        for kind, at, text in shown:
                            kinds.add(kind)
                            if kind == "from":  # the very number that stands there
                                whose, *there = (int(one) for one in at.split(","))
                                assert found.seen.steps[whose].maps[tuple(there)] == step.maps[channel, y, x], (step.key, at)
                                continue
                            value, half = digits(text)
                            true = behind(found.seen, step, kind, [int(one) for one in at.split(",")])
                            assert abs(value - true) <= half + 2e-6, (step.key, kind, at, text, true)
                if channel == row["outs"][0]:
                    frame.evaluate("document.querySelector('#unit .account').scrollIntoView()")
                    seen.shot(f"mixing-{step.op}-{place}")
    assert kinds == {"at", "total", "score", "share", "value", "query", "key", "left", "right", "gate", "through", "from", "edge"}
    place, step = next((place, step) for place, step in enumerate(found.seen.steps) if step.op == "cat")
    frame.evaluate(f"ommaLook({place}, 7, 2, 3)")
    frame.locator("#unit [data-from] a").click()  # walks to the unit the number was read from
    frame.wait_for_function("document.querySelector('#layer h2').textContent === 'side'")
    assert float(frame.locator("#unit [data-total='1,2,3']").inner_text()) == pytest.approx(float(step.maps[7, 2, 3]), rel=1e-4)
    assert not complaints
    alone.close()
    seen.close()
