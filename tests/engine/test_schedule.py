"""Learning rates: torch's schedulers give the rule that the recipes state, at every step."""

import pytest
import torch

from kolbench.config import compose
from kolbench.engine.module import SegmentationModule
from kolbench.engine.schedule import PART, Milestones, PolyByStepKind, WarmupPoly
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


EACH_KIND = {"image": {"body": 1, "rest": 0}, "video": {"body": 0.01, "rest": 1}}
IN_TURN = ("image", "video", "video")


def two_rates(schedule, steps, epoch_steps, epochs):
    """Those of the body and of the rest at some steps, from 2.5e-4 and 2.5e-3."""
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD(
        [
            {"params": [parameters[0]], "lr": 2.5e-4, PART: "body"},
            {"params": [parameters[1]], "lr": 2.5e-3, PART: ""},
        ],
        lr=1,
    )
    scheduler = schedule.configured(optimizer, epoch_steps, epochs)["scheduler"]
    found = {}
    for step in range(max(steps) + 1):
        if step in steps:
            found[step] = [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        scheduler.step()
    return [found[step] for step in steps]


def test_golden_rates_of_cosnet():
    """video_rivals.md: 60 epochs of 130 steps; of image and video steps, and of the seventh epoch."""
    schedule = PolyByStepKind(0.9, 6, EACH_KIND).in_order(IN_TURN * 44)
    found = two_rates(schedule, [0, 1, 779, 780, 7799], 130, 60)
    assert found[0] == [2.5e-4, 0]
    assert found[1] == pytest.approx([2.499711537e-6, 2.499711537e-3], rel=1e-9)
    # 779 is the last of an epoch of 130, 129 = 0 mod 3, so an image step
    assert found[2] == pytest.approx([2.274122955e-4, 0], rel=1e-9)
    assert found[3] == pytest.approx([1.136915720e-4, 0], rel=1e-9)
    assert found[4] == pytest.approx([3.926674e-8, 0], rel=1e-6)


# method, recipe -> share of L of the body on clips, of rates from epoch 6 on, frozen_at_zero
RECIPES = [
    ("pdnet", "official", 0.01, 0.5, False),
    ("pdnet", "paper", 0.1, 1.0, True),
    ("cosnet", "official", 0.01, 0.5, False),
    ("cosnet", "paper", 0.01, 0.5, False),
]


@pytest.mark.parametrize(("name", "recipe", "share", "halved", "frozen"), RECIPES)
def test_recipes_have_the_rates_of_the_released_code_or_the_paper(name, recipe, share, halved, frozen):
    model = compose.model_config(name, "smoke", recipe=recipe, backbone="mobilenet_v2")
    chosen = model.chosen_recipe
    made = _schedule(chosen.scheduler)
    assert isinstance(made, PolyByStepKind)
    schedule = made.in_order(IN_TURN * 44)
    assert schedule.frozen_at_zero == frozen
    (part, own), *others = chosen.lr_factors.items()
    assert others == []

    def rates_at(step):
        body, heads = (schedule.factor(which, step, 130, 60) for which in (part, ""))
        lr = chosen.optimizer["lr"]
        return lr * own * body, lr * heads

    left = [(1 - step / 7800) ** 0.9 for step in range(7800)]
    assert rates_at(0) == pytest.approx((2.5e-4, 0))
    assert rates_at(1) == pytest.approx((share * 2.5e-4 * left[1], 2.5e-3 * left[1]))
    assert rates_at(2) == pytest.approx((share * 2.5e-4 * left[2], 2.5e-3 * left[2]))
    assert rates_at(780) == pytest.approx((halved * 2.5e-4 * left[780], 0))
    # 7799 is step 129 of its epoch, 0 mod 3
    assert rates_at(7799) == pytest.approx((halved * 2.5e-4 * left[7799], 0))


@pytest.mark.parametrize(
    ("name", "body", "rest"), [("pdnet", 1_811_712, 1_699_719), ("cosnet", 3_739_266, 607_106)]
)
def test_parts_of_a_method_are_its_body_and_its_heads(name, body, rest):
    model = compose.model_config(name, "smoke", backbone="mobilenet_v2")
    with torch.device("meta"):
        method = compose.build_segmenter(model)
    module = SegmentationModule(method, lr_factors=model.chosen_recipe.lr_factors)
    found = {part: sum(p.numel() for p in group) for part, (_, group) in module._groups.items()}
    assert sorted(found.values()) == sorted([body, rest])
    assert found[""] == rest


def test_rates_of_pdnets_text_are_not_halved():
    kinds = {"image": {"body": 1, "rest": 0}, "video": {"body": 0.1, "rest": 1}}
    schedule = PolyByStepKind(0.9, None, kinds).in_order(IN_TURN)
    (image, video) = two_rates(schedule, [18, 19], 3, 60)
    left = [(1 - step / 180) ** 0.9 for step in (18, 19)]
    assert image == pytest.approx([2.5e-4 * left[0], 0])
    assert video == pytest.approx([2.5e-5 * left[1], 2.5e-3 * left[1]])


def test_kinds_begin_anew_with_each_epoch_unless_they_are_counted_on():
    aligned = PolyByStepKind(1.0, None, EACH_KIND).in_order(["image", "video", "video", "image"])
    counted = PolyByStepKind(1.0, None, EACH_KIND, phases="official").in_order(aligned.order, IN_TURN)
    heads = {
        name: [rest > 0 for _, rest in two_rates(schedule, list(range(8)), 4, 2)]
        for name, schedule in (("aligned", aligned), ("counted", counted))
    }
    assert heads["aligned"] == [False, True, True, False] * 2
    assert heads["counted"] == [False, True, True, False, True, True, False, True]


def test_where_there_are_no_kinds_every_part_keeps_its_rate():
    found = two_rates(PolyByStepKind(1.0, None, EACH_KIND), [0, 5], 5, 2)
    assert found == [pytest.approx([2.5e-4, 2.5e-3]), pytest.approx([1.25e-4, 1.25e-3])]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"power": 0}, "power=0 must be above 0"),
        ({"halve_epoch": -1}, "halve_epoch=-1"),
        ({"phases": "both"}, "PolyByStepKind.phases=both is not a choice"),
        ({"rates": {"sound": {}}}, "PolyByStepKind.rates=sound is not a choice"),
        ({"rates": {"image": {"body": -1}}}, r"rates\.image\.body=-1 must be from 0 on"),
    ],
)
def test_a_wrong_schedule_by_kinds_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        PolyByStepKind(**values)
