"""Networks of segmentation-models-pytorch: architectures, encoders and their weights."""

import os
import subprocess
import sys

import pytest
import torch
import torchvision

from kolbench.errors import ConfigError, WeightsError
from kolbench.models.unet_smp import ARCHITECTURES, SmpNetwork, SmpSegmenter, normalisation
from tests.helpers.networks import count

# architecture -> parameters over MobileNetV2, counted once and kept
SMP_PARAMETERS = {
    "Unet": 6_628_945,
    "UnetPlusPlus": 6_824_721,
    "Linknet": 4_319_859,
    "FPN": 4_215_425,
    "DeepLabV3Plus": 4_378_513,
}


@pytest.mark.parametrize("architecture", SMP_PARAMETERS)
def test_architectures(architecture):
    segmenter = SmpSegmenter(64, architecture=architecture).eval()
    assert count(segmenter.network) == SMP_PARAMETERS[architecture]
    with torch.no_grad():
        assert segmenter.predict(torch.rand(1, 3, 33, 47)).alpha.shape == (1, 1, 33, 47)


def test_every_architecture_is_smps_and_takes_the_same_arguments():
    import segmentation_models_pytorch as smp

    theirs = {cls.__name__ for cls in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    assert theirs - {"DPT"} == set(ARCHITECTURES)


def test_the_wrapper_is_the_smp_model():
    import segmentation_models_pytorch as smp

    model = smp.Unet("mobilenet_v2", encoder_weights=None, classes=1).eval()
    wrapped = SmpNetwork(model)
    assert list(wrapped.state_dict()) == list(model.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(wrapped(image), model(image).sigmoid())


def test_unknown_encoders_and_architectures():
    with pytest.raises(ConfigError, match=r"model\.encoder=resnet18\? All of them: https://smp\."):
        SmpSegmenter(64, encoder="resnet19")
    with pytest.raises(ConfigError, match=r"Did you mean model\.encoder=tu-resnet18\?"):
        SmpSegmenter(64, encoder="tu-resnet1888")
    with pytest.raises(ConfigError, match=r"Did you mean model\.architecture=Unet\?"):
        SmpSegmenter(64, architecture="unet")
    with pytest.raises(
        ConfigError, match=r"model\.architecture=UnetPlusPlus cannot take model\.encoder=mit_b0"
    ):
        SmpSegmenter(64, architecture="UnetPlusPlus", encoder="mit_b0")


def test_normalisation_of_encoders():
    half = ((0.5,) * 3, (0.5,) * 3)
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    for encoder in ("xception", "inceptionv4", "inceptionresnetv2", "timm-tf_efficientnet_lite0"):
        assert normalisation(encoder) == half
    for encoder in (
        "mobilenet_v2",
        "resnet18",
        "vgg16",
        "efficientnet-b0",
        "tu-resnet18",
        "tu-no_such_thing",
    ):
        assert normalisation(encoder) == imagenet
    # timm's own table
    assert normalisation("tu-mobilenetv3_large_100.miil_in21k") == ((0.0,) * 3, (1.0,) * 3)
    mean, std = normalisation("dpn68")
    assert mean == pytest.approx((0.48627450980392156, 0.4588235294117647, 0.40784313725490196))
    assert std == pytest.approx((0.23482446870963955,) * 3)


def test_the_imagenet_file_gives_torchvisions_features(shared):
    file = shared / "weights" / "mobilenet_v2-b0353104.pth"
    segmenter = SmpSegmenter(64, backbone_weights=str(file)).eval()
    theirs = torchvision.models.mobilenet_v2(weights=None).eval()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        features = segmenter.network.encoder(image)
        torch.testing.assert_close(features[-1], theirs.features(image), atol=1e-6, rtol=0)
        torch.testing.assert_close(features[1], theirs.features[:2](image), atol=1e-6, rtol=0)


def test_wrong_files(shared, tmp_path):
    with pytest.raises(WeightsError, match=r"give torchvision's mobilenet_v2 file"):
        SmpSegmenter(64, backbone_weights=str(shared / "weights" / "u2netp_from_onnx_bnrecal.pth"))
    with pytest.raises(WeightsError, match="no checkpoint file"):
        SmpSegmenter(64, backbone_weights=str(tmp_path / "absent.pth"))
    renamed = tmp_path / "mobilenet_v2-00000000.pth"
    renamed.symlink_to(shared / "weights" / "mobilenet_v2-b0353104.pth")
    with pytest.raises(WeightsError, match="is not what its name says"):
        SmpSegmenter(64, backbone_weights=str(renamed))
    with pytest.raises(WeightsError, match=r"is no file of resnet18\. .* missing: conv1\.weight"):
        SmpSegmenter(64, encoder="resnet18", backbone_weights=str(renamed.readlink()))
    with pytest.raises(WeightsError, match=r"no ImageNet weights \(only: ssl, swsl\)"):
        SmpSegmenter(64, encoder="resnext101_32x4d", backbone_weights="imagenet")


def test_a_file_for_another_encoder(tmp_path):
    torch.manual_seed(5)
    theirs = torchvision.models.resnet18(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    segmenter = SmpSegmenter(64, encoder="resnet18", backbone_weights=str(tmp_path / "resnet18.pth")).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(image))))
        expected = theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(x))))
        torch.testing.assert_close(segmenter.network.encoder(image)[-1], expected, atol=1e-5, rtol=1e-5)


OFFLINE = """
import sys, time
from pathlib import Path
import torch
from kolbench.errors import WeightsError
from kolbench.models.unet_smp import SmpSegmenter
assert not {"segmentation_models_pytorch", "timm"} & set(sys.modules)
import segmentation_models_pytorch as smp
from huggingface_hub import constants
from safetensors.torch import save_file

# a refused connection comes back at once, so that all waiting is sleep between tries; no load adds to that
slept, asleep = [], time.sleep
time.sleep = lambda seconds: (slept.append(seconds), asleep(seconds))
try:
    SmpSegmenter(64, encoder="resnet18", backbone_weights="imagenet")
except WeightsError as error:
    assert "model.backbone_weights=FILE" in str(error) and "smp's download of resnet18" in str(error), error
else:
    raise SystemExit("a refused connection went unnoticed")
assert sum(slept) < 10, slept
time.sleep = asleep
assert not constants.HF_HUB_OFFLINE

hub = smp.encoders.encoders["mobileone_s0"]["pretrained_settings"]["imagenet"]
repository = "models--" + hub["repo_id"].replace("/", "--")
folder = Path(constants.HF_HUB_CACHE, repository, "snapshots", hub["revision"])
folder.mkdir(parents=True)
torch.manual_seed(9)
cached = smp.encoders.get_encoder("mobileone_s0").state_dict()
save_file(cached, folder / "model.safetensors")
(folder / "config.json").write_text("{}")
own = SmpSegmenter(64, encoder="mobileone_s0", backbone_weights="imagenet").network.encoder.state_dict()
assert all(torch.equal(own[name], tensor) for name, tensor in cached.items())
"""


@pytest.mark.slow
def test_without_a_network_downloads_fail_fast_and_the_cache_serves(tmp_path):
    # nothing listens on port 9 (discard), so that connections are refused
    environment = {
        **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HOME": str(tmp_path),
    }
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run([sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
