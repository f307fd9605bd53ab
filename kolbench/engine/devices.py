"""The device to work on: chosen, described, and an error where what was asked for is not there."""

from contextlib import suppress

import torch

from kolbench.errors import ConfigError
from kolbench.io.heap import give_back


def choose_device(device: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; `auto` takes a CUDA GPU where there is one.

    Raises:
        ConfigError: a GPU was asked for and is not there, or the name means nothing.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = device.partition(":")
    numbered = number and (kind != "cuda" or not number.isdigit())
    if kind not in ("cpu", "cuda", "mps") or numbered:
        raise ConfigError(f"device={device} is not a device; it is one of auto, cpu, cuda, cuda:N, mps.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(
            f"device={device}: PyTorch {torch.__version__} sees no GPU of Apple's here. Use device=cpu."
        )
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= count:
            raise ConfigError(
                f"device={device}: PyTorch {torch.__version__} sees {count} CUDA GPUs here. "
                "Use device=cpu, or install a driver and a PyTorch build for your GPU."
            )
    return torch.device(device)


def describe(device: torch.device) -> str:
    """The device in words, for the first lines of a run."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"


def free_memory() -> None:
    """Lets go of what a training left: trainers hold themselves in cycles, and CUDA keeps what is freed."""
    give_back()
    with suppress(RuntimeError):  # a device that failed
        torch.cuda.empty_cache()
