"""Options of Lightning's Trainer: its own pass, unknown and decided ones are refused in words."""

import pytest

from kolbench.config.old_names import current_word
from kolbench.engine.trainer import check_options, make_trainer
from kolbench.errors import ConfigError
from tests.helpers.training import ALONE


def test_lightning_s_own_options_reach_the_trainer(tmp_path):
    options = {"precision": "32-true", "gradient_clip_val": 0.5, "max_time": "00:00:01:00"}
    trainer = make_trainer(options, ALONE, 3, tmp_path, [], "training")
    assert trainer.gradient_clip_val == 0.5
    assert trainer.max_epochs == 3
    callbacks = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it from outside the class
    (timer,) = [each for each in callbacks if type(each).__name__ == "Timer"]
    assert timer.time_remaining() == 60


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("max_tme", r"no option max_tme\. Did you mean trainer\.max_time\?"),
        ("max_epochs", r"trainer\.max_epochs cannot be set; what decides it: budget\.epochs\."),
        ("use_distributed_sampler", r"trainer\.devices"),
        ("logger", "logger=tensorboard"),
        ("callbacks", "callbacks=ema"),
        ("stop_on_nan", r"budget\.stop_on_nan"),
    ],
)
def test_other_options_are_refused_in_words(key, says):
    with pytest.raises(ConfigError, match=says):
        check_options({"precision": "32-true", key: 1})


def test_a_value_that_lightning_refuses_is_no_stack_trace(tmp_path):
    with pytest.raises(ConfigError, match="profiler"):
        make_trainer({"profiler": "guess"}, ALONE, 1, tmp_path, [], "training")


def test_keys_by_their_old_names_are_understood():
    assert current_word("trainer.stop_on_nan=false") == "budget.stop_on_nan=false"
    assert current_word("budget.stage_steps=6") == "budget.pretraining_steps=6"
    assert current_word("+budget.stage_check_every=2") == "++budget.pretraining_check_every=2"
