"""What a task, a model or a format must keep to, as checks that a plug-in's own tests can call.

from omma.testing import check_format, check_model, check_task

def test_my_model():
    check_model("my_model", size=32)
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from omma import catalog
from omma.errors import NotMeaningful
from omma.formats._promises import check_format as check_format

SIDE = 64  # pixels of the frames a task is tried on
SMALL = 16  # of the pictures that are drawn

if TYPE_CHECKING:
    import torch

    from omma.answers.answer import Answer


def check_model(
    name: str, *, channels: int = 3, size: int = 32, outputs: int = 5, resumes: bool = False, exports: bool = False, **settings: Any
) -> None:
    """A network keeps its promises: shapes, gradients everywhere, one picture's answer does not depend on its neighbours.

    Args:
        name: in the catalogue.
        channels, size, outputs, settings: as given to `build`.
        resumes: also that learning that was cut ends in the same bits (of networks that learn from one loss).
        exports: also that its graph answers the same, for any number of pictures.

    Raises:
        AssertionError: which promise is broken.
    """
    import torch

    from omma.models.making import build, settings_of

    torch.manual_seed(0)
    net = build(name, channels=channels, size=size, outputs=outputs, **settings)
    assert set(settings) <= settings_of(name).keys(), "settings_of lists every setting build takes"
    assert net.gives in ("row", "pixels", "objects", "picture", "frame", "drawn"), f"gives is {net.gives!r}, which nothing reads"
    pictures = torch.randn(3, channels, size, size)
    net.prepare(pictures)
    if net.gives == "drawn":
        _teaches(net, pictures.sigmoid())
        pictures = _seeds(net)  # what it reads instead
    net.train()
    truth = _objects(size, outputs)
    answers = net(pictures, truth) if net.gives == "objects" else net(pictures)
    side = size * (settings.get("scale", 1) if net.enlarges else 1)
    shapes = {"row": (3, outputs), "pixels": (3, outputs, size, size), "picture": (3, channels, side, side)}
    shapes["frame"] = shapes["drawn"] = 3, channels, size, size
    _reaches(net, answers, shapes.get(net.gives))
    net.eval()
    with torch.no_grad():
        maps, features, answers = net.maps(pictures), net.features(pictures), net(pictures)
        assert maps.dim() == 4 and len(maps) == 3, f"maps gives {tuple(maps.shape)}, not (B, D, h, w)"
        assert features.dim() == 2, f"features gives {tuple(features.shape)}, not (B, F)"
        torch.testing.assert_close(net.pool(maps), features, rtol=1e-4, atol=1e-5, msg="features is not pool(maps)")
        if net.gives == "row":
            torch.testing.assert_close(net.head(features), answers, msg="forward is not head(features)")
        if net.gives == "drawn":
            assert ((answers >= 0) & (answers <= 1)).all(), "drawn pictures lie between 0 and 1"
            torch.testing.assert_close(net.head(maps), answers, msg="forward is not head(maps)")
        if net.gives == "objects":
            _detections(answers, outputs, size)
            _finite(net(pictures, truth))
            with torch.autocast("cpu", torch.bfloat16):  # as a graphics card multiplies
                _finite(net(pictures, truth))
        alone, again = net(pictures[1:2]), net(pictures)
        rtol, atol = (1e-4, 1e-5) if net.gives != "objects" else (1e-3, 1e-3)
        told = _telling(alone)[0], _telling(answers)[1]
        torch.testing.assert_close(*told, rtol=rtol, atol=atol, msg="a picture's answer depends on its neighbours")
        torch.testing.assert_close(again, answers, rtol=0, atol=0, msg="the same pictures have two answers")
    staged = {id(p) for stage in net.stages() for p in stage.parameters()}
    assert staged <= {id(p) for p in net.parameters()} - {id(p) for p in net.head.parameters()}, "stages name what is not of the body"
    lost = [key for key, p in net.named_parameters() if id(p) not in staged and not key.startswith("head.")]
    assert not lost or net.gives != "row", f"stages and head leave out {lost}"
    other = build(name, channels=channels, size=size, outputs=outputs, **settings)
    other.load_state_dict(net.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(other.eval()(pictures), answers, msg="the weights alone do not make the same network")
    if resumes:
        make = lambda: build(name, channels=channels, size=size, outputs=outputs, **settings)  # noqa: E731
        _resumes(make, pictures, truth)
    if exports:
        _exports(net, pictures)


def _resumes(make: Callable[[], Any], pictures: torch.Tensor, truth: dict[str, torch.Tensor]) -> None:
    """Four steps, and two and two with everything put away and taken out again in between, end in the same bits."""
    import copy

    import torch

    def learn(net: Any, optimizer: Any, steps: range) -> None:
        net.train()
        for step in steps:
            torch.manual_seed(step)  # as the engine does: what is dropped depends on the step alone
            said = net(pictures, truth) if net.gives == "objects" else net(pictures)
            loss: Any = sum(said.values()) if isinstance(said, dict) else (said - 0.5).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    torch.manual_seed(0)
    whole = make()
    optimizer = torch.optim.SGD(whole.parameters(), 1e-4, momentum=0.9)
    learn(whole, optimizer, range(2))
    state, momenta = copy.deepcopy((whole.state_dict(), optimizer.state_dict()))
    learn(whole, optimizer, range(2, 4))
    cut = make()
    again = torch.optim.SGD(cut.parameters(), 1e-4, momentum=0.9)
    cut.load_state_dict(state)
    again.load_state_dict(momenta)
    learn(cut, again, range(2, 4))
    wrong = [key for key, value in whole.state_dict().items() if not torch.equal(value, cut.state_dict()[key])]
    assert not wrong, f"after a cut {wrong} differ: the network keeps something outside its state"


def _exports(net: Any, pictures: torch.Tensor) -> None:
    """The graph of a network says what it says, of two pictures as of three."""
    import torch

    net = net.eval()
    with torch.no_grad():
        program = torch.export.export(net, (pictures,), dynamic_shapes=({0: torch.export.Dim("count", min=1, max=64)},)).module()
        for few in (pictures, pictures[:2]):
            torch.testing.assert_close(program(few), net(few), rtol=1e-4, atol=1e-5, msg="the exported graph answers otherwise")


def _seeds(net: Any) -> torch.Tensor:
    """(3, latent + classes): three draws, each of a class where there are some."""
    import torch

    from omma.parts.drawing.seeds import seeds

    return torch.from_numpy(seeds(0, 3, net.latent, net.classes))


def _teaches(net: Any, pictures: torch.Tensor) -> None:
    """A generator's critic judges each of (3, C, S, S) pictures, by its class too; without one it learns from the pictures by itself."""
    import torch

    classes = torch.eye(3, net.classes)
    if not net.game:
        _finite(terms := net.lesson(pictures, classes))
        torch.stack([*terms.values()]).sum().backward()
    else:
        from omma.parts.drawing.rivalry import GAMES

        assert net.game in GAMES, f"nobody knows the game {net.game!r}"
        critic = net.critic()
        assert critic(pictures, classes).shape == (3,), "a critic gives one number a picture"
        _finite(terms := GAMES[net.game].of_critic(critic, pictures, pictures.flip(0), classes, 1.0))
        torch.stack([*terms.values()]).sum().backward()
        dry = [key for key, p in critic.named_parameters() if p.grad is None]
        assert not dry, f"no gradient reaches {dry} of the critic"
        if net.classes:
            critic.eval()
            with torch.no_grad():
                alike = torch.equal(critic(pictures, classes), critic(pictures, classes.roll(1, 0)))
            assert not alike, "a critic is told the classes and does not look at them"
    net.zero_grad()


