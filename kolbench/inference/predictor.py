"""From pictures to alphas outside of training and scoring: method, refiner, many cores, threshold."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import cv2
import joblib
import numpy as np
import torch

from kolbench.engine.parallel import in_processes
from kolbench.errors import DataError, KolbenchError, is_of_memory, told
from kolbench.segmenter import Clip, Segmenter
from kolbench.types import FLOW, Float32Array, PictureResult, Refiner, UInt8Array

T = TypeVar("T")
# a frame and what goes beside it -> alpha
ShotSegment = Callable[[UInt8Array, Sequence[UInt8Array]], Float32Array]


class Predictor:
    """image (H, W, 3) uint8 RGB -> alpha (H, W) float32 in [0, 1].

    Args:
        segmenter: in evaluation mode; it reads the image only, in videos flow too.
        refiner: see kolbench.refiners; its `refine_picture` is preferred, if it has one. None = none.
        segment: how the method is run on one picture; None = segmenter.segment.
        shot: makes the function that runs a method with a state, or one that reads flow, on the frames of one
            shot, in their order, each with what goes beside it; None = that of `Clip`.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        refiner: Refiner | None = None,
        segment: Callable[[UInt8Array], Float32Array] | None = None,
        shot: Callable[[], ShotSegment] | None = None,
    ) -> None:
        self.segmenter = segmenter
        self.segment = segment or segmenter.segment
        self.refiner = refiner
        self._shot = shot or (lambda: Clip(segmenter).segment)
        # what the method is given with the frame that comes next
        self.beside: tuple[UInt8Array, ...] = ()

    @property
    def reads_flow(self) -> bool:
        """Whether the method is given what moves beside each frame of a video."""
        return FLOW in self.segmenter.input_keys

    def for_clip(self) -> "Predictor":
        """The same method for the frames of one clip; `begin_shot` comes before the first of them."""
        return Predictor(self.segmenter, self.refiner, self.segment, self._shot)

    def begin_shot(self) -> None:
        """Lets a method forget the frames before; from here on one with a state carries it along.

        One that reads flow is given `beside` with each frame.
        """
        if self.segmenter.stateful or self.reads_flow:
            frame = self._shot()
            self.segment = lambda image: frame(image, self.beside)

    def __call__(self, image: UInt8Array) -> Float32Array:
        """The alpha of one picture, at its own size.

        Raises:
            KolbenchError: the method refuses it; a DataError where it does not fit into memory.
        """
        alpha = _or_error(self._whole, image)
        if isinstance(alpha, KolbenchError):
            raise alpha
        return alpha

    def each(
        self, pictures: Iterable[tuple[T, UInt8Array]]
    ) -> Iterator[tuple[T, UInt8Array, Float32Array | KolbenchError]]:
        """The alphas of many, in order; methods without a network work in as many processes as torch threads.

        A picture that the method refuses, or that memory does not suffice for, has its error in the alpha's
        place.

        Args:
            pictures: (whatever belongs to the picture, image), read a few ahead.
        """
        function = self.segmenter.array_function()
        processes = torch.get_num_threads()
        if function is None or processes == 1:
            for what, image in pictures:
                yield what, image, _or_error(self._whole, image)
            return
        waiting: deque[tuple[T, UInt8Array]] = deque()

        def calls() -> Iterable[Any]:
            for what, image in pictures:
                waiting.append((what, image))
                yield joblib.delayed(_alone)(function, image)

        for alpha in in_processes(calls(), processes):
            what, image = waiting.popleft()
            if not isinstance(alpha, KolbenchError):
                alpha = _or_error(partial(self._finished, alpha=alpha), image)
            yield what, image, alpha

    def _whole(self, image: UInt8Array) -> Float32Array:
        return self._finished(image, self.segment(image))

    def _finished(self, image: UInt8Array, alpha: Float32Array) -> Float32Array:
        return alpha if self.refiner is None else refined(self.refiner, image, alpha, self.segmenter.device)


@torch.no_grad()
def refined(refiner: Refiner, image: UInt8Array, alpha: Float32Array, device: torch.device) -> Float32Array:
    """What a refiner makes of one alpha, on a device.

    Args:
        image: (H, W, 3) uint8. alpha: (H, W) float32 in [0, 1].

    Returns:
        (H, W) float32 in [0, 1].
    """
    refine_picture = getattr(refiner, "refine_picture", None)
    if refine_picture is not None:
        found: Float32Array = refine_picture(image, alpha)
        return found
    picture = torch.from_numpy(image).to(device).permute(2, 0, 1)[None]
    if not getattr(refiner, "takes_levels", False):
        picture = picture.float() / 255
    given = torch.from_numpy(alpha).to(device)[None, None]
    return refiner(picture, given)[0, 0].cpu().numpy()


def binarize(alpha: Float32Array, threshold: float | None) -> Float32Array:
    """Alpha as 0 and 1, as in the scores: 1 where round(255 alpha) > 255 threshold; None = alpha as it is."""
    if threshold is None:
        return alpha
    return (np.rint(255 * alpha) > 255 * threshold).astype(np.float32)


def _or_error(
    segment: Callable[[UInt8Array], Float32Array], image: UInt8Array
) -> Float32Array | KolbenchError:
    """What a method gives for a picture, or why it gives nothing, whatever it stumbled over."""
    try:
        return segment(image)
    except Exception as error:  # the other pictures go on
        if not is_of_memory(error):
            return told(error)
    # made out here, so that it does not keep the frames of the failure and the arrays in them
    height, width = image.shape[:2]
    return DataError(
        f"not enough memory for an image of {width}x{height} px; "
        "model.size= makes the network's input smaller"
    )


def _alone(
    function: Callable[[UInt8Array], PictureResult], image: UInt8Array
) -> Float32Array | KolbenchError:
    cv2.setNumThreads(1)
    return _or_error(lambda picture: function(picture).alpha, image)
