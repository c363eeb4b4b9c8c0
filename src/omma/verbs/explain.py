"""Show what a model looked at in a picture, with proof that it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omma import catalog
from omma.errors import DiskError, NotMeaningful, OmmaError
from omma.progress import Watch
from omma.words import say

if TYPE_CHECKING:
    import numpy as np
    import torch

    from omma.answers.answer import Answer
    from omma.answers.placed import Corners
    from omma.bundle import Bundle
    from omma.data.spatial.windows import Window
    from omma.explainers.receipt import Receipt


@dataclass(slots=True)
class Explanation:
    """One picture explained.

    Args:
        path: the picture, as named.
        method: the explainer.
        about: the name that was explained.
        at: the object or place that was explained, corners in pixels of the upright original; None: the picture as a whole.
        answer: what the model says of the picture.
        receipt: whether the map is faithful.
        out: the overlay that was written.
        heat: (H, W) float32 on the upright original, larger where the picture speaks for `about`.
        overlay: (H', W', 3) uint8, the picture under its heat with a line below; small pictures are enlarged.
    """

    path: str
    method: str
    about: str
    at: tuple[float, float, float, float] | None
    answer: Answer
    receipt: Receipt
    out: str
    heat: np.ndarray = field(repr=False)
    overlay: np.ndarray = field(repr=False)

    def json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "method": self.method,
            "about": self.about,
            **({} if self.at is None else {"at": [round(value, 3) for value in self.at]}),
            "answer": _brief(self.answer),
            "receipt": self.receipt.json(),
            "out": self.out,
        }

    def lines(self) -> list[str]:
        from omma.verbs._answering import Row

        facts = self.receipt.json()
        return [
            *Row(path=self.path, **_brief(self.answer)).lines(),
            say("explain.asked", about=self.about, method=self.method) if self.at is None
            else say("explain.asked_at", about=self.about, method=self.method, corners=", ".join(f"{value:.0f}" for value in self.at)),
            say("explain.areas", insertion=facts["insertion"], deletion=facts["deletion"],
                random_insertion=facts["random"]["insertion"]["mean"], random_deletion=facts["random"]["deletion"]["mean"],
                orders=facts["random"]["orders"]),
            say("explain.faithful" if self.receipt.beats_random else "explain.unfaithful"),
            say("explain.written", out=self.out),
        ]  # fmt: skip


def explain(
    bundle: str | Path,
    picture: str | Path,
    *,
    method: str | None = None,
    about: str | None = None,
    at: str | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    watch: Watch = Watch(),
) -> Explanation:
    """Draw which parts of a picture speak for an answer.

    Args:
        bundle: a bundle or a run folder.
        picture: a picture file.
        method: gradcam, integrated_gradients, occlusion, rise or attribution; what suits the task when open.
        about: the class (or the number) to explain; the predicted one when open.
        at: x1,y1,x2,y2 in pixels: why this box, or this region; the surest object when open (detect, instances, segment), of restored
            pictures where there is most to see.
        out: the overlay to write; beside the working directory as NAME.METHOD.png when open.
        device: where to compute.

    Raises:
        BundleError, DataError: the model or the picture cannot be read.
        OmmaError: no such method or class.
        NotMeaningful: this network has nothing to show by this method.
    """
    if method is not None:
        catalog.find("explainers", method)  # a misspelt method is told before anything slow is loaded
    from omma import bundle as bundles
    from omma.data.decode import to_rgb8
    from omma.data.moving.sampled import as_read, moments, poster
    from omma.engine.machine import device_of

    place = device_of(device)
    opened = bundles.open(bundle, str(place))
    if opened.task.asks == "seed":
        raise NotMeaningful(say("generate.no_question"), opened.path)
    method = method or opened.task.explains
    original = as_read(Path(picture), opened.views.channels)
    answer, asked, region, full, proof = explained(opened, original, method, about, watch, corners_of(at))
    from omma.answers import draw

    lines = [f"{asked} · {method}"] + ([] if proof.beats_random else [say("explain.no_better")])
    seen = poster(original, moments(opened.views.channels) if original.shape[2] == opened.views.channels else 1)
    overlay = draw.overlay(draw.enlarge(to_rgb8(seen)), shares(full))
    if region is not None:
        overlay = draw.outlined(overlay, region, *original.shape[:2])
    overlay = draw.banner(overlay, lines, opened.names)
    target = Path(out) if out is not None else Path(f"{Path(picture).stem}.{method}.png")
    _write(overlay, target)
    return Explanation(str(picture), method, asked, region, answer, proof, str(target), full, overlay)


def explained(
    opened: Bundle,
    original: np.ndarray,
    method: str,
    about: str | None,
    watch: Watch = Watch(),
    at: Corners | None = None,
) -> tuple[Answer, str, Corners | None, np.ndarray, Receipt]:
    """A decoded picture, (H, W, C) → (answer, name explained, place explained, heat (H, W), receipt).

    Of a picture read in windows, the one that says most of it is explained; elsewhere the heat is 0.
    """
    import numpy as np
    import torch

    from omma.answers.placed import Placed
    from omma.engine.told import told
    from omma.explainers.explainer import Question, choose, unframe
    from omma.explainers.receipt import receipt

    if opened.views.fit == "own":
        return _made(opened, original, method, about, watch, at)
    pipeline = opened.pipeline()
    device = next(pipeline.parameters()).device
    frames = torch.from_numpy(opened.views.frames(original)).to(device)
    places = [opened.views.spot(*original.shape[:2])]
    with torch.no_grad():
        tensors = pipeline.infer(frames)
        operated = opened.task.answer.operate(tensors, opened.point)
    if opened.card.get("runtime", {}).get("file"):
        from omma.runtimes.choose import named

        # A quantised graph answers; the networks it was made from can be asked why.
        runtime = named("ort", opened)
        answer = runtime.answers(frames.cpu().numpy(), None, places)[0]
        tensors = {key: torch.from_numpy(value) for key, value in runtime.infer(frames.cpu().numpy()).items()}
    else:
        answer = told(opened.task, {key: t.cpu() for key, t in operated.items()}, opened.point, places)[0]
    if isinstance(answer, Placed):
        about, at = answer.meant(about, at)
    elif at is not None:
        raise NotMeaningful(say("explain.nowhere"))
    windows = opened.views.windows(*original.shape[:2])
    spots = [None if at is None else framed(opened, at, window).to(device) for window in windows]
    rows = [{key: value[row : row + 1] for key, value in tensors.items()} for row in range(len(windows))]
    worth = [float(opened.task.score(own, about, spot)) for own, spot in zip(rows, spots, strict=True)]
    surest = max(range(len(windows)), key=worth.__getitem__)
    asked = choose(opened.task, rows[surest], about, spots[surest])
    question = Question(opened.task, dict(opened.nets), asked, spots[surest])
    pictures = opened.views.finish(frames[surest : surest + 1])
    watch.step(say("explain.mapping", method=method), 0, 2)
    heat = catalog.find("explainers", method)(question, pictures).detach()
    watch.step(say("explain.proving"), 1, 2)
    # What covers is what the model itself would put there, where it draws pictures.
    proof = receipt(question, pictures, heat, blank=rows[surest].get("rebuilt"))
    watch.end(say("explain.proving"))
    height, width = original.shape[:2]
    top, left, tall, wide = windows[surest]
    full = np.zeros((height, width), np.float32)
    full[top : top + tall, left : left + wide] = unframe(heat[0].cpu().numpy(), opened.views, tall, wide)
    return answer, asked, at, full, proof


def _made(
    opened: Bundle, original: np.ndarray, method: str, about: str | None, watch: Watch, at: Corners | None
) -> tuple[Answer, str, Corners | None, np.ndarray, Receipt]:
    """The same of an answer that is a picture: what a place of it was made from."""
    from omma.explainers.places import made_from

    if about not in (None, *opened.names):
        raise catalog.unknown(say("explain.name"), str(about), opened.names)
    watch.step(say("explain.mapping", method=method), 0, 1)
    made, region, heat, proof = made_from(opened, original, method, at)
    watch.end(say("explain.mapping", method=method))
    return made, opened.names[0], region, heat, proof


def _brief(answer: Answer) -> dict[str, Any]:
    """An answer as JSON, without the file of a picture."""
    return {key: value for key, value in answer.json().items() if key != "png"}


def framed(opened: Bundle, at: Corners, window: Window) -> torch.Tensor:
    """Corners in the picture → (4,) in the frame that shows this window."""
    import torch

    x, y = window.left, window.top
    moved = torch.tensor([at[0] - x, at[1] - y, at[2] - x, at[3] - y])
    return opened.views.place(window.height, window.width).framed(moved)


def corners_of(text: str | None) -> Corners | None:
    """`x1,y1,x2,y2` → numbers.

    Raises:
        OmmaError: not four numbers, or nothing lies between them.
    """
    if text is None:
        return None
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise OmmaError(say("explain.corners", text=text)) from None
    if not (0 <= x1 < x2 < 1e6 and 0 <= y1 < y2 < 1e6):
        raise OmmaError(say("explain.corners", text=text))
    return x1, y1, x2, y2


def shares(heat: np.ndarray) -> np.ndarray:
    """Heat as 0–1 for drawing: evidence against it is left out, and a few extreme pixels may not hide the rest."""
    import numpy as np

    warm = np.clip(heat, 0, None)
    top = float(np.quantile(warm[warm > 0], 0.99)) if (warm > 0).any() else 1.0
    return np.clip(warm / top, 0, 1)


def _write(overlay: np.ndarray, target: Path) -> None:
    """The overlay as a picture file, whole or not at all."""
    from PIL import Image

    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(overlay).save(partial, "PNG")
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DiskError(say("explain.not_written", reason=error.strerror or error), target) from None