def _objects(size: int, outputs: int) -> dict[str, torch.Tensor]:
    """Truth for three pictures: two objects, none, one and another that is ignored."""
    import torch

    half, third = size / 2, size / 3
    boxes = torch.tensor([[1, 2, half, half], [third, half, size - 1, size - 2]], dtype=torch.float32).expand(3, 2, 4).contiguous()
    classes = torch.tensor([[0, outputs - 1], [-1, -1], [outputs - 1, 0]])
    ignored = torch.tensor([[False, False], [False, False], [False, True]])
    objects = torch.zeros(3, size, size, dtype=torch.int16)
    for place, row in ((0, 0), (0, 1), (2, 0)):
        x1, y1, x2, y2 = boxes[place, row].int().tolist()
        objects[place, y1:y2, x1:x2] = row + 1
    return {"boxes": boxes, "classes": classes, "ignored": ignored, "objects": objects}


def _reaches(net: Any, answers: Any, shape: tuple[int, ...] | None) -> None:
    """What a network says in training has its shape, and reaches every weight."""
    if shape is not None:
        assert answers.shape == shape, f"forward gives {tuple(answers.shape)}, not {shape}"
        if any(p.requires_grad for p in net.parameters()):  # else nothing is learned
            answers.square().sum().backward()
    else:
        _finite(answers)
        sum(answers.values()).backward()
    dry = [key for key, p in net.named_parameters() if p.requires_grad and p.grad is None]
    assert not dry, f"no gradient reaches {dry}"


