"""Train a model on a dataset, or go on with a run that was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omma.progress import Watch

if TYPE_CHECKING:
    from omma.verbs._trained import Trained


def train(
    data: str | None = None,
    *settings: str,
    task: str | None = None,
    model: str | None = None,
    preset: str | None = None,
    budget: str | None = None,
    seed: int | None = None,
    out: str | None = None,
    from_: str | None = None,
    folds: int | None = None,
    recipe: str | None = None,
    format: str | None = None,
    resume: str | None = None,
    anyway: bool = False,
    device: str = "auto",
    watch: Watch = Watch(),
) -> Trained:
    """Train a model on a dataset, or go on with a run that was interrupted.

    Args:
        data: a folder, a table, an archive, or a source's name such as digits or cifar10.
        settings: any setting as key=value, of the recipe, the task (task.key=value) or the model (model.key=value).
        task: what to learn: classify, multilabel, regress, detect, segment or instances; sniffed from the data.
        model: the network: quick, resnet20, timm/resnet50, torchvision/alexnet ….
        preset: fast, balanced or best.
        budget: 10min, 20 epochs or 3000 steps.
        seed: every draw derives from it.
        out: the run folder; runs/NAME-1 when not given.
        from_: go on from an earlier model; new classes are welcome.
        folds: cross-validate with so many folds first; the score is then that of pictures no model had seen.
        recipe: a TOML file with settings.
        format: how the dataset lies on disk, when it cannot be told.
        resume: a run folder to go on with; nothing else is needed.
        anyway: resume although data or thread count have changed.
        device: cpu, cuda, cuda:1 or auto.

    Returns:
        The finished run.

    Raises:
        OmmaError: a word or setting; DataError: the dataset; NonFinite; DiskError; Interrupted after Ctrl-C, everything saved.

    Example:
        omma train photos/ --budget 10min seed=1 flip=no
    """
    from omma.errors import OmmaError
    from omma.run import course
    from omma.run.start import start
    from omma.verbs._trained import Trained
    from omma.words import say

    words = {"task": task, "model": model, "preset": preset, "budget": budget, "seed": seed}
    asked = {key: value for key, value in words.items() if value is not None}
    if resume is not None:
        spare = [w for w in (data, *settings, *asked, out and "--out", from_ and "--from", folds and "--folds", recipe and "--recipe") if w]
        if spare:
            raise OmmaError(say("train.resume_alone", words=", ".join(map(str, spare))))
        return Trained.of(course.resume(resume, anyway, device, watch))
    if data is None:
        raise OmmaError(say("train.needs_data"), None, say("train.needs_data_fix"))
    return Trained.of(start(data, format, asked, list(settings), recipe, out, from_, folds, device, watch))
