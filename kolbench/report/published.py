"""What the papers print, as data, each with the place where it stands. Nothing here is ours."""

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
    f"{TIKTOK_REPORT}, parameters in 'Model', 0.686 s per picture in 'Result' (FPS = 1 / 0.686)"
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

WHOLE_SOURCE = f"{TIKTOK_REPORT}, 'Result': average IoU on the whole dataset, training pictures included"
# method -> IoU over all 2615 pictures
WHOLE_IOU: dict[str, float] = {"unet": 0.736}