def _finite(losses: Any) -> None:
    """Losses are named numbers."""
    assert isinstance(losses, dict) and losses, "forward(pictures, truth) gives named losses"
    wrong = [key for key, loss in losses.items() if loss.dim() or not math.isfinite(loss.item())]
    assert not wrong, f"the losses {wrong} are not one finite number each"


def _telling(answers: Any) -> Any:
    """What two answers are compared by: of detections the probabilities, since equally good boxes may change places."""
    return answers["probabilities"] if isinstance(answers, dict) else answers


def _detections(found: Any, outputs: int, size: int) -> None:
    """Detections have their shapes, the best first, inside the picture."""
    import torch

    boxes, sure, classes = found["boxes"], found["probabilities"], found["classes"]
    count = sure.shape[1]
    assert boxes.shape == (3, count, 4) and classes.shape == (3, count), "boxes, probabilities and classes have a row for each object"
    assert boxes.dtype == sure.dtype == torch.float32 and classes.dtype == torch.int64, "numbers are float32, classes int64"
    assert ((sure >= 0) & (sure <= 1)).all() and (sure.diff(dim=1) <= 0).all(), "probabilities fall, from 1 to 0"
    assert ((sure == 0) | (sure >= 1e-3)).all(), "what is less probable than 0.001 has the probability 0"
    assert ((classes >= 0) & (classes < outputs)).all(), "classes are places in the names"
    used = sure > 0
    assert ((boxes >= 0) & (boxes <= size)).all() and (boxes[..., 2:] >= boxes[..., :2])[used].all(), "boxes lie in the picture"
    if "masks" in found:
        assert found["masks"].shape == (3, count, size, size), "there is a mask for each object, at the size of the frame"


def check_task(name: str, names: Sequence[str], truths: Sequence[Answer], **settings: Any) -> None:
    """A task keeps its contract from truth to answer, and its loss can be learned.

    Args:
        name: in the catalogue.
        names: classes, or names of the numbers.
        truths: at least four truths that differ.
        settings: of the task.

    Raises:
        AssertionError: which promise is broken.
    """
    import torch

    from omma.data.views import Views
    from omma.engine.told import told
    from omma.tasks.task import Batch

    assert len(truths) >= 4, "at least four truths that differ"
    task = catalog.find("tasks", name)(names, **settings)
    torch.manual_seed(0)
    count = len(truths)
    views = Views(SIDE)
    truth = task.answer.tensors(truths, task.names, views)
    for key, value in truth.items():
        assert len(value) == count, f"tensors()[{key!r}] has {len(value)} rows for {count} truths"
    nets = task.nets(_small(task))
    side = SMALL if task.asks == "seed" else SIDE
    batch = Batch(torch.randn(count, 3, side, side), truth, torch.arange(count))
    _learns(task, nets, batch)
    if task.asks == "seed":
        batch = Batch(torch.eye(count, nets["net"].latent + task.outputs))
    with torch.no_grad():
        tensors = task.infer(nets, batch)
    for key, value in tensors.items():
        assert len(value) == count, f"infer()[{key!r}] has {len(value)} rows for {count} pictures"
    point = task.answer.fit(tensors, truth, task.names)
    assert json.loads(json.dumps(point, allow_nan=False)) == point, "the operating point is not plain JSON"
    with torch.no_grad():
        operated = task.answer.operate(tensors, point)
        answers = told(task, operated, point, [views.place(*extent(truth)) for truth in truths])
    assert len(answers) == count and all(isinstance(a, task.answer) for a in answers), "decode gives one answer a picture"
    for answer in answers:
        row = json.loads(json.dumps(answer.json(), allow_nan=False))
        assert task.answer.from_json(row).same(answer), f"JSON does not bring {row} back"
    _measures(task, answers, truths)
    try:
        score = task.score(tensors)
    except NotMeaningful:
        assert task.asks == "seed", "whoever looks at a picture can be asked what it looked at"
        return
    assert score.shape == (count,) and torch.isfinite(score).all(), f"score gives {tuple(score.shape)}, not ({count},)"


