"""Writes the label files beside it with the programs that others use; they are committed as written.

Each part ran in an environment of its own, as they pin old libraries:

    python -m venv dm && dm/bin/pip install datumaro==1.13.12 && dm/bin/python write.py datumaro
    python -m venv sv && sv/bin/pip install supervision==0.31.2 opencv-python-headless \
        && sv/bin/python write.py supervision
    python -m venv ls && ls/bin/pip install label-studio-sdk==2.1.2 && ls/bin/python write.py labelstudio

The scene is the same everywhere: 16 px high, 24 wide; a person, a bag beside the person, and a car far off.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
HEIGHT, WIDTH = 16, 24
PERSON = [3.0, 2.0, 10.0, 2.0, 10.0, 13.0, 3.0, 13.0]
BAG = [10.0, 6.0, 14.0, 6.0, 14.0, 9.0, 10.0, 9.0]
CAR = [18.0, 1.0, 23.0, 1.0, 23.0, 5.0, 18.0, 5.0]


def blob() -> np.ndarray:
    """A mask with a hole, of no symmetry, that does not touch the corner, (H, W) uint8."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:12, 5:17] = 1
    mask[5:7, 8:11] = 0
    mask[11, 5:9] = 0
    return mask


def datumaro() -> None:
    """CVAT XML and COCO JSON of polygons and a mask; as YOLO it writes boxes alone."""
    import datumaro as dm

    labels = dm.LabelCategories.from_iterable(["person", "bag", "car"])
    outlines = [dm.Polygon(points, label=n, id=n, group=n) for n, points in enumerate((PERSON, BAG, CAR))]
    picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)

    found = [outlines, [dm.Mask(blob(), label=0)]]

    items = [
        dm.DatasetItem(f"p{n}", subset="train", media=dm.Image.from_numpy(picture), annotations=objects)
        for n, objects in enumerate(found)
    ]
    dataset = dm.Dataset.from_iterable(items, categories={dm.AnnotationType.label: labels})
    dataset.export(HERE / "datumaro_cvat", "cvat", save_media=False)
    for mode in ("guess", "mask"):
        folder = HERE / f"datumaro_coco_{mode}"
        dataset.export(folder, "coco_instances", save_media=False, segmentation_mode=mode)


def supervision() -> None:
    """YOLO segmentation with data.yaml, of polygons that it traces around masks."""

    import supervision as sv
    from PIL import Image

    def filled(outline: list[float]) -> np.ndarray:
        left, top, right, bottom = (int(v) for v in (*outline[:2], *outline[4:6]))
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[top:bottom, left:right] = True
        return mask

    outlines = np.stack([filled(outline) for outline in (PERSON, BAG, CAR)])
    detections = sv.Detections(sv.mask_to_xyxy(outlines), outlines, class_id=np.arange(3))
    folder = HERE / "supervision_yolo"
    with tempfile.TemporaryDirectory() as away:
        picture = f"{away}/p0.png"
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 128, np.uint8)).save(picture)
        dataset = sv.DetectionDataset(["person", "bag", "car"], [picture], {picture: detections})
        dataset.as_yolo(None, str(folder / "labels"), str(folder / "data.yaml"))


def labelstudio() -> None:
    """An export with a brush, as label-studio-sdk encodes it."""
    from label_studio_sdk.converter import brush

    value = {"format": "rle", "rle": brush.mask2rle(blob() * 255), "brushlabels": ["person"]}
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    results = [
        {"id": "a", "type": "brushlabels", "from_name": "tag", "to_name": "image", "value": value, **size}
    ]
    task = {
        "id": 1,
        "data": {"image": "/data/upload/1/0a1b2c3d-p1.png"},
        "annotations": [{"result": results}],
    }
    (HERE / "labelstudio_brush.json").write_text(json.dumps([task]) + "\n")


{"datumaro": datumaro, "supervision": supervision, "labelstudio": labelstudio}[sys.argv[1]]()
