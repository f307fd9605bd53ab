"""wandb: online where a key and a server are at hand, else offline with a line that tells how to sync."""

import netrc
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kolbench.errors import require_choice
from kolbench.tracking import Overlay, RunInfo

MODES = ("auto", "online", "offline", "disabled")
CONNECT_SECONDS = 2.0
DEFAULT_PORTS = {"https": 443, "http": 80}
LABELS = {0: "background", 1: "KOL and product"}


class WandbTracker:
    """One wandb run per job, below the run folder.

    Args:
        project: in wandb.
        entity: user or team; None = wandb's default.
        mode: `auto` and `online` fall back to offline where there is no key or no server; `offline`;
            `disabled`. `WANDB_MODE=offline` or `disabled` in the environment wins over `auto` and `online`.

    Raises:
        ConfigError: another mode.
    """

    def __init__(self, project: str = "kolbench", entity: str | None = None, mode: str = "auto") -> None:
        self.project = project
        self.entity = entity
        self.mode = require_choice("logger.wandb.mode", mode, MODES)
        self._run: Any = None
        self._offline = False

    def start(self, run: RunInfo) -> None:
        """Opens the run; never waits for a server for longer than two seconds."""
        import wandb

        mode, reason = choose_mode(self.mode)
        self._offline = mode == "offline"
        self._run = wandb.init(
            project=self.project,
            entity=self.entity,
            id=run.id,
            name=run.name,
            group=run.group,
            dir=str(run.folder),
            config=dict(run.config),
            tags=list(run.tags),
            mode=mode,  # type: ignore[arg-type]  # one of MODES less auto
            resume="allow" if run.resumed else None,
            reinit="finish_previous",
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                save_code=False,
                x_disable_stats=True,
                x_disable_meta=True,
                init_timeout=20,
            ),
        )
        self._run.define_metric("epoch")
        self._run.define_metric("*", step_metric="epoch")
        if self._offline:
            print(f"wandb is offline ({reason}); later: wandb sync {Path(self._run.dir).parent}")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One row of the history."""
        self._run.log({"epoch": step, **values})

    def curve(self, name: str, thresholds: Sequence[float], scores: Mapping[str, Sequence[float]]) -> None:
        """A native line plot, and the table it is drawn from."""
        import wandb

        plot = wandb.plot.line_series(
            xs=list(thresholds),
            ys=[list(values) for values in scores.values()],
            keys=list(scores),
            title=name,
            xname="threshold",
        )
        self._run.log({f"{name}_curve": plot})
        self.table(name, {"threshold": thresholds, **scores})

    def table(self, name: str, columns: Mapping[str, Sequence[object]]) -> None:
        """A wandb table."""
        import wandb

        rows: list[Iterable[Any]] = [list(row) for row in zip(*columns.values(), strict=True)]
        self._run.log({f"{name}_table": wandb.Table(columns=list(columns), data=rows)})

    def overlays(self, name: str, step: int, overlays: Sequence[Overlay]) -> None:
        """Pictures whose masks can be switched on and off."""
        import wandb

        images = [
            wandb.Image(
                overlay.image,
                caption=overlay.caption,
                masks={
                    "prediction": {"mask_data": overlay.prediction, "class_labels": LABELS},
                    "truth": {"mask_data": overlay.truth, "class_labels": LABELS},
                },
            )
            for overlay in overlays
        ]
        self._run.log({f"{name}_pictures": images, "epoch": step})

    def summary(self, values: Mapping[str, float | int | str]) -> None:
        """Summary values."""
        self._run.summary.update(dict(values))

    def finish(self, failed: bool) -> None:
        """Ends the run, so that the next job of a sweep does not log into it."""
        if self._run is not None:
            self._run.finish(exit_code=int(failed))


def choose_mode(wanted: str) -> tuple[str, str]:
    """(mode for wandb.init, reason for being offline) after a look at environment, key and server."""
    said = os.environ.get("WANDB_MODE", "")
    if said in ("offline", "disabled") and wanted in ("auto", "online"):
        return said, f"WANDB_MODE={said}"
    if wanted in ("offline", "disabled"):
        return wanted, f"logger.wandb.mode={wanted}"
    server = base_url()
    if not has_key(server):
        return "offline", "no API key: wandb login, or WANDB_API_KEY"
    if not answers(server):
        return "offline", f"{server} does not answer"
    return "online", ""


def base_url() -> str:
    """The server: WANDB_BASE_URL, else what `wandb login --host` left, else wandb's own."""
    import wandb

    return str(os.environ.get("WANDB_BASE_URL") or wandb.setup().settings.base_url)


def has_key(server: str) -> bool:
    """Whether an API key is in the environment or, as `wandb login` leaves it, in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(server).hostname or ""
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return netrc.netrc(str(path)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def answers(server: str) -> bool:
    """Whether the server takes a connection within two seconds."""
    parts = urlsplit(server)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 443)
    try:
        socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
