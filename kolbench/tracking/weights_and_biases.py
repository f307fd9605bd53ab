"""wandb: online where a key and a server are at hand, else offline with a line that tells how to sync."""

import glob
import netrc
import os
import re
import shlex
import socket
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from kolbench.errors import require_choice
from kolbench.runs.run_folder import link_file
from kolbench.tracking.overlay import Overlay
from kolbench.tracking.tracker import RunInfo, one_line

if TYPE_CHECKING:
    import wandb

MODES = ("auto", "online", "offline", "disabled")
CONNECT_SECONDS = 2.0
INIT_SECONDS = 20.0
UPLOAD_SECONDS = 300.0
DEFAULT_PORTS = {"https": 443, "http": 80}
LABELS = {0: "background", 1: "KOL and product"}
RESERVED_IN_IDS = re.compile(r"[^\w.-]+")
LONGEST_NAME = 128
LONGEST_TAG = 64
# inside the files of a wandb run
KEPT = "kolbench"


class WandbTracker:
    """One wandb run per job, below the run folder.

    Args:
        project: in wandb.
        entity: user or team; None = wandb's default.
        mode: `auto` and `online` fall back to offline where there is no key, no server, or the server
            refuses the run; `offline`; `disabled`. `WANDB_MODE=offline` or `disabled` in the environment
            wins over the louder modes.

    Raises:
        ConfigError: another mode.
    """

    def __init__(self, project: str = "kolbench", entity: str | None = None, mode: str = "auto") -> None:
        self.project = project
        self.entity = entity
        self.mode = require_choice("logger.wandb.mode", mode, MODES)
        self._run: Any = None

    def start(self, run: RunInfo) -> None:
        """Opens the run: two seconds for the server to take a connection, 20 to take the run."""
        mode, reason = choose_mode(self.mode)
        if mode == "online":
            try:
                self._run = self._open(run, mode)
            except Exception as error:  # a refused key or a stalled server is no reason to lose the log
                mode, reason = "offline", one_line(error)
                _forget()
        if mode != "online":
            self._run = self._open(run, mode)
        if mode == "offline":
            self._tell_how_to_sync(f"wandb is offline ({reason})")

    def _open(self, run: RunInfo, mode: str) -> Any:
        import wandb

        opened = wandb.init(
            project=self.project,
            entity=self.entity,
            id=RESERVED_IN_IDS.sub("-", run.id)[-LONGEST_NAME:],
            name=run.name[-LONGEST_NAME:],
            group=run.group[-LONGEST_NAME:] if run.group else None,
            dir=str(run.folder),
            config=dict(run.config),
            tags=[tag[:LONGEST_TAG] for tag in run.tags if tag],
            mode=mode,  # type: ignore[arg-type]  # one of MODES less auto
            reinit="finish_previous",
            settings=_settings(),
        )
        opened.define_metric("epoch")
        opened.define_metric("*", step_metric="epoch")
        return opened

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
        # a column may be empty for some pictures
        table = wandb.Table(columns=list(columns), data=rows, allow_mixed_types=True)
        self._run.log({f"{name}_table": table})

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

    def keep(self, folder: Path, files: Sequence[Path]) -> None:
        """Files of the wandb run, below `kolbench/`; uploaded with it, or synced later."""
        home = Path(self._run.dir)
        for file in files:
            link_file(folder / file, home / KEPT / file)
            self._run.save(glob.escape(str(home / KEPT / file)), base_path=str(home), policy="now")

    def finish(self, failed: bool) -> None:
        """Ends the run, so that the next job does not log into it; uploads for five minutes at most."""
        if self._run is None:
            return
        try:
            self._run.finish(exit_code=int(failed))
        except TimeoutError:
            self._tell_how_to_sync(f"wandb did not take everything within {UPLOAD_SECONDS:.0f} s")
        self._run = None

    def _tell_how_to_sync(self, what: str) -> None:
        folder = Path(self._run.dir).parent
        print(f"{what}; later: wandb sync {shlex.quote(str(folder))}", flush=True)


def _forget() -> None:
    """Ends wandb's background process: after a failed start it holds the run's id."""
    import wandb

    with suppress(SystemExit):  # raised where that process ended badly
        wandb.teardown()


def _settings() -> "wandb.Settings":
    """Quiet, nothing recorded that we did not hand over, and an end to every wait."""
    import wandb

    wanted: dict[str, Any] = {
        "silent": True,
        "console": "off",
        "disable_git": True,
        "disable_code": True,
        "save_code": False,
        "x_disable_stats": True,
        "x_disable_meta": True,
        "init_timeout": INIT_SECONDS,
        "finish_timeout": UPLOAD_SECONDS,
        "finish_timeout_raises": True,
    }
    # the limit on uploading is younger than the oldest wandb we accept
    return wandb.Settings(
        **{key: value for key, value in wanted.items() if key in wandb.Settings.model_fields}
    )


def choose_mode(wanted: str) -> tuple[str, str]:
    """(mode for wandb.init, reason for not being online) after a look at settings, key and server."""
    settings = _user_settings()
    said = os.environ.get("WANDB_MODE") or settings.mode
    for quiet in ("disabled", "offline"):
        if wanted == quiet:
            return quiet, f"logger.wandb.mode={quiet}"
        if said == quiet:
            return quiet, f"WANDB_MODE={quiet}"
    server = str(os.environ.get("WANDB_BASE_URL") or settings.base_url)
    if not (settings.api_key or has_key(server)):
        return "offline", "no API key: wandb login, or WANDB_API_KEY"
    if not answers(server):
        return "offline", f"{server} does not answer"
    return "online", ""


def _user_settings() -> Any:
    """What `wandb login`, `wandb offline` and WANDB_ variables say; silences wandb from here on."""
    import wandb

    return wandb.setup(wandb.Settings(silent=True)).settings


def has_key(server: str) -> bool:
    """Whether credentials are in the environment or, as `wandb login` leaves them, in the netrc file."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    standard = [Path.home() / ".netrc", Path.home() / "_netrc"]
    paths = [Path(os.environ["NETRC"]).expanduser()] if os.environ.get("NETRC") else standard
    # the entry's name is host:port, as wandb itself writes and reads it
    return any(_password(path, urlsplit(server).netloc) for path in paths)


def _password(path: Path, machine: str) -> str | None:
    try:
        entry = netrc.netrc(str(path)).authenticators(machine)
    except (OSError, netrc.NetrcParseError):
        return None
    return entry[2] if entry else None


def answers(server: str) -> bool:
    """Whether the server, or the proxy on the way to it, takes a connection within two seconds."""
    door = _door(server)
    reached = threading.Event()

    def knock() -> None:
        with suppress(OSError, ValueError):
            address = (door.hostname or "", door.port or DEFAULT_PORTS.get(door.scheme, 443))
            socket.create_connection(address, CONNECT_SECONDS).close()
            reached.set()

    # a thread, because looking up the name of a server heeds no time limit
    knocking = threading.Thread(target=knock, daemon=True)
    knocking.start()
    knocking.join(CONNECT_SECONDS)
    return reached.is_set()


def _door(server: str) -> SplitResult:
    parts = urlsplit(server)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.hostname or ""):
        return parts
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")
