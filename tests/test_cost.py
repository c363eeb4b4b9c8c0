"""What a network costs is counted wherever products run: as the library publishes it, and as one works it out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from omma.models.cost import cost
from omma.models.making import build
from omma.models.network import Network

QUICK = ["resnet50", "vit_b_16", "swin_t"]
# Not SqueezeNet: its last convolution, of the classes, stands before the mean there and behind it here.
MORE = [
    "densenet121", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "alexnet", "vgg16_bn", "googlenet", "inception_v3", "maxvit_t",
    "mobilenet_v3_large", "mnasnet1_0", "regnet_y_400mf", "shufflenet_v2_x1_0", "efficientnet_v2_s", "resnext50_32x4d",
]  # fmt: skip


class Whole(Network):
    """Any module, as a network of one picture."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.module, self.shape = module, shape

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.module(pictures.reshape(self.shape))


class Attends(nn.Module):
    """Attention of a picture's rows to themselves."""

    def __init__(self, weights: bool) -> None:
        super().__init__()
        self.attend, self.weights = nn.MultiheadAttention(8, 2, batch_first=True), weights

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.attend(rows, rows, rows, need_weights=self.weights)[0]


class Products(nn.Module):
    """What no layer stands for."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        whole = torch.einsum("bij,bjk->bik", rows, rows) + rows @ rows
        return whole + nn.functional.scaled_dot_product_attention(rows, rows, rows)


# A picture of one channel, 8 × 8, read in the shape beside it; multiply-adds by hand.
BY_HAND = {
    "dense": (nn.Linear(64, 5), (1, 64), 64 * 5),
    "dense on tokens": (nn.Linear(8, 5), (1, 8, 8), 8 * 8 * 5),
    "convolution": (nn.Conv2d(1, 3, 3, stride=2, padding=1), (1, 1, 8, 8), 4 * 4 * 3 * 9),
    "in groups": (nn.Conv2d(4, 8, 3, padding=1, groups=4), (1, 4, 4, 4), 4 * 4 * 8 * 9),
    "transposed": (nn.ConvTranspose2d(1, 3, 4, 2, 1), (1, 1, 8, 8), 8 * 8 * 3 * 16),
    "of volumes": (nn.Conv3d(1, 3, 3, padding=1), (1, 1, 4, 4, 4), 64 * 3 * 27),
    "attention": (Attends(False), (1, 8, 8), 4 * 8 * 8 * 8 + 2 * 8 * 8 * 8),
    "attention that says its shares": (Attends(True), (1, 8, 8), 4 * 8 * 8 * 8 + 2 * 8 * 8 * 8),
    "recurrence": (nn.GRU(8, 5), (8, 1, 8), 8 * 3 * 5 * (8 + 5)),
    "memory": (nn.LSTM(8, 5), (8, 1, 8), 8 * 4 * 5 * (8 + 5)),
    "no layer": (Products(), (1, 8, 8), 4 * 8 * 8 * 8),
}


def agrees_with_torchvision(name: str) -> None:
    """Within 1 % of the multiply-adds torchvision publishes (it calls them GFLOPS), at the size of its first weights."""
    import torchvision

    kinds = torchvision.models.get_model_weights(name)
    weights = getattr(kinds, "IMAGENET1K_V1", kinds.DEFAULT)
    crop = weights.transforms().crop_size[0]
    with torch.device("meta"):
        net = build(f"torchvision/{name}", channels=3, size=crop, outputs=1000)
    assert cost(net, 3, crop)["macs"] == pytest.approx(1e9 * weights.meta["_ops"], rel=0.01)


@pytest.mark.parametrize("name", QUICK)
def test_as_torchvision_publishes(name):
    agrees_with_torchvision(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_more_as_torchvision_publishes(name):
    agrees_with_torchvision(name)


@pytest.mark.parametrize("what", BY_HAND)
def test_products_counted_by_hand(what):
    module, shape, macs = BY_HAND[what]
    assert cost(Whole(module, shape), 1, 8)["macs"] == macs


def test_a_small_network_by_hand():
    """Two convolutions and a dense layer: every number of its card."""
    body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(32, 10))
    weights, maps = (4 * 9 + 4) + (2 * 4 * 9 + 2) + (320 + 10), 256 + 256 + 32 + 32 + 10
    macs = 64 * 4 * 9 + 16 * 2 * 4 * 9 + 320
    found = cost(Whole(body, (1, 1, 8, 8)), 1, 8)
    assert found == {"parameters": weights, "layers": 3, "macs": macs, "memory": {"weights": 4 * weights, "maps": 4 * maps}}


def test_counting_leaves_a_network_as_it_was():
    net = build("lenet", channels=1, size=32, outputs=10).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    cost(net, 1, 32)
    assert net.training and all(p.requires_grad for p in net.parameters()) and not net.c1._forward_hooks
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in before.items())


def test_what_cannot_run_on_shapes_alone_says_none():
    class Looks(nn.Module):
        def forward(self, row: torch.Tensor) -> torch.Tensor:
            return row if row.sum().item() > 0 else -row

    found = cost(Whole(Looks(), (1, 64)), 1, 8)
    assert found["macs"] is None and found["memory"] is None and found["parameters"] == 0


def test_a_network_whose_layers_read_weights_is_counted():
    """Learned queries (of detection transformers) go into a layer as its input."""

    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.queries, self.layer = nn.Parameter(torch.zeros(9, 64)), nn.Linear(64, 4)

        def forward(self, row: torch.Tensor) -> torch.Tensor:
            return self.layer(row) + self.layer(self.queries[:3])

    assert cost(Whole(Asks(), (1, 64)), 1, 8)["macs"] == 4 * 64 * 4
