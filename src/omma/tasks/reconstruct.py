"""Reconstruction: what good pictures look like, learned from them alone; what cannot be drawn again like them is odd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from omma.answers.rebuilt import ALARMS, Rebuilt
from omma.errors import OmmaError
from omma.tasks.task import Batch, Task
from omma.words import say

if TYPE_CHECKING:
    import torch
    from torch import nn

BUDGETS = {"fast": "2min", "balanced": "10min", "best": "40min"}  # on two cores
WORST = 0.05  # share of a picture by which its anomaly is judged: a scratch must not vanish in the mean
NEAR = 48  # pixels of the side for each pixel by which an edge may lie aside without being an error; one at least
DULL = 0.01  # of 0–1 squared: contrast that every picture is taken to have, so that nearly nothing is not divided by


class Reconstruct(Task):
    """`infer` gives {"rebuilt": (B, C, S, S), 0–1, "error": (B, S, S), "mean": (B,), "anomaly": (B,)}.

    The error is the square of the difference after averaging it over neighbours: an edge that lies a little aside is too bright on one
    side and too dark on the other, which cancels; what is missing does not. The anomaly, 0–1, is the root of worst / (worst + contrast),
    `worst` the mean of the twentieth of the frame with the largest error, `contrast` the variance of its pixels: the same error is
    odder where there is little to see. Measured on MNIST, each digit against the rest with an error of 16 principal components: AUROC
    0.951 by the mean squared error, 0.983 so.
    """

    poses = "good"
    answer = Rebuilt
    reads = "frame"
    models = ("autoencoder", "autoencoder-dense", "vae")
    explains = "deviation"
    LOSSES = ("mse",)
    SETTINGS: ClassVar[dict[str, tuple[Any, str]]] = {
        "good": ("", "class folders of good pictures, joined by commas; others are odd, and only measured. Open: good, ok, normal …"),
        "goal": (ALARMS, "share of good pictures that may be called odd; says where the threshold lies"),
        "beta": (0.1, "weight of the divergence in the loss of a variational network: twice the variance a pixel is taken to have"),
        "denoise": (0.2, "deviation of noise added to what is seen while it learns, of 0–1, which is not to be drawn again"),
    }

    def plan(self, fingerprint, recipe):
        from omma.tasks.plan import SMALL, plan_pictures

        goal = float(recipe.task_settings.get("goal", ALARMS))
        if not 0 < goal < 1:
            raise OmmaError(say("recipe.out_of_range", key="goal", value=goal, low=0, high=1))
        # Of small pictures four times as many steps fit into a minute without convolutions. MNIST, one digit against the rest, AUROC after
        # 1,300 such steps 0.986 for the digit 2.
        small = max(fingerprint.width[0], fingerprint.height[0]) <= SMALL
        recipe.put("plan", model="autoencoder-dense" if small else "autoencoder", optimizer=recipe.optimizer or "adamw")
        plan_pictures(fingerprint, recipe)
        recipe.put("preset", budget=BUDGETS[recipe.preset])
        rate = {"adamw": 3e-3, "adam": 3e-3}.get(str(recipe.optimizer))
        # What is turned, mirrored or recoloured may be just what is odd.
        still: dict[str, Any] = {"flip": False, "shift": 0.0, "scale": 0.0, "rotate": 0.0, "colour": 0.0}
        recipe.put("plan", rate=rate, weight_decay=0.0, clip=1.0, batch=min(64, max(1, fingerprint.train)), **still)
        if recipe.fit in ("windows", "own"):
            raise OmmaError(say("reconstruct.fit", fit=recipe.fit))
        # Maps of a moved picture lie elsewhere, and blends of good pictures are none.
        recipe.tta, recipe.mixup, recipe.cutmix, recipe.trivial, recipe.progressive = "none", 0.0, 0.0, False, 0.0
        return recipe

    def loss(self, net: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        import torch

        clean, noise = batch.pictures, float(self.settings["denoise"])
        seen = clean + noise * torch.randn_like(clean) if noise > 0 and net.training else clean
        said = net(seen, True) if net.training else net(seen)
        found = said if isinstance(said, dict) else {"rebuilt": said}
        terms = {"loss": (found["rebuilt"].float() - clean).square().mean()}
        if "divergence" in found:
            # As in the bound on the likelihood: squared errors are summed over the picture, a divergence is of the whole code.
            terms["divergence"] = float(self.settings["beta"]) * found["divergence"].float().mean() / clean[0].numel()
        return terms

    def infer(self, nets: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        from torch.nn import functional as F

        rebuilt = nets["net"](batch.pictures).float().clamp(0, 1)
        seen = batch.pictures.float()
        off = rebuilt - seen
        reach = max(1, rebuilt.shape[2] // NEAR)
        error = F.avg_pool2d(F.pad(off, [reach] * 4, mode="replicate"), 2 * reach + 1, 1).square().mean(1)
        rows = error.flatten(1)
        worst = rows.topk(max(1, int(rows.shape[1] * WORST)), 1)[0].mean(1).clamp_min(1e-12)
        contrast = (seen - seen.mean((1, 2, 3), keepdim=True)).square().mean((1, 2, 3)) + DULL
        anomaly = (worst / (worst + contrast)).sqrt()
        return {"rebuilt": rebuilt, "error": error, "mean": off.square().mean((1, 2, 3)), "anomaly": anomaly}

    def decode(self, tensors: dict[str, torch.Tensor], batch: Batch | None = None) -> list[Rebuilt]:
        frames = (tensors["rebuilt"] * 255).round().byte().cpu().numpy()
        errors, means = tensors["error"].cpu().numpy(), tensors["mean"].tolist()
        odd = tensors["odd"].tolist() if "odd" in tensors else [None] * len(means)
        rows = zip(odd, tensors["anomaly"].tolist(), errors, frames, means, strict=True)
        return [Rebuilt(None if word is None else bool(word), *rest) for word, *rest in rows]

    def metrics(self):
        from omma.metrics.sets import reconstruction

        return reconstruction(self.names)

    def score(self, tensors: dict[str, torch.Tensor], about: str | None = None, at: torch.Tensor | None = None) -> torch.Tensor:
        return tensors["anomaly"]
