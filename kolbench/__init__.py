"""kolbench: every way to segment a KOL and what is held, on the same pictures, with the same scores.

>>> import kolbench
>>> segmenter = kolbench.load("modnet", weights="file.pth")  # doctest: +SKIP
>>> alpha = segmenter.segment("photo.jpg")  # doctest: +SKIP
"""

from kolbench.api import evaluate, fit, keep_largest, load

__version__ = "0.1.0"

__all__ = ["__version__", "evaluate", "fit", "keep_largest", "load"]
