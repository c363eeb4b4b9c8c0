"""Detectors of transformers: from weights on disk only, told apart from what they were published for, as exportable as our own."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("transformers", reason="transformers is not installed (pip install 'omma[detr]')")

from models_at_hand import in_onnx
from omma import bundle as bundles
from omma.bundle import Bundle
from omma.data.views import Views
from omma.errors import OmmaError
from omma.models import _detr as detr
from omma.models._detr_sizes import SIZES, Size
from omma.models.making import build, names
from omma.tasks.detect import Detect
from omma.testing import check_model

SIDE, CLASSES = 64, 3
FINE, RT = "transformers/dfine-tiny", "transformers/rtdetrv2-tiny"
WIDTHS = {
    "encoder_hidden_dim": 16, "encoder_ffn_dim": 16, "d_model": 16, "decoder_ffn_dim": 16, "decoder_layers": 2,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_denoising": 8, "hidden_expansion": 0.5,
}  # fmt: skip
HGNET = {
    "stem_channels": [3, 8, 8], "stage_in_channels": [8, 16, 16, 16], "stage_mid_channels": [8] * 4, "stage_out_channels": [16, 16, 16, 32],
    "hidden_sizes": [16, 16, 16, 32], "stage_num_blocks": [1] * 4, "stage_numb_of_layers": [1] * 4, "use_learnable_affine_block": True,
}  # fmt: skip
LEVELS = {
    "num_feature_levels": 2, "feat_strides": [16, 32], "encode_proj_layers": [1], "encoder_in_channels": [16, 32],
    "decoder_in_channels": [16, 16], "decoder_n_points": [2, 2], "depth_mult": 0.34, "lqe_hidden_dim": 8,
}  # fmt: skip
RESNET = {"hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4, "layer_type": "basic", "embedding_size": 8}
TINY = {
    FINE: Size("DFine", "nobody/dfine-tiny", HGNET | {"out_indices": [3, 4]}, WIDTHS | LEVELS),
    RT: Size(
        "RTDetrV2", "nobody/rtdetr-tiny", RESNET,
        WIDTHS | {"encoder_in_channels": [8, 16, 16], "decoder_in_channels": [16] * 3, "decoder_n_points": 2},
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    for name, size in TINY.items():
        monkeypatch.setitem(SIZES, name, size)
    monkeypatch.setenv("OMMA_OFFLINE", "1")


def pictures(count: int = 2, channels: int = 3, size: int = SIDE) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(3))


def truth() -> dict[str, torch.Tensor]:
    boxes = torch.tensor([[[8.0, 8, 40, 30], [30, 20, 60, 60]], [[4, 10, 20, 50], [0, 0, 0, 0]]])
    classes = torch.tensor([[0, 2], [1, -1]])
    return {"boxes": boxes, "classes": classes, "ignored": torch.zeros(2, 2, dtype=torch.bool)}


def published(where: Path, name: str, outputs: int = 80) -> Any:
    """A network of the library with drawn weights, saved as those of the hub are; the network."""
    torch.manual_seed(1)
    net = detr.whole(name, 3, outputs)
    net.save_pretrained(where)
    return net


def one(name: str, outputs: int = CLASSES) -> Any:
    torch.manual_seed(0)
    return build(name, channels=3, size=SIDE, outputs=outputs)


@pytest.mark.parametrize("name", TINY)
def test_they_keep_their_promises(name):
    check_model(name, size=SIDE, outputs=CLASSES)
    check_model(name, size=40, outputs=1, channels=1)


@pytest.mark.parametrize("name", TINY)
def test_weights_of_a_folder_become_the_body_and_the_head_is_made_anew(tmp_path, name):
    theirs = published(tmp_path / "权重", name)
    net: Any = build(name, channels=3, size=SIDE, outputs=CLASSES, pretrained=str(tmp_path / "权重"))
    mine, wanted = net.state_dict(), theirs.state_dict()
    shared = [key for key in mine if key.startswith("body.") and key.removeprefix("body.") in wanted]
    assert len(shared) > 50
    assert {key.removeprefix("body.") for key in mine if key.startswith("body.")} <= wanted.keys(), "names are the library's"
    for key in shared:
        torch.testing.assert_close(mine[key], wanted[key.removeprefix("body.")], msg=key)
    rows = {key: value for key, value in mine.items() if key.startswith("head.")}
    assert len(rows) == 7 and all(len(value) == CLASSES for value in rows.values())
    assert net.origin == {"weights": "权重", "licence": "unknown", "mean": [0.0] * 3, "std": [1.0] * 3}
    # The file alone, its twice-listed layers under their other names.
    state = load_file(tmp_path / "权重" / "model.safetensors")
    assert not any(".o_proj" in key for key in state), "old names, as on the hub"
    kept = {key: value for key, value in state.items() if not key.startswith(("class_embed.", "bbox_embed."))}
    save_file({key.replace("model.decoder.bbox_embed", "bbox_embed"): value for key, value in kept.items()}, tmp_path / "a.safetensors")
    other = build(name, channels=1, size=SIDE, outputs=CLASSES, pretrained=str(tmp_path / "a.safetensors")).state_dict()
    for key in shared:
        if other[key].shape == mine[key].shape:
            torch.testing.assert_close(other[key], mine[key], msg=key)
    (first,) = [key for key in shared if other[key].shape != mine[key].shape]
    torch.testing.assert_close(other[first], mine[first].sum(1, keepdim=True))


def test_answers_are_the_library_s(tmp_path):
    for name in TINY:
        net = one(name).eval()
        theirs = detr.whole(name, 3, CLASSES).eval()
        state = {key.removeprefix("body."): value for key, value in net.state_dict().items() if key.startswith("body.")}
        *layers, first, _ = net.head
        theirs.load_state_dict(state, strict=False)
        theirs.model.decoder.class_embed.load_state_dict(torch.nn.ModuleList(layers).state_dict())
        theirs.model.enc_score_head.load_state_dict(first.state_dict())
        theirs.config.num_queries = net.body.config.num_queries = sum((SIDE // s) ** 2 for s in theirs.config.feat_strides)
        with torch.no_grad():
            found, wanted = net(pictures()), theirs(pictures())
        chances = wanted.logits.sigmoid()
        best = chances.flatten(1).sort(descending=True)
        count = found["probabilities"].shape[1]
        torch.testing.assert_close(found["probabilities"], best.values[:, :count], rtol=1e-4, atol=1e-5)
        for row in range(2):
            query, kind = divmod(int(best.indices[row, 0]), CLASSES)
            x, y, w, h = (wanted.pred_boxes[row, query] * SIDE).tolist()
            box = torch.tensor([x - w / 2, y - h / 2, x + w / 2, y + h / 2]).clamp(0, SIDE)
            near = (found["boxes"][row] - box).abs().amax(1) < 1e-2
            assert (near & (found["classes"][row] == kind)).any()


@pytest.mark.parametrize("name", TINY)
def test_steps_lower_the_loss_and_reach_the_weights(name):
    net = one(name).train()
    before = copy.deepcopy(net.state_dict())

    def loss() -> torch.Tensor:
        torch.manual_seed(5)  # the same noisy copies of the truth
        return sum(net(pictures(), truth()).values())  # type: ignore[return-value]

    learned = {key: p for key, p in net.named_parameters() if p.requires_grad}
    optimizer, told = torch.optim.Adam(learned.values(), lr=3e-3), []
    for _ in range(12):  # one alone may change which query answers for which object
        told.append(loss())
        optimizer.zero_grad()
        told[-1].backward()
        optimizer.step()
    assert min(told[-3:]) < 0.9 * told[0], [float(value) for value in told]
    moved = [key for key in learned if not torch.equal(before[key], net.state_dict()[key])]
    assert any(key.startswith("body.model.backbone") for key in moved) and any(key.startswith("head.") for key in moved)
    assert not any("reg_scale" in key or key.endswith("decoder.up") for key in learned)


@pytest.mark.parametrize("name", TINY)
def test_no_objects_and_ignored_ones(name):
    net, given = one(name).train(), truth()
    losses = net(pictures(), given | {"classes": torch.full((2, 2), -1)})
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert not [key for key, p in net.named_parameters() if p.requires_grad and p.grad is None]
    with torch.no_grad():
        net.eval()
        fewer = net(pictures(), given | {"classes": torch.tensor([[0, -1], [1, -1]])})
        ignored = net(pictures(), given | {"ignored": torch.tensor([[False, True], [False, False]])})
    assert fewer == ignored


def test_what_inference_leaves_behind_can_be_learned_through():
    for name in TINY:
        net = one(name)
        with torch.inference_mode():
            net.eval()(pictures(size=96))
        sum(net.train()(pictures(size=96), truth()).values()).backward()


def test_an_explanation_can_stand_between_body_and_answer():
    for name in TINY:
        net = one(name).eval()
        with torch.no_grad():
            maps, plain = net.maps(pictures()), net(pictures())["probabilities"]
            net.maps = lambda _, maps=maps: maps
            torch.testing.assert_close(net(pictures())["probabilities"], plain)
            net.maps = lambda _, maps=maps: torch.zeros_like(maps)
            assert not torch.equal(net(pictures())["probabilities"], plain)


@pytest.mark.parametrize("name", TINY)
def test_a_bundle_brings_the_answers_back(tmp_path, name):
    task = Detect(["猫", "dog", "bird"])
    net = one(name).eval()
    card = {"model": name, "model_settings": {}, "recipe": {}, "scores": {}, "data": {}}
    made = Bundle(task, task.nets(net), Views(SIDE, 3, "squash", (0.0,) * 3, (1.0,) * 3), {"threshold": 0.01}, card)
    again = bundles.open(made.save(tmp_path / "模型"))
    with torch.no_grad():
        torch.testing.assert_close(again.net(pictures()), net(pictures()), rtol=0, atol=0)


def test_what_does_not_fit_is_told_in_one_line(tmp_path):
    published(tmp_path / "rt", RT)
    with pytest.raises(OmmaError, match="do not fit transformers/dfine-tiny"):
        build(FINE, channels=3, size=SIDE, outputs=2, pretrained=str(tmp_path / "rt"))
    (tmp_path / "pickle").mkdir()
    (tmp_path / "pickle" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(OmmaError, match="no such file"):
        build(FINE, channels=3, size=SIDE, outputs=2, pretrained=str(tmp_path / "pickle"))
    with pytest.raises(OmmaError, match="only: other formats"):
        build(FINE, channels=3, size=SIDE, outputs=2, pretrained=str(tmp_path / "pickle" / "pytorch_model.bin"))


def test_nothing_is_fetched_where_that_is_forbidden(monkeypatch, tmp_path):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    where = "https://huggingface.co/ustc-community/dfine-nano-coco/resolve/main/model.safetensors"
    with pytest.raises(OmmaError, match=rf"OMMA_OFFLINE.*{where} by hand"):
        build("transformers/dfine-nano", channels=3, size=SIDE, outputs=2, pretrained="yes")
    published(tmp_path / "hub", FINE)
    kept = str(tmp_path / "hub" / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: kept)
    net = build(FINE, channels=3, size=SIDE, outputs=2, pretrained="yes")  # it is here already
    assert net.origin["weights"] == "nobody/dfine-tiny" and net.origin["licence"] == "Apache-2.0"


def test_training_from_scratch_is_refused(tmp_path):
    import omma

    with pytest.raises(OmmaError, match=r"never trained from scratch.*pretrained=yes.*anchor-free"):
        omma.train("shapes", f"size={SIDE}", task="detect", model=FINE, out=str(tmp_path / "run"), budget="2 steps")
    assert not (tmp_path / "run" / "bundle").exists()


def test_they_are_among_the_names():
    assert {"transformers/dfine-nano", "transformers/rtdetrv2-r18"} <= set(names("transformers"))
    with pytest.raises(OmmaError, match="dfine-nano"):
        build("transformers/dfine-nan", channels=3, size=64, outputs=2)
    with pytest.raises(OmmaError, match="someone/something"):
        build("transformers/someone/something", channels=3, size=64, outputs=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SIZES if name not in TINY])
def test_all_sizes_can_be_built(name):
    net = build(name, channels=3, size=SIDE, outputs=CLASSES).eval()
    with torch.no_grad():
        assert net(pictures())["boxes"].shape[2] == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
@pytest.mark.filterwarnings("ignore")
def test_they_leave_the_house(tmp_path, name):
    wanted, found = in_onnx(one(name).eval(), pictures(), pictures(3), tmp_path / "net.onnx")
    torch.testing.assert_close(found["probabilities"], wanted["probabilities"], rtol=1e-3, atol=1e-4)
