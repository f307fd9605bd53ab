"""What methods are called by those who wrote them."""

from collections import Counter
from collections.abc import Mapping

# key of a method in commands and files -> its name in what people read
_NAMES = {
    "allfg": "All foreground",
    "cascadepsp": "CascadePSP",
    "contextnet": "ContextNet",
    "cosnet": "COSNet",
    "ellipse": "Centred ellipse",
    "enet": "ENet",
    "espnet": "ESPNet",
    "espnetv2": "ESPNetv2",
    "grabcut": "GrabCut",
    "kmeans": "K-Means",
    "maskrcnn": "Mask R-CNN",
    "masks": "External masks",
    "matnet": "MATNet",
    "meanmask": "Mean mask",
    "meanshift": "Mean Shift",
    "mobilenetv3": "MobileNetV3",
    "modnet": "MODNet",
    "official_modnet": "MODNet",
    "official_u2netp": "U²-Net-p",
    "onnx": "External ONNX",
    "pdnet": "PDNet",
    "portraitnet": "PortraitNet",
    "rcrnet": "RCRNet",
    "rsudisnet": "RSUDISNet",
    "sinet": "SINet",
    "stdc": "STDC",
    "u2net": "U²-Net",
    "u2netp": "U²-Net-p",
    "unet": "U-Net",
    "unet_smp": "U-Net (smp)",
}


def shown_name(method: str) -> str:
    """The authors' name of a method, such as `U²-Net-p` of `u2netp`; others are called by their key."""
    return _NAMES.get(method, method)


def shown_label(label: str, method: str) -> str:
    """A run's label with its method called as by `shown_name`: `U²-Net-p seed=1` of `u2netp seed=1`."""
    rest = label.removeprefix(method)
    return shown_name(method) + rest if label.startswith(method) and rest[:1] in ("", " ", ":") else label


def told_apart(methods: Mapping[str, str]) -> dict[str, str]:
    """Label -> `shown_label`, of the methods by their labels; with the label where two would read alike.

    MODNet that was trained here and MODNet with its authors' weights are two methods of one name.
    """
    shown = {label: shown_label(label, method) for label, method in methods.items()}
    often = Counter(shown.values())
    return {label: name if often[name] == 1 else f"{name} ({label})" for label, name in shown.items()}
