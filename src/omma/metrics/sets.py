"""Which metrics belong to which kind of answer; the first one decides what is best."""

from __future__ import annotations

from collections.abc import Sequence

from omma.metrics._masks import areas, overlap
from omma.metrics._matching import Matcher
from omma.metrics._pairs import Pairing
from omma.metrics.accuracy import Accuracy
from omma.metrics.anomaly_auroc import AnomalyAuroc
from omma.metrics.anomaly_share import AnomalyShare
from omma.metrics.ap_nuclei import ApNuclei
from omma.metrics.average_precision import AveragePrecision
from omma.metrics.average_recall import AverageRecall
from omma.metrics.balanced_accuracy import BalancedAccuracy
from omma.metrics.boundary_f1 import BoundaryF1
from omma.metrics.box_f1 import BoxF1
from omma.metrics.box_precision import BoxPrecision
from omma.metrics.box_recall import BoxRecall
from omma.metrics.brier import Brier
from omma.metrics.content import Content
from omma.metrics.copied import Copied
from omma.metrics.d_ece import DEce
from omma.metrics.dice import Dice
from omma.metrics.ece import Ece
from omma.metrics.f1 import F1
from omma.metrics.fid import Fid
from omma.metrics.froc import Froc
from omma.metrics.gain import Gain
from omma.metrics.hd95 import Hd95
from omma.metrics.kid import Kid
from omma.metrics.log_loss import LogLoss
from omma.metrics.mae import Mae
from omma.metrics.manifold import Manifold
from omma.metrics.mean_ap import MeanAp
from omma.metrics.metric import Metric
from omma.metrics.miou import Miou
from omma.metrics.mse import Mse
from omma.metrics.perceptual import Perceptual
from omma.metrics.pixel_accuracy import PixelAccuracy
from omma.metrics.pixel_auc import PixelAuc
from omma.metrics.pixel_ece import PixelEce
from omma.metrics.pq import Pq
from omma.metrics.precision import Precision
from omma.metrics.psnr import Psnr
from omma.metrics.r2 import R2
from omma.metrics.recall import Recall
from omma.metrics.reconstruction import Reconstruction
from omma.metrics.roc_auc import RocAuc
from omma.metrics.ssim import Ssim
from omma.metrics.style import Paintings, Style
from omma.metrics.top5 import Top5

AVERAGES = ("macro", "micro", "weighted")


def classification(names: Sequence[str]) -> dict[str, Metric]:
    """One class a picture; accuracy decides. Top-5 only where there are more than five classes."""
    first: dict[str, Metric] = {"accuracy": Accuracy(names), "balanced_accuracy": BalancedAccuracy(names)}
    if len(names) > 5:
        first["top5"] = Top5(names)
    return first | _averaged(names) | _of_probabilities(names, several=False)


def multilabel(names: Sequence[str]) -> dict[str, Metric]:
    """Several classes a picture; mean average precision decides: it needs no threshold, so a lucky one cannot win."""
    ranked: dict[str, Metric] = {"average_precision": AveragePrecision(names)}
    return ranked | {"subset_accuracy": Accuracy(names)} | _averaged(names) | _of_probabilities(names, several=True)


def regression(names: Sequence[str]) -> dict[str, Metric]:
    """Numbers; R² decides: it has no unit, so several numbers can be averaged."""
    return {"r2": R2(names), "mae": Mae(names), "mse": Mse(names)}


def detection(names: Sequence[str], threshold: float = 0.5) -> dict[str, Metric]:
    """Boxes; COCO's mAP decides: it needs no threshold. `threshold` is that of what people see: precision, recall, F1 and calibration."""
    matcher = Matcher(names)
    ranked: dict[str, Metric] = {"mAP": MeanAp(names, matcher), "AP50": MeanAp(names, matcher, 0.5), "AP75": MeanAp(names, matcher, 0.75)}
    ranked |= {f"AP_{size}": MeanAp(names, matcher, size=size) for size in ("small", "medium", "large")}
    ranked |= {f"AR{most}": AverageRecall(names, matcher, most) for most in (1, 10, 100)}
    return ranked | {"froc": Froc(names, matcher)} | _shown(names, matcher, threshold)


