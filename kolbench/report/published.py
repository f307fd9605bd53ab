"""What the papers print, as data, each with the place where it stands. Nothing here is ours."""

from collections.abc import Mapping
from typing import NamedTuple


class Size(NamedTuple):
    """A row of a table of sizes and speeds; None where the paper says nothing.

    row: the method's name in the paper. input: resolution. checkpoint: "MB" as printed.
    """

    row: str
    input: str | None
    checkpoint: float | None
    fps: float | None
    parameters: int | None


class Point(NamedTuple):
    """Scores of a method at one threshold, as printed."""

    miou: float
    acc: float
    f_beta: float


class Portrait(NamedTuple):
    """A network of the RCRNet paper's tables, as printed; None where a table leaves it out.

    row: its name there. method, settings: ours; settings are keys of the `model` group that make it the
    published one. mmacs: "FLOPs(M)". parameters: in millions. eg1800, p3m500p, p3m500np: mIoU in percent.
    """

    row: str
    method: str
    settings: Mapping[str, object]
    mmacs: int
    parameters: float
    eg1800: float
    p3m500p: float | None = None
    p3m500np: float | None = None


class SaliencySet(NamedTuple):
    """A set of the background-removal paper. name: there. u2net_mae: MAE that U2Net's own paper prints."""

    name: str
    u2net_mae: float


class Training(NamedTuple):
    """How long a paper trained, and its best epoch on validation; epochs are counted from 1."""

    epochs: int
    best_epoch: int


KOL_PAPER = (
    "Yang, Zheng, Al-Hamid, Chong, Lam: A deep learning algorithm for KOL segmentation on social media "
    "videos, 2024, doi:10.21203/rs.3.rs-3851659/v1"
)
TIKTOK_REPORT = (
    "Le Doan Phuc Minh, Nguyen Duy Dat, Phan Doan Thai Binh: Body Segmentation on TikTok images, report, "
    "University of Information Technology, VNU-HCM"
)
# our name -> the name of its row or column in the KOL paper
KOL_ROWS = {"u2net": "U2Net", "modnet": "MODNet", "rsudisnet": "RSUDISNet"}

SIZE_SOURCE = (
    f"{KOL_PAPER}, Table 1, rows U2Net, MODNet, RSUDISNet (speed on an NVIDIA 1070Ti with 8 GB); "
    f"{TIKTOK_REPORT}, parameters in 'Model', 0.686 s per image in 'Result' (FPS = 1 / 0.686)"
)
TIKTOK_SECONDS = 0.686
# method -> its row
SIZES: dict[str, Size] = {
    "u2net": Size("U2Net", "320x320", 172, 35, None),
    "modnet": Size("MODNet", "512x(width/height)", 26, 54, None),
    "rsudisnet": Size("RSUDISNet", "512x512", 30, 34, None),
    "unet": Size("U-Net", None, None, 1 / TIKTOK_SECONDS, 1_941_105),
}

SCORES_SOURCE = (
    f"{KOL_PAPER}, Table 2, rows 0.2 to 0.9, columns U2Net, MODNet, RSUDISNet; 100 random test frames of "
    "their own 1200, thresholds read on the test frames"
)
# threshold -> mIoU, Acc, F of U2Net, then of MODNet, then of RSUDISNet, as the rows stand in the paper
_TABLE_2 = {
    0.2: (0.8275, 0.9208, 0.8632, 0.8679, 0.9693, 0.9087, 0.8759, 0.9710, 0.9075),
    0.3: (0.8297, 0.9216, 0.8697, 0.8710, 0.9701, 0.9123, 0.8812, 0.9725, 0.9132),
    0.4: (0.8322, 0.9222, 0.8754, 0.8733, 0.9707, 0.9152, 0.8852, 0.9736, 0.9178),
    0.5: (0.8319, 0.9228, 0.8778, 0.8751, 0.9711, 0.9178, 0.8884, 0.9744, 0.9218),
    0.6: (0.8313, 0.9226, 0.8767, 0.8759, 0.9713, 0.9200, 0.8911, 0.9752, 0.9257),
    0.7: (0.8309, 0.9227, 0.8756, 0.8756, 0.9712, 0.9216, 0.8933, 0.9758, 0.9297),
    0.8: (0.8306, 0.9224, 0.8740, 0.8743, 0.9710, 0.9206, 0.8943, 0.9761, 0.9339),
    0.9: (0.8284, 0.9219, 0.8719, 0.8719, 0.9704, 0.9187, 0.8922, 0.9758, 0.9382),
}
# method -> threshold -> its scores
SCORES: dict[str, dict[float, Point]] = {
    method: {threshold: Point(*row[3 * column : 3 * column + 3]) for threshold, row in _TABLE_2.items()}
    for column, method in enumerate(KOL_ROWS)
}