def _small(task: Any) -> Any:
    """The smallest network that gives what the task reads."""
    import torch

    from omma.models.making import build

    if task.reads == "row":
        return torch.nn.Sequential(torch.nn.AvgPool2d(SIDE // 8), torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, task.outputs))
    if task.reads in ("pixels", "picture"):
        return _one(3 if task.reads == "picture" else task.outputs)
    return build(task.models[0], channels=3, size=SMALL if task.asks == "seed" else SIDE, outputs=task.outputs)


def _one(outputs: int) -> Any:
    """A network of one convolution, from pictures of three channels to pixels or pictures of their size."""
    import torch

    from omma.models.network import Network

    class One(Network):
        channels = 3

        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Conv2d(3, outputs, 3, padding=1)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.head(pictures)

    return One()


def extent(truth: Any) -> tuple[int, int]:
    """(height, width) of the picture of an answer that knows it; else of a frame."""
    return getattr(truth, "height", SIDE), getattr(truth, "width", SIDE)


def _learns(task: Any, nets: dict[str, Any], batch: Any) -> None:
    """Every player's loss is finite, reaches its weights, and falls."""
    import torch

    rate = 0.02 if task.reads == "row" else 0.003
    optimizers = {who: torch.optim.Adam(net.parameters(), rate) for who, net in nets.items()}
    course: dict[str, list[float]] = {}
    for step in range(30):
        for who, loss in task.turns(nets, batch, step):
            whole: torch.Tensor = sum(loss.values()) if isinstance(loss, dict) else loss  # type: ignore[assignment]
            assert whole.dim() == 0 and math.isfinite(whole.item()), f"the loss of {who} is not one finite number"
            optimizers[who].zero_grad()
            whole.backward()
            assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in nets[who].parameters()), f"no gradient reaches {who}"
            optimizers[who].step()
            course.setdefault(who, []).append(whole.item())
    assert course, "turns gives nobody a turn"
    if len(nets) == 1:  # players who work against each other need not fall
        assert all(rows[-1] < rows[0] for rows in course.values()), f"the loss does not fall: {course}"


def _measures(task: Any, answers: Sequence[Answer], truths: Sequence[Answer]) -> None:
    """Every metric is a number, weighs pictures, and does not depend on their order."""
    import numpy as np

    metrics = task.metrics()
    assert metrics, "a task names at least one metric: the first decides what is best"
    weight = np.ones(len(truths))
    for key, metric in metrics.items():
        records = metric.records(answers, truths)
        assert all(len(rows) == len(truths) for rows in records.values()), f"{key}: records have one row a picture"
        backwards = metric.records(answers[::-1], truths[::-1])
        value, turned = metric.summary(records, weight), metric.summary(backwards, weight)
        assert value == turned or abs(value - turned) < 1e-9 or (value != value and turned != turned), (
            f"{key} depends on the order of pictures"
        )
        assert metric.better in ("higher", "lower"), f"{key}: better is higher or lower"
