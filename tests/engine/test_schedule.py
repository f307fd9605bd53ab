"""Learning rates: torch's schedulers give the rule that the recipes state, at every step."""

import pytest
import torch

from kolbench.engine.schedule import Milestones, WarmupPoly
from kolbench.errors import ConfigError
from kolbench.tasks.fit import _schedule


def rates(schedule, steps, epoch_steps, epochs):
    """The rate in force at each optimiser step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    configured = schedule.configured(optimizer, epoch_steps, epochs)
    found = []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if configured["interval"] == "step" or (step + 1) % epoch_steps == 0:
            configured["scheduler"].step()
    return found


def rule(step, epoch_steps, epochs, gamma, at, warmup_steps=0):
    """The recipes' rule, worked out anew."""
    epoch = step // epoch_steps
    passed = {max(1, round(share * epochs)) for share in at if max(1, round(share * epochs)) <= epoch}
    rise = min(warmup_steps, epoch_steps - 1)
    return 0.5 * gamma ** len(passed) * (1 if step >= rise else 0.001 + 0.999 * step / rise)


@pytest.mark.parametrize(
    ("schedule", "epoch_steps", "epochs"),
    [
        (Milestones(0.1, (0.5, 0.9)), 10, 10),
        (Milestones(0.1, (0.5, 0.9), 5), 10, 10),
        (Milestones(0.1, (0.65, 0.9), 500), 7, 6),
        (Milestones(0.1, (0.25, 0.5, 0.75)), 3, 2),
        (Milestones(0.5, (0.65, 0.9), 50), 1, 3),
    ],
)
def test_the_rate_is_that_of_the_rule_at_every_step(schedule, epoch_steps, epochs):
    steps = epoch_steps * epochs
    wanted = [
        rule(step, epoch_steps, epochs, schedule.gamma, schedule.at, schedule.warmup_steps)
        for step in range(steps)
    ]
    assert rates(schedule, steps, epoch_steps, epochs) == pytest.approx(wanted, rel=1e-12)


def test_the_rate_rises_then_falls_at_its_milestones():
    found = rates(Milestones(0.1, (0.5, 0.9), 50), 1000, 100, 10)
    assert [found[step] for step in (0, 25, 50, 499, 500, 899, 900)] == pytest.approx(
        [0.0005, 0.25025, 0.5, 0.5, 0.05, 0.05, 0.005]
    )
    # never longer than an epoch
    long = rates(Milestones(0.1, (0.5, 0.9), 5000), 101, 100, 10)
    assert long[98] < 0.5
    assert long[99] == pytest.approx(0.5, rel=1e-12)


def test_milestones_are_whole_epochs_and_leave_the_first_alone():
    found = rates(Milestones(0.1, (0.25, 0.5, 0.75)), 20, 10, 2)
    assert [found[step] for step in (9, 10, 19)] == pytest.approx([0.5, 0.05, 0.05])


def test_a_power_of_what_is_left_after_a_rise():
    entry = {"_target_": "kolbench.engine.schedule.WarmupPoly", "power": 2, "warmup_steps": 4}
    # 40 steps: the rise takes 4 of them, the fall 36
    found = rates(_schedule(entry), 41, 8, 5)
    wanted = {0: 0.001, 2: 0.5005, 4: 1, 22: 0.25, 31: 0.0625, 40: 0}
    assert [found[step] for step in wanted] == pytest.approx([0.5 * share for share in wanted.values()])
    # never longer than a tenth, and none where that is no step
    assert WarmupPoly(1, 1000).factor(3, 40) == pytest.approx(0.001 + 0.999 * 3 / 4)
    assert WarmupPoly(1, 1000).factor(4, 40) == 1
    assert WarmupPoly(1, 1000).factor(0, 9) == 1
    for wrong in ({"power": 0}, {"warmup_steps": -1}):
        with pytest.raises(ConfigError, match="WarmupPoly"):
            WarmupPoly(**wrong)


def test_a_recipe_may_name_any_scheduler_of_torch():
    entry = {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "_partial_": True, "T_max": 4}
    by_epoch = rates(_schedule(entry), 8, 2, 4)
    assert by_epoch == pytest.approx([0.5, 0.5, 0.4267767, 0.4267767, 0.25, 0.25, 0.0732233, 0.0732233])
    by_step = rates(_schedule({**entry, "interval": "step"}), 4, 2, 4)
    assert by_step == pytest.approx([0.5, 0.4267767, 0.25, 0.0732233])
    assert _schedule(None) is None


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"gamma": 0.1}, "at: "),
        ({"gamma": 0.1, "at": 0.5}, "at: "),
        ({"gamma": 0.1, "at": [0.5], "warmup": 3}, "warmup_steps"),
        ({"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1, "interval": "day"}, "interval=day"),
        ({"_target_": "torch.optim.lr_scheduler.StepLR", "stepsize": 1}, "step_size"),
    ],
)
def test_a_wrong_scheduler_is_refused(entry, says):
    with pytest.raises(ConfigError, match=says):
        _schedule(entry)