TRAINING_SOURCE = f"{KOL_PAPER}, section 4.1; {TIKTOK_REPORT}, 'Training'"
# method -> how it was trained
TRAININGS: dict[str, Training] = {
    "u2net": Training(150, 148),
    "modnet": Training(200, 200),
    "rsudisnet": Training(200, 119),
    "unet": Training(50, 45),
}

WHOLE_SOURCE = f"{TIKTOK_REPORT}, 'Result': average IoU on the whole dataset, training images included"
# method -> IoU over all 2615 pictures
WHOLE_IOU: dict[str, float] = {"unet": 0.736}

PORTRAIT_PAPER = "Yuan, Cheng, Yan, Liu: Real-time Segmenting Human Portrait at Anywhere (RCRNet)"
PORTRAIT_SOURCE = (
    f"{PORTRAIT_PAPER}, Tables 1 to 3; EG1800 in their split of 1309 and 270 images, P3M-500 of P3M-10k"
)
_AS_PUBLISHED = {"extra_hidden": None, "decoder": None, "upsample": "deconv"}
PORTRAITS: tuple[Portrait, ...] = (
    Portrait("ENet", "enet", {}, 346, 0.355, 95.16, 95.64, 95.91),
    Portrait("BiSeNetV3", "stdc", {}, 44829, 14.24, 94.91, 94.25, 94.31),
    Portrait(
        "PortraitNet", "portraitnet", {"upsample": "deconv", "edge": True}, 325, 2.080, 95.99, 95.51, 95.75
    ),
    Portrait("ESPNet", "espnet", {}, 345, 0.328, 94.65),
    Portrait("ESPNetV2 2.0", "espnetv2", {"scale": 2.0}, 231, 0.778, 94.71),
    Portrait("ESPNetV2 1.5", "espnetv2", {"scale": 1.5}, 137, 0.458, 94.00),
    Portrait("ContextNet", "contextnet", {"preset": "seed"}, 1870, 0.838, 95.71),
    Portrait("MobileNetV3", "mobilenetv3", {}, 66, 0.458, 94.19),
    Portrait("SINet", "sinet", {}, 64, 0.087, 94.81),
    Portrait("RCRNet dagger", "rcrnet", {"variant": "dagger", **_AS_PUBLISHED}, 157, 0.607, 95.97),
    Portrait(
        "RCRNet double dagger",
        "rcrnet",
        {"variant": "double_dagger", **_AS_PUBLISHED},
        177,
        0.608,
        96.02,
        95.31,
        95.61,
    ),
    Portrait(
        "RCRNet diamond", "rcrnet", {"variant": "diamond", **_AS_PUBLISHED}, 190, 0.610, 96.31, 95.45, 95.66
    ),
    Portrait("RCRNet star", "rcrnet", {"variant": "star", **_AS_PUBLISHED}, 217, 0.772, 96.33, 95.76, 96.15),
)
# where the printed costs are not those of the network by name, and why; counts of ours at 224 px
PORTRAIT_NOTES = (
    "ENet, PortraitNet, SINet, ESPNetV2: the printed costs are those of the released code, Conv2d layers "
    "only, training heads included.",
    "BiSeNetV3 (STDC-Seg): 44829 M and 14.24 M are of another resolution or implementation; at 224 px it has "
    "1610.6 M and 8.27 M parameters (model.variant=1), or 2241.6 M and 12.30 M (model.variant=2), deployed.",
    "ESPNet: the two printed costs look exchanged, and of the encoder alone, which has 328.5 M and 0.345 M "
    "parameters. MobileNetV3: 66.0 M is met; 0.458 M repeats the row above it, the network has 0.513 M.",
    "ContextNet: 1870 M is met within 0.3 % only where the deep branch sees the whole image "
    "(model.preset=seed).",
    "RCRNet: no code is published; our widths are chosen to meet the printed costs, which are taken for "
    "those of merged branches with the head of edges and a prior mask as fourth channel. So counted, ours "
    "have 156.8 M, 177.3 M, 188.0 M and 216.3 M, and 0.605 M, 0.610 M, 0.608 M and 0.772 M parameters "
    "(dagger, double dagger, diamond, star). For star the paper prints 0.772 M and, in Table 3, 0.770 M.",
)

