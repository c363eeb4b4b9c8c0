"""Semantic segmentation: a class for every pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from omma.answers.mask import Mask, is_background
from omma.errors import OmmaError
from omma.losses.loss import PIXEL_LOSSES, pixel_loss
from omma.tasks.task import Batch, Task
from omma.words import say

if TYPE_CHECKING:
    import torch
    from torch import nn

FEW = 100  # pictures: fewer are learned in steps of 4


class Segment(Task):
    """`infer` gives {"logits": (B, C, S, S)} of the frame."""

    answer = Mask
    reads = "pixels"
    models = ("unet", "unet-small", "deeplabv3plus", "torchvision/lraspp_mobilenet_v3_large")
    LOSSES = PIXEL_LOSSES
    SETTINGS: ClassVar[dict[str, tuple[Any, str]]] = {
        "loss": ("cross_entropy+dice", "cross_entropy, focal, dice, lovasz or cldice (thin structures), or a sum of them"),
        "label_smoothing": (0.0, "share given to the other classes"),
        "class_weights": ((), "weight of each class in the loss; () = equal"),
        "goal": ("", "of two classes: f1, recall>=SHARE or precision>=SHARE of the second one's pixels"),
        "spacing": ((), "millimetres per pixel of the upright original, for HD95: one number, or down,across; () = HD95 in pixels"),
    }

    def plan(self, fingerprint, recipe):
        from omma.tasks.plan import plan_places

        spacing = self.settings["spacing"]
        if len(spacing) > 2 or not all(0 < one < float("inf") for one in spacing):
            raise OmmaError(say("recipe.spacing", value=",".join(f"{one:g}" for one in spacing)))
        # From scratch in few minutes, many small steps of a small network: Dice 0.81 instead of 0.73 on DRIVE (3 minutes, steps of 4,
        # not 16), 0.92 instead of 0.86 on PH² (2 minutes, `unet-small` at 192 pixels, not `unet` at 320).
        model = "unet" if recipe.preset == "best" else "unet-small"
        dials: dict[str, Any] = {}
        if str(recipe.model or model).startswith("unet") and recipe.pretrained == "no":
            dials["batch"] = 4 if fingerprint.train < FEW else 8
        return plan_places(fingerprint, recipe, model, **dials)

    def loss(self, net: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        import torch

        weights = self.settings["class_weights"]
        weight = torch.as_tensor(weights, dtype=torch.float32, device=batch.pictures.device) if len(weights) else None
        ground = next((place for place, name in enumerate(self.names) if is_background(name)), None)
        smoothing = self.settings["label_smoothing"]
        logits, target = _asked(net, batch, whole="cldice" in self.settings["loss"])
        return pixel_loss(self.settings["loss"], logits, target, weight=weight, smoothing=smoothing, background=ground)

    def infer(self, nets: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        return {"logits": nets["net"](batch.pictures)}

    def decode(self, tensors: dict[str, torch.Tensor], batch: Batch | None = None) -> list[Mask]:
        pixels, sure = (tensors[key].cpu().numpy() for key in ("mask", "probability"))
        return [Mask.of(one, self.names, share) for one, share in zip(pixels, sure, strict=True)]

    def metrics(self):
        from omma.metrics.sets import segmentation

        return segmentation(self.names, self.settings["spacing"])

    def score(self, tensors: dict[str, torch.Tensor], about: str | None = None, at: torch.Tensor | None = None) -> torch.Tensor:
        """The mean logit of a class over the pixels that are said to be of it (over all, where none is), of a place those inside."""
        from omma.tasks.plan import one_column

        logits = tensors["logits"]
        mine = (logits.argmax(1, keepdim=True) == _columns(logits)).to(logits.dtype)
        if at is not None:
            mine = mine * _inside(logits, at)
        count = mine.sum((2, 3))
        inside = (logits * mine).sum((2, 3)) / count.clamp_min(1)
        found = inside.where(count > 0, logits.mean((2, 3)) - 1e3)  # a class that is nowhere is not what a picture shows
        return one_column(found, self.names, about)


def _asked(net: nn.Module, batch: Batch, whole: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and the classes they should say; in training those of one pixel for each place where logits are made, drawn anew each time.

    On two cores, loss and gradient of enlarged logits take a third of a step, and say little that their neighbours do not.

    Args:
        whole: at every pixel, for losses that look at lines, which would be torn.
    """
    import torch

    target = batch.truth["mask"]
    if whole or not net.training or not hasattr(net, "rough"):
        return net(batch.pictures), target
    logits = net.rough(batch.pictures)  # type: ignore[operator]
    for axis, count in ((1, logits.shape[2]), (2, logits.shape[3])):
        stride = -(-target.shape[axis] // count)
        place = torch.arange(count, device=target.device) * stride + int(torch.randint(stride, ()))
        target = target.index_select(axis, place.clamp_max(target.shape[axis] - 1))
    return logits, target


def _inside(logits: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """(H, W): 1 for pixels whose centre lies in these corners."""
    import torch

    left, top, right, bottom = at.tolist()
    y, x = (torch.arange(side, device=logits.device) + 0.5 for side in logits.shape[2:])
    return ((y >= top) & (y < bottom))[:, None].to(logits.dtype) * ((x >= left) & (x < right)).to(logits.dtype)


def _columns(logits: torch.Tensor) -> torch.Tensor:
    """(C, 1, 1): the place of each class."""
    import torch

    return torch.arange(logits.shape[1], device=logits.device)[:, None, None]
