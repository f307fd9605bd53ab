"""What of a video is lost, counted and put into words."""

from collections.abc import Callable, Sequence


class Damage:
    """Frames that are lost or damaged.

    Attributes:
        frames: their pts; memory grows with the damage alone.
    """

    def __init__(self) -> None:
        self.frames: set[int] = set()

    def add(self, pts: int) -> None:
        """Counts a frame, once however often it is met."""
        self.frames.add(pts)

    def described(self, total: int, seconds: Callable[[int], float], restarts: Sequence[float]) -> str:
        """One line on the damage; empty where there is none.

        Args:
            total: frames of the video. seconds: a pts -> seconds since the first frame.
            restarts: seconds since the first frame at which the clock starts anew.
        """
        said = []
        if self.frames:
            count = len(self.frames)
            said.append(
                f"is damaged: {count:,} of {total:,} frames {'is' if count == 1 else 'are'} lost or damaged, "
                f"first at {max(0.0, seconds(min(self.frames))):.2f} s; the frame before is held where one "
                "cannot be shown"
            )
        if restarts:
            times = "once" if len(restarts) == 1 else f"{len(restarts)} times"
            said.append(f"its clock starts anew {times}, first at {restarts[0]:.2f} s, and is carried on")
        if not self.frames and said:
            return f"is joined or damaged: {said[0]}."
        return f"{'; '.join(said)}." if said else ""