BACKGROUND_SOURCE = (
    "Malonosova: Background Removal, report, 8 May 2022, section 3 (U2Net at 128x128 px, then CascadePSP)"
)
U2NET_SOURCE = "Qin et al.: U2-Net, Pattern Recognition 106, 2020, tables of the comparison"
# our name of the data -> the set
SALIENCY_SETS: dict[str, SaliencySet] = {
    "duts": SaliencySet("DUTS-TE", 0.044),
    "dut_omron": SaliencySet("DUT-OMRON", 0.054),
    "ecssd": SaliencySet("ECSSD", 0.033),
}


class Video(NamedTuple):
    """A row of Table 1 of the PDNet paper, in percent as printed.

    row: its name there. method: ours, "" where we have none. j, f: mean, recall and decay. fps: frames a
    second. pphumanseg: J&F, J and F of Table 2; None where it has no such row.
    """

    row: str
    method: str
    j_and_f: float
    j: tuple[float, float, float]
    f: tuple[float, float, float]
    fps: float
    pphumanseg: tuple[float, float, float] | None = None


class Ablation(NamedTuple):
    """A row of Tables 3 to 5 of the PDNet paper, in percent as printed.

    settings: keys of the `model` group of ours that make a run this row. fps: of Table 5 alone.
    """

    table: int
    row: str
    settings: Mapping[str, object]
    j_and_f: float
    j: float
    f: float
    fps: float | None = None


PDNET_PAPER = (
    "Yu, Xia, Li: Towards imbalanced motion: part-decoupling network for video portrait segmentation, 2024"
)
VIDEO_SOURCE = (
    f"{PDNET_PAPER}, Table 1 (MVPS, 40 test clips, first and last annotated frame left out; frames a second "
    "on an RTX 3090) and Table 2 (PP-HumanSeg14K); rivals as retrained there, thresholds 0.5, no CRF"
)
ABLATION_SOURCE = (
    f"{PDNET_PAPER}, Tables 3 (losses of the parts), 4 (number of parts) and 5 (reference frames), MVPS"
)
VIDEOS: tuple[Video, ...] = (
    Video("COSNet", "cosnet", 85.7, (87.8, 97.7, 2.4), (83.5, 98.2, 1.8), 2.5, (95.7, 96.9, 94.6)),
    Video("AGNN", "", 80.6, (83.1, 93.5, 2.4), (78.1, 93.3, 2.0), 1.2, (93.9, 96.1, 91.6)),
    Video("MATNet", "matnet", 79.2, (83.1, 94.6, 1.2), (75.2, 92.0, 0.9), 10.2, (93.1, 95.6, 90.7)),
    Video("F2Net", "", 77.5, (82.2, 93.1, 2.1), (72.9, 86.4, 2.9), 11.1, (89.3, 93.9, 84.7)),
    Video("FSNet", "", 84.2, (86.5, 95.8, 2.0), (81.9, 97.5, 1.8), 23.6),
    Video("AMC-Net", "", 85.9, (88.1, 98.1, 0.6), (83.6, 97.4, 1.1), 22.8),
    Video("HFAN-medium", "", 86.9, (88.6, 96.9, 2.7), (85.1, 95.5, 1.2), 10.2),
    Video("IMCNet", "", 84.1, (86.6, 97.2, 2.0), (81.6, 97.6, 1.3), 23.9, (94.5, 96.4, 92.7)),
    Video("PDNet", "pdnet", 88.1, (90.0, 98.3, 2.2), (86.1, 98.3, 0.9), 26.6, (96.0, 97.1, 94.9)),
)
_FULL = {"ipda": True, "parts": 5, "references": 1, "losses": ["geo", "area", "sem"]}
ABLATIONS: tuple[Ablation, ...] = (
    Ablation(3, "base: no parts, no reference", {"ipda": False}, 85.0, 88.2, 81.9),
    Ablation(3, "geo", {**_FULL, "losses": ["geo"]}, 86.5, 89.0, 84.0),
    Ablation(3, "geo, area", {**_FULL, "losses": ["geo", "area"]}, 87.3, 89.4, 85.2),
    Ablation(3, "geo, area, sem", _FULL, 88.1, 90.0, 86.1),
    Ablation(4, "1 part", {"ipda": True, "parts": 1, "references": 1}, 86.2, 88.8, 83.6),
    Ablation(4, "3 parts", {**_FULL, "parts": 3}, 86.7, 88.7, 84.7),
    Ablation(4, "5 parts", _FULL, 88.1, 90.0, 86.1),
    Ablation(5, "1 reference", _FULL, 88.1, 90.0, 86.1, 26.6),
    Ablation(5, "2 references", {**_FULL, "references": 2}, 88.7, 90.7, 86.8, 9.7),
)


def share(percent: float | None) -> float | None:
    """A printed percentage as the share that a table of ours has beside it; None stays None."""
    return None if percent is None else round(percent / 100, 4)
