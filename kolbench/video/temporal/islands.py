"""One person of an alpha: the largest connected part with its soft edge, the same one along a clip."""

from typing import Any, Protocol

import cv2
import numpy as np

from kolbench.errors import require_choice
from kolbench.types import Float32Array
from kolbench.video.temporal.flicker import FOREGROUND, Mask, border_radius, foreground_of

ALL, LARGEST = "all", "largest"
KEEP = (ALL, LARGEST)

# what hangs together by pixels of so much alpha is one thing: a product behind blurred fingers, say
TOUCHING = 0.25
# below it a pixel joins nothing: networks leave a haze of a few per cent all over a frame
FAINT = 0.05
# seconds for which a person who is lost is waited for; others in view are not taken instead
PATIENCE = 0.25


class Keeper(Protocol):
    """Alphas of a clip in, what is kept of each out, at once."""

    def push(self, alpha: Float32Array, seconds: float, is_cut: bool) -> Float32Array:
        """Takes the next alpha, (H, W) float32 in [0, 1]; returns it, or a new one of its shape.

        Args:
            seconds: when its display begins. is_cut: whether a new shot begins with it.
        """


def keeper_of(keep: str) -> Keeper:
    """A new keeper for one image or one clip, as `keep=` says.

    Raises:
        ConfigError: there is no such choice.
    """
    return KeepsLargest() if require_choice("keep", keep, KEEP) == LARGEST else KeepsAll()


def largest_part(alpha: Float32Array) -> Float32Array:
    """The largest part of an alpha without its islands, see `with_edge`; holes stay holes.

    Parts are the 8-connected components of alpha >= 0.5; of equals the first one, row by row. Where no pixel
    reaches 0.5, nothing is left.

    Args:
        alpha: (H, W) float32 in [0, 1]; nothing is written into it.

    Returns:
        (H, W) float32: alpha or 0; `alpha` itself where nothing is dropped.
    """
    return KeepsLargest().push(alpha, 0.0, False)


class KeepsAll:
    """Every alpha as it came."""

    def push(self, alpha: Float32Array, seconds: float, is_cut: bool) -> Float32Array:
        """The alpha itself."""
        return alpha


class KeepsLargest:
    """The largest part of a shot's first alpha, and from then on the part that overlaps what was kept before.

    So it stays with one person while another grows larger. Of several parts that overlap, the one that does
    so in most pixels is kept. Where none does, nothing is kept for 0.25 s, in which the person may come back;
    after that it begins anew with the largest, as at cuts.
    """

    def __init__(self) -> None:
        self._before: Mask | None = None
        self._seen = 0.0

    def push(self, alpha: Float32Array, seconds: float, is_cut: bool) -> Float32Array:
        """What is kept of the next alpha; see `Keeper`."""
        before = self._before
        if is_cut or (before is not None and before.shape != alpha.shape):
            before = None
        labels, areas = _components(foreground_of(alpha))
        chosen = _largest(areas) if before is None else _overlapping(labels, len(areas), before)
        if not chosen and before is not None and seconds - self._seen > PATIENCE:
            before, chosen = None, _largest(areas)
        if not chosen:
            self._before = before
            return np.zeros_like(alpha) if alpha.any() else alpha
        kept = with_edge(alpha, labels == chosen)
        self._before, self._seen = foreground_of(kept), seconds
        return kept


def with_edge(alpha: Float32Array, core: Mask) -> Float32Array:
    """One part of an alpha, with its soft edge and what touches it; 0 everywhere else.

    To the part belongs what hangs together with it by pixels of alpha >= 0.25 (its body), such as a product
    behind blurred fingers. A softer pixel, of alpha >= 0.05, stays where it hangs together with the body by
    such pixels, and no other body, one that reaches 0.5, is nearer to it. What is fainter joins nothing and
    stays only near what is kept: in the square of 2 r + 1 px around it, r = ceil(0.008 x the diagonal).

    Args:
        alpha: (H, W) float32 in [0, 1]. core: (H, W) bool, a connected component of alpha >= 0.5.

    Returns:
        (H, W) float32; `alpha` itself where nothing is dropped.
    """
    bodies, _ = _components(alpha >= TOUCHING)
    body = bodies == bodies.flat[core.argmax()]
    others = _others(bodies, alpha, body)
    kept = _joined(alpha >= FAINT, body)
    if (others & kept).any():
        kept = _joined(kept & (_distance_to(body) <= _distance_to(others)), body)
    square = np.ones((2 * border_radius(*alpha.shape) + 1,) * 2, np.uint8)
    near: Mask = cv2.dilate(kept.view(np.uint8), square).view(np.bool_)
    dropped = ~(kept | (near & (alpha < FAINT)))
    if not alpha[dropped].any():
        return alpha
    result = alpha.copy()
    result[dropped] = 0
    return result


def _components(mask: Mask) -> tuple[Any, Any]:
    """(H, W) int32 numbers of 8-connected components, 0 outside of them, and the area of each number."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    return labels, stats[:, cv2.CC_STAT_AREA]


def _largest(areas: Any) -> int:
    """Number of the largest component; 0 where there is none."""
    return int(np.argmax(areas[1:])) + 1 if len(areas) > 1 else 0


def _overlapping(labels: Any, count: int, before: Mask) -> int:
    """Number of the component with most pixels in `before`; 0 where none has any."""
    shared = np.bincount(labels[before], minlength=count)
    shared[0] = 0
    return int(np.argmax(shared)) if shared.any() else 0


def _others(bodies: Any, alpha: Float32Array, body: Mask) -> Mask:
    """The bodies that reach 0.5, less the one."""
    reaching = np.zeros(int(bodies.max()) + 1, np.bool_)
    reaching[bodies[alpha >= FOREGROUND]] = True
    found: Mask = reaching[bodies] & ~body
    return found


def _joined(mask: Mask, body: Mask) -> Mask:
    """What of a mask hangs together with a body in it."""
    labels, _ = _components(mask)
    found: Mask = labels == labels.flat[body.argmax()]
    return found


def _distance_to(mask: Mask) -> Float32Array:
    """(H, W) float32: Euclidean, in pixels."""
    return np.asarray(cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