def segmentation(names: Sequence[str], spacing: Sequence[float] = ()) -> dict[str, Metric]:
    """A class for every pixel; mIoU decides: every class counts the same, however few its pixels. `spacing` as in `Hd95`."""
    regions: dict[str, Metric] = {"mIoU": Miou(names), "dice": Dice(names), "dice_picture": Dice(names, "picture")}
    regions |= {"pixel_accuracy": PixelAccuracy(names), "boundary_f1": BoundaryF1(names), "hd95": Hd95(names, spacing)}
    ranked: dict[str, Metric] = {"pixel_auc": PixelAuc(names)} if len(names) == 2 else {}
    return regions | ranked | {"pixel_ece": PixelEce(names)}


def instances(names: Sequence[str], threshold: float = 0.5) -> dict[str, Metric]:
    """Objects with outlines; mask mAP decides: it needs no threshold. All others are of the objects that people see, as in `detection`."""
    matcher, pairing = Matcher(names, overlap, areas), Pairing(names, threshold)
    ranked: dict[str, Metric] = {"mask_mAP": MeanAp(names, matcher)}
    ranked |= {"mask_AP50": MeanAp(names, matcher, 0.5), "mask_AP75": MeanAp(names, matcher, 0.75)}
    quality: dict[str, Metric] = {"PQ": Pq(names, "PQ", pairing), "SQ": Pq(names, "SQ", pairing), "RQ": Pq(names, "RQ", pairing)}
    quality |= {"AP_nuclei": ApNuclei(names, pairing=pairing), "AP_nuclei_50": ApNuclei(names, 1, pairing)}
    return ranked | quality | _shown(names, matcher, threshold)


def restoration(names: Sequence[str], channel: str = "auto", border: int = 0, features: str = "") -> dict[str, Metric]:
    """A picture for a picture; PSNR decides, as in papers. `channel` and `border` as in `Psnr`: numbers with others cannot be compared.

    Where `features` names eyes, also how far they see both apart: `lpips` with the weights of LPIPS, `perceptual` without.
    """
    kinds = {"psnr": Psnr, "ssim": Ssim, "gain": Gain}
    found: dict[str, Metric] = {key: kind(names, channel, border) for key, kind in kinds.items()}
    if features:
        apart = Perceptual(names, features, border)
        found["lpips" if apart.file else "perceptual"] = apart
    return found


def stylization(names: Sequence[str], judge: str, paintings: Paintings) -> dict[str, Metric]:
    """A picture in the style of another; how far it is from the style decides. `judge` and `paintings` as in `Style`."""
    return {"style": Style(names, judge, paintings), "content": Content(names, judge)}


def reconstruction(names: Sequence[str]) -> dict[str, Metric]:
    """A picture drawn again; how well good ones are decides, since validation may hold no others."""
    told: dict[str, Metric] = {"reconstruction": Reconstruction(names), "anomaly_auroc": AnomalyAuroc(names)}
    return told | {f"anomaly_{of}": AnomalyShare(names, of) for of in ("recall", "precision")}


def generation(names: Sequence[str], features: str = "random") -> dict[str, Metric]:
    """Pictures drawn from chance; KID decides: it is the same number however few there are. `features` as in `BySight`."""
    apart: dict[str, Metric] = {"kid": Kid(names, features), "fid": Fid(names, features)}
    covered: dict[str, Metric] = {of: Manifold(names, of, features) for of in ("precision", "recall")}
    least: dict[str, Metric] = {"kid_real": Kid(names, features, real=True), "fid_real": Fid(names, features, real=True)}
    return apart | covered | {"copied": Copied(names)} | least


def _shown(names: Sequence[str], matcher: Matcher, threshold: float) -> dict[str, Metric]:
    kinds = {"precision": BoxPrecision, "recall": BoxRecall, "f1": BoxF1, "d_ece": DEce}
    return {key: kind(names, matcher, threshold) for key, kind in kinds.items()}


def _averaged(names: Sequence[str]) -> dict[str, Metric]:
    kinds = {"precision": Precision, "recall": Recall, "f1": F1}
    return {f"{key}_{average}": kind(names, average) for key, kind in kinds.items() for average in AVERAGES}


def _of_probabilities(names: Sequence[str], several: bool) -> dict[str, Metric]:
    ranked = {"roc_auc": RocAuc(names), "average_precision": AveragePrecision(names)}
    return ranked | {"log_loss": LogLoss(names, several), "brier": Brier(names, several), "ece": Ece(names, several)}
