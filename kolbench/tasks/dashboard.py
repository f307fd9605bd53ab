"""`task=dashboard`: the workspace and the report of a wandb project, sent or saved."""

import json
from dataclasses import dataclass
from pathlib import Path

from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.errors import ConfigError
from kolbench.io.files import write_json
from kolbench.tracking import dashboard
from kolbench.tracking.tracker import one_line
from kolbench.tracking.weights_and_biases import choose_mode

ENTITY = "entity"
WORKSPACE, LAYOUT = "workspace.json", "layout.json"


@dataclass(frozen=True)
class DashboardConfig(TaskConfig):
    """What `task=dashboard` reads. project: PROJECT or ENTITY/PROJECT. output: a folder."""

    project: str | None
    output: Path | None


def run(config: DashboardConfig) -> TaskResult:
    """Saves both on the server where one is reachable, else their specification in `output` (`dashboard/`).

    `project=ENTITY/PROJECT`, or PROJECT of the default entity.

    Raises:
        ConfigError: no project is named, or wandb-workspaces is not installed.
    """
    entity, _, project = (config.project or "").rpartition("/")
    if not project:
        raise ConfigError("task=dashboard needs project=PROJECT or project=ENTITY/PROJECT.")
    output = config.output or Path("dashboard")
    _save(output, entity or ENTITY, project)
    mode, reason = choose_mode("auto")
    if mode != "online":
        print(f"not sent, as wandb is offline ({reason}); the same command sends it later", flush=True)
        return TaskResult()
    try:
        _send(entity or _default_entity(), project)
    except Exception as error:  # the server may refuse in any way; the specification is on disk
        print(f"wandb refused the dashboard ({one_line(error)})", flush=True)
        return TaskResult(failed=1)
    return TaskResult()


def _save(output: Path, entity: str, project: str) -> None:
    output.mkdir(parents=True, exist_ok=True)
    model = dashboard.workspace(entity, project)._to_model()
    write_json(output / WORKSPACE, json.loads(model.model_dump_json(by_alias=True, exclude_none=True)))
    write_json(output / LAYOUT, dashboard.plain(entity, project))
    print(f"specification in {output / WORKSPACE} (wandb's own form) and {output / LAYOUT}", flush=True)


def _send(entity: str, project: str) -> None:
    for what, build in (("workspace", dashboard.workspace), ("report", dashboard.report)):
        saved = build(entity, project).save()
        print(f"{what}: {saved.url}", flush=True)


def _default_entity() -> str:
    import wandb

    return str(wandb.Api().default_entity)
