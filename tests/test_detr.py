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
from omma.models._detr_library import QUERIES, whole
from omma.models._detr_sizes import SIZES, Size
from omma.models.making import build, names
from omma.tasks.detect import Detect
from omma.testing import check_model

SIDE, CLASSES = 64, 3
FINE, RT, RF = "transformers/dfine-tiny", "transformers/rtdetrv2-tiny", "transformers/rfdetr-tiny"
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
VIT = {
    "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 3, "out_indices": [1, 3], "patch_size": 16, "num_windows": 2,
    "image_size": SIDE, "use_mask_token": False,
}  # fmt: skip
GROUPS = 3
GROUPED = {
    "d_model": 16, "decoder_ffn_dim": 16, "decoder_layers": 2, "decoder_self_attention_heads": 2, "decoder_cross_attention_heads": 2,
    "decoder_n_points": 2, "group_detr": GROUPS, "dropout": 0.0, "c2f_num_blocks": 1,
}  # fmt: skip
RESNET = {"hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4, "layer_type": "basic", "embedding_size": 8}
TINY = {
    FINE: Size("DFine", "nobody/dfine-tiny", HGNET | {"out_indices": [3, 4]}, WIDTHS | LEVELS),
    RT: Size(
        "RTDetrV2", "nobody/rtdetr-tiny", RESNET,
        WIDTHS | {"encoder_in_channels": [8, 16, 16], "decoder_in_channels": [16] * 3, "decoder_n_points": 2},
    ),
    RF: Size("RfDetr", "nobody/rfdetr-tiny", VIT, GROUPED),
}  # fmt: skip
# Tensors of the layers that tell classes apart: three with biases and the words of the noisy copies; one and one a group.
ROWS = {FINE: 7, RT: 7, RF: 2 * (1 + GROUPS)}
ZERO_TO_ONE = {"mean": [0.0] * 3, "std": [1.0] * 3}
COLOURS = {FINE: ZERO_TO_ONE, RT: ZERO_TO_ONE, RF: {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}}
# RF-DETR starts from boxes of a twentieth of the side, which grow slowly where nothing has been learned.
STEPS = {FINE: 12, RT: 12, RF: 48}
# RF-DETR in millions of weights, as published.
PUBLISHED = {"nano": 30.5, "small": 32.1, "medium": 33.7, "large": 33.9}


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
    net = whole(name, 3, outputs)
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
    assert len(rows) == ROWS[name] and all(len(value) == CLASSES for value in rows.values())
    assert net.origin == {"weights": "权重", "licence": "unknown"} | COLOURS[name]
    # The file alone, under the other names its layers go by.
    state = load_file(tmp_path / "权重" / "model.safetensors")
    assert not any(".o_proj" in key for key in state), "old names, as on the hub"
    save_file(renamed(name, state, theirs), tmp_path / "a.safetensors")
    grey: Any = build(name, channels=1, size=SIDE, outputs=CLASSES, pretrained=str(tmp_path / "a.safetensors"))
    other = grey.state_dict()
    for key in shared:
        if other[key].shape == mine[key].shape:
            torch.testing.assert_close(other[key], mine[key], msg=key)
    (first,) = [key for key in shared if other[key].shape != mine[key].shape]
    torch.testing.assert_close(other[first], mine[first].sum(1, keepdim=True))
    assert grey.origin["mean"] == pytest.approx([sum(COLOURS[name]["mean"]) / 3])


def renamed(name: str, state: dict[str, torch.Tensor], theirs: Any) -> dict[str, torch.Tensor]:
    """A file's tensors under other names the library reads: those of its own classes today, or of layers listed twice the other one."""
    if name == RF:
        assert "transformer.decoder.norm.weight" in state and "model.decoder.layernorm.weight" not in state, "its authors' names"
        beside = {"model.backbone.backbone.embeddings.mask_token": torch.zeros(1, 16)}  # in every published file, and read by nobody
        return {key: value.contiguous() for key, value in theirs.state_dict().items()} | beside
    kept = {key: value for key, value in state.items() if not key.startswith(("class_embed.", "bbox_embed."))}
    return {key.replace("model.decoder.bbox_embed", "bbox_embed"): value for key, value in kept.items()}


def same(name: str, net: Any) -> Any:
    """The library's own network with the weights of ours, in evaluation, and as many queries as small pictures have places."""
    theirs = whole(name, 3, CLASSES).eval()
    theirs.load_state_dict({key.removeprefix("body."): value for key, value in net.state_dict().items()}, strict=False)
    if name == RF:
        layers, places = [theirs.class_embed, *theirs.model.enc_out_class_embed], (SIDE // 16) ** 2
        theirs.model.num_queries = places
    else:
        layers = [*theirs.model.decoder.class_embed, theirs.model.enc_score_head]
        places = sum((SIDE // stride) ** 2 for stride in theirs.config.feat_strides)
    for layer, ours in zip(layers, net.head, strict=False):
        layer.load_state_dict(ours.state_dict())
    theirs.config.num_queries = places
    return theirs


@pytest.mark.parametrize("name", TINY)
def test_answers_are_the_library_s(name):
    net = one(name).eval()
    theirs = same(name, net)
    with torch.no_grad():
        found, wanted = net(pictures()), theirs(pictures())
    assert wanted.logits.shape[1] == theirs.config.num_queries
    best = wanted.logits.sigmoid().flatten(1).sort(descending=True)
    count = found["probabilities"].shape[1]
    torch.testing.assert_close(found["probabilities"], best.values[:, :count], rtol=1e-4, atol=1e-5)
    for row in range(2):
        query, kind = divmod(int(best.indices[row, 0]), CLASSES)
        x, y, w, h = (wanted.pred_boxes[row, query] * SIDE).tolist()
        box = torch.tensor([x - w / 2, y - h / 2, x + w / 2, y + h / 2]).clamp(0, SIDE)
        near = (found["boxes"][row] - box).abs().amax(1) < 1e-2
        assert (near & (found["classes"][row] == kind)).any()


def test_groups_of_queries_learn_side_by_side_and_one_of_them_answers():
    net, given = one(RF), truth()
    labels = [
        {"class_labels": torch.tensor([0, 2]), "boxes": torch.tensor([[24.0, 19, 32, 22], [45, 40, 30, 40]]) / SIDE},
        {"class_labels": torch.tensor([1]), "boxes": torch.tensor([[12.0, 30, 16, 40]]) / SIDE},
    ]
    theirs = same(RF, net.eval())
    theirs.config.group_detr = 1
    with torch.no_grad():
        wanted = theirs(pictures(), labels=labels)
        torch.testing.assert_close(sum(net(pictures(), given).values()), wanted.loss)  # an object is looked for once, not in every group
    sum(net.train()(pictures(), given).values()).backward()
    places = (SIDE // 16) ** 2
    for table in (net.body.model.query_feat, net.body.model.reference_point_embed):
        reached = table.weight.grad.unflatten(0, (GROUPS, QUERIES)).abs().sum(-1) > 0
        assert reached[:, :places].all() and not reached[:, places:].any(), "of each group the first, as many as there are places"
    assert net.body.model.query_feat.weight.shape[0] == GROUPS * QUERIES


def test_frames_with_more_places_than_queries_take_every_query():
    net, side = one(RF), 320
    assert len(net.eval()(pictures(1, size=side))["boxes"][0]) == 100
    boxes = {"boxes": truth()["boxes"][:1], "classes": torch.tensor([[0, 2]]), "ignored": torch.zeros(1, 2, dtype=torch.bool)}
    sum(net.train()(pictures(1, size=side), boxes).values()).backward()
    assert (net.body.model.query_feat.weight.grad.abs().sum(-1) > 0).all()


@pytest.mark.parametrize("name", TINY)
def test_steps_lower_the_loss_and_reach_the_weights(name):
    net = one(name).train()
    before = copy.deepcopy(net.state_dict())

    def loss() -> torch.Tensor:
        torch.manual_seed(5)  # the same noisy copies of the truth
        return sum(net(pictures(), truth()).values())  # type: ignore[return-value]

    learned = {key: p for key, p in net.named_parameters() if p.requires_grad}
    optimizer, told = torch.optim.Adam(learned.values(), lr=3e-3), []
    for _ in range(STEPS[name]):  # one alone may change which query answers for which object
        told.append(loss())
        optimizer.zero_grad()
        told[-1].backward()
        optimizer.step()
    assert min(told[-3:]) < 0.9 * told[0], [value.item() for value in told]
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


@pytest.mark.parametrize("name", TINY)
def test_what_inference_leaves_behind_can_be_learned_through(name):
    net = one(name)
    with torch.inference_mode():
        net.eval()(pictures(size=96))
    sum(net.train()(pictures(size=96), truth()).values()).backward()


@pytest.mark.parametrize("name", TINY)
def test_an_explanation_can_stand_between_body_and_answer(name):
    net = one(name).eval()
    with torch.no_grad():
        maps, plain = net.maps(pictures()), net(pictures())["probabilities"]
        net.maps = lambda _: maps
        torch.testing.assert_close(net(pictures())["probabilities"], plain)
        net.maps = lambda _: torch.zeros_like(maps)
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


@pytest.mark.parametrize(("file", "wanted"), [(RT, FINE), (RF, FINE), (FINE, RF), (RT, RF)])
def test_weights_of_another_family_are_refused(tmp_path, file, wanted):
    published(tmp_path / "other", file)
    with pytest.raises(OmmaError, match=f"do not fit {wanted}"):
        build(wanted, channels=3, size=SIDE, outputs=2, pretrained=str(tmp_path / "other"))


@pytest.mark.parametrize("change", [{"image_size": 96}, {"patch_size": 8}, {"num_hidden_layers": 4, "out_indices": [1, 4]}])
def test_weights_of_another_size_are_refused(tmp_path, monkeypatch, change):
    published(tmp_path / "small", RF)
    other = "transformers/rfdetr-other"
    monkeypatch.setitem(SIZES, other, Size("RfDetr", "nobody/other", VIT | change, GROUPED))
    with pytest.raises(OmmaError, match=f"do not fit {other}"):
        build(other, channels=3, size=SIDE, outputs=2, pretrained=str(tmp_path / "small"))


def test_what_is_no_weights_file_is_told_in_one_line(tmp_path):
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
    assert {"transformers/dfine-nano", "transformers/rtdetrv2-r18", "transformers/rfdetr-nano"} <= set(names("transformers"))
    assert not any("rfdetr" in name and "xl" in name for name in names("transformers")), "another licence"
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
@pytest.mark.parametrize("size", PUBLISHED)
def test_rf_detr_is_as_large_as_published(size):
    with torch.device("meta"):
        net = whole(f"transformers/rfdetr-{size}", 3, 91)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(PUBLISHED[size], abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
@pytest.mark.filterwarnings("ignore")
def test_they_leave_the_house(tmp_path, name):
    net = one(name).eval()
    wanted, found = in_onnx(net, pictures(), pictures(3), tmp_path / "net.onnx")
    torch.testing.assert_close(found["probabilities"], wanted["probabilities"], rtol=1e-3, atol=1e-4)
    session = pytest.importorskip("onnxruntime").InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    alone = dict(zip(wanted, session.run(None, {"x": pictures(1).numpy()}), strict=True))
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(alone["probabilities"]), net(pictures(1))["probabilities"], rtol=1e-3, atol=1e-4)
