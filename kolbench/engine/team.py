"""How many processes train together, on what, and which of them this is."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from kolbench.engine.devices import choose_device
from kolbench.errors import ConfigError, require_choice

AUTO = "auto"
# Lightning's words -> torch's
KINDS = {"cpu": "cpu", "gpu": "cuda", "cuda": "cuda", "mps": "mps"}
SYNC = "sync_batchnorm"
# keys of the `trainer` group that this module reads; the Trainer is given what follows from them
PLACING = ("accelerator", "devices", "num_nodes", "strategy")
# of DDP's strategies those that start processes in a way of their own
_STARTING = ("spawn", "fork", "notebook")


@dataclass(frozen=True)
class Plan:
    """What the `trainer` group and `device=` ask for.

    device: of the first process. devices: processes on each machine, a device each. nodes: machines.
    strategy: Lightning's name of how gradients are shared, `auto` for one process.
    """

    device: torch.device
    devices: int = 1
    nodes: int = 1
    strategy: str = AUTO

    @property
    def size(self) -> int:
        """How many processes there are in all."""
        return self.devices * self.nodes


@dataclass(frozen=True)
class Team:
    """The processes that train together. rank: of this one, from 0. local_rank: on its machine."""

    plan: Plan
    rank: int = 0
    local_rank: int = 0

    @property
    def size(self) -> int:
        """How many there are."""
        return self.plan.size

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        kind = self.plan.device.type
        return torch.device(kind, self.local_rank) if kind == "cuda" and self.size > 1 else self.plan.device

    @property
    def first(self) -> bool:
        """Whether this process does what is done once: it writes, prints and decides."""
        return self.rank == 0


def plan_of(options: Mapping[str, object], device: str) -> Plan:
    """How many processes work where.

    Args:
        options: the `trainer` group. device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        ConfigError: they contradict each other, or what they ask for is not there.
    """
    chosen = choose_device(_device_word(options.get("accelerator"), device))
    devices = _devices(options.get("devices", 1), chosen)
    nodes = _number("num_nodes", options.get("num_nodes", 1))
    strategy = _strategy(str(options.get("strategy", AUTO)))
    plan = Plan(chosen, devices, nodes, strategy)
    if plan.size > 1 and chosen.index is not None:
        raise ConfigError(
            f"device={device} names one GPU, but trainer.devices and trainer.num_nodes ask for {plan.size} "
            "processes. Leave the number away, or choose GPUs by CUDA_VISIBLE_DEVICES."
        )
    if options.get(SYNC) and chosen.type != "cuda":
        raise ConfigError(
            "trainer.sync_batchnorm=true needs GPUs: PyTorch joins statistics of batches on these alone. "
            "Leave it away, and each process takes those of its own images."
        )
    if plan.size == 1:
        return Plan(chosen)
    return Plan(chosen, devices, nodes, "ddp" if strategy == AUTO else strategy)


def placed(options: Mapping[str, object], plan: Plan) -> dict[str, object]:
    """The `trainer` group as what weights follow from: how many processes, whatever words asked for them."""
    others = {key: value for key, value in options.items() if key not in PLACING}
    return others if plan.size == 1 else {**others, "processes": plan.size, "strategy": plan.strategy}


def _device_word(accelerator: object, device: str) -> str:
    """`device=` with what trainer.accelerator says of it."""
    if accelerator in (None, AUTO):
        return device
    kind = KINDS[require_choice("trainer.accelerator", str(accelerator), KINDS)]
    if device == AUTO:
        return kind
    if device.partition(":")[0] != kind:
        raise ConfigError(
            f"device={device} and trainer.accelerator={accelerator} name two kinds of devices; leave one "
            "away."
        )
    return device


def _devices(asked: object, device: torch.device) -> int:
    at_hand = torch.cuda.device_count() if device.type == "cuda" else 1
    if asked in (AUTO, -1):
        return at_hand
    count = _number("devices", asked)
    if device.type == "cuda" and count > at_hand:
        raise ConfigError(f"trainer.devices={count}: PyTorch sees {at_hand} CUDA GPUs here.")
    if device.type == "mps" and count > 1:
        raise ConfigError(f"trainer.devices={count}: Apple's machines have one GPU; leave it at 1.")
    return count


def _number(key: str, asked: object) -> int:
    if isinstance(asked, int) and not isinstance(asked, bool) and asked >= 1:
        return asked
    if key == "devices" and isinstance(asked, list | tuple):
        raise ConfigError(
            f"trainer.devices={list(asked)} is a list; give the number of GPUs, and choose which ones by "
            "CUDA_VISIBLE_DEVICES."
        )
    raise ConfigError(f"trainer.{key}={asked} is no whole number from 1 on.")


def _strategy(asked: str) -> str:
    if asked == AUTO or (asked.startswith("ddp") and not any(word in asked for word in _STARTING)):
        return asked
    raise ConfigError(
        f"trainer.strategy={asked} is not used here: checkpoints hold whole networks, and kolbench starts "
        "its processes itself. There are auto, ddp and ddp_find_unused_parameters_true."
    )
