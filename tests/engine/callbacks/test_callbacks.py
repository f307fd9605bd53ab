"""Lightning's callbacks as the command line names them, in trainings of a moment that may be killed."""

import json

import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging

from kolbench.engine import cache
from kolbench.engine.callbacks.checkpoint import EpochCheckpoint
from kolbench.engine.schedule import TorchSchedule
from kolbench.engine.training import train
from kolbench.errors import ConfigError, TrainingError
from kolbench.io import locks
from kolbench.tasks.fit import _callbacks
from tests.helpers.tasks import configured
from tests.helpers.training import (
    KilledError,
    TakenOver,
    Tiny,
    Watching,
    best_weights,
    contents,
    tiny_config,
    tiny_data,
)

WATCHING = "+callbacks.mine._target_=tests.helpers.training.Watching"


def callbacks_of(*words):
    return _callbacks(configured("task=fit", "experiment=u2netp", *words))


def history(folder):
    return pd.read_csv(folder / "history.csv")


def trained(folder, *callbacks, segmenter=None, **changes):
    folder.mkdir(exist_ok=True)
    changes = {"callbacks": callbacks, **changes}
    return train(segmenter or Tiny(), tiny_data(), tiny_config(**changes), folder)


def test_a_training_without_callbacks_is_the_same_again(tmp_path):
    done = [trained(tmp_path / name) for name in "ab"]
    assert done[0]["best_val_miou"] == done[1]["best_val_miou"]
    assert (tmp_path / "a" / "history.csv").read_bytes() == (tmp_path / "b" / "history.csv").read_bytes()
    assert list(history(tmp_path / "a"))[:5] == ["epoch", "step", "lr", "train/loss", "train/bce"]
    assert json.loads((tmp_path / "a" / "done.json").read_text())["input_size"] == [32, 32]


def test_the_moving_average_is_validated_and_kept_as_the_best(tmp_path):
    average, watching = callbacks_of("callbacks=ema", "callbacks.ema.decay=0.8", WATCHING)
    assert isinstance(average, EMAWeightAveraging)
    done = trained(tmp_path, average, watching)
    averages, now = [], watching.stepped[0]
    for weight in watching.stepped:
        now = now * 0.8 + weight * 0.2
        averages.append(now)
    per_epoch = averages[2::3]
    best = best_weights(tmp_path)["weight"]
    assert torch.allclose(best, per_epoch[done["best_epoch"]], atol=1e-6)
    assert torch.equal(best, watching.validated[done["best_epoch"]])
    assert (best - watching.stepped[2::3][done["best_epoch"]]).abs().max() > 1e-3


@pytest.mark.parametrize("words", [(), ("callbacks=ema", "callbacks.ema.decay=0.8")], ids=["plain", "ema"])
def test_a_killed_training_ends_with_the_same_weights_and_rows(words, tmp_path):
    trained(tmp_path / "whole", *callbacks_of(*words))
    with pytest.raises(KilledError):
        trained(tmp_path / "killed", *callbacks_of(*words), Watching(killed_in_epoch=2))
    trained(tmp_path / "killed", *callbacks_of(*words))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert (whole / "history.csv").read_bytes() == (killed / "history.csv").read_bytes()
    for name, tensor in best_weights(whole).items():
        assert torch.equal(tensor, best_weights(killed)[name])


def test_early_stopping_watches_the_validation_scores(tmp_path):
    words = (
        "callbacks=early_stopping",
        "callbacks.early_stopping.patience=1",
        "+callbacks.early_stopping.min_delta=1",
    )
    trained(tmp_path, *callbacks_of(*words), epochs=6)
    assert len(history(tmp_path)) == 2
    # killed after it had stopped, before it said so
    (tmp_path / "done.json").unlink()
    before = (tmp_path / "history.csv").read_bytes()
    trained(tmp_path, *callbacks_of(*words), epochs=6)
    assert (tmp_path / "history.csv").read_bytes() == before
    with pytest.raises(ConfigError, match=r"val/mIoU.*not available.*val/miou"):
        trained(
            tmp_path / "wrong",
            *callbacks_of("callbacks=early_stopping", "callbacks.early_stopping.monitor=val/mIoU"),
        )


def test_the_learning_rate_monitor_writes_into_the_history(tmp_path):
    rows = []
    schedule = TorchSchedule(lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5))
    data, config = (
        tiny_data(),
        tiny_config(callbacks=callbacks_of("callbacks=lr_monitor"), schedule=schedule, epochs=3),
    )
    train(Tiny(), data, config, tmp_path, lambda epoch, row: rows.append(row))
    assert list(history(tmp_path)["lr-Adam"]) == pytest.approx([0.05, 0.025, 0.0125])
    assert [row["lr-Adam"] for row in rows] == pytest.approx([0.05, 0.025, 0.0125])


def test_a_scheduler_may_watch_a_score(tmp_path):
    def plateau(optimizer):
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", 0.5, patience=0, threshold=1)

    trained(tmp_path, schedule=TorchSchedule(plateau), epochs=3)
    assert list(history(tmp_path)["lr"])[-1] < 0.05


def test_checkpoints_of_lightning_s_own_are_written_too(tmp_path):
    words = [
        f"+callbacks.mine.{entry}"
        for entry in (
            "_target_=lightning.pytorch.callbacks.ModelCheckpoint",
            "monitor=val/miou",
            "mode=max",
            "filename=top",
        )
    ]
    trained(tmp_path, *callbacks_of(*words), epochs=2)
    assert len(list(tmp_path.rglob("top*.ckpt"))) == 1


def test_several_callbacks_are_chosen_together():
    assert [type(each).__name__ for each in callbacks_of("callbacks=[ema,lr_monitor]", WATCHING)] == [
        "EMAWeightAveraging",
        "LearningRateMonitor",
        "Watching",
    ]


def test_what_is_no_callback_is_refused():
    with pytest.raises(ConfigError, match=r"callbacks\.mine: fractions\.Fraction is no Lightning callback"):
        callbacks_of("+callbacks.mine._target_=fractions.Fraction")
    with pytest.raises(ConfigError, match="patience"):
        callbacks_of("callbacks=early_stopping", "+callbacks.early_stopping.patence=1")


def test_pretraining_stops_at_its_score_and_stays_stopped(tmp_path):
    trained(tmp_path, segmenter=Tiny(stop_f=0.01), epochs=1)
    rows = history(tmp_path / "encoder")
    assert list(rows["step"]) == [2]
    done = json.loads((tmp_path / "encoder" / "done.json").read_text())
    assert (done["steps"], done["max_f"]) == (2, rows["val/max_f"][0])
    assert json.loads((tmp_path / "done.json").read_text())["pretraining"]["encoder"] == done
    # killed after its last check, before it said so
    (tmp_path / "encoder" / "done.json").unlink()
    trained(tmp_path, segmenter=Tiny(stop_f=0.01), epochs=1)
    again = json.loads((tmp_path / "encoder" / "done.json").read_text())
    assert {**again, "seconds": 0} == {**done, "seconds": 0}
    assert len(history(tmp_path / "encoder")) == 1


def test_pretraining_that_never_scores_enough_ends_at_its_last_step(tmp_path):
    trained(tmp_path, segmenter=Tiny(stop_f=1.0), epochs=1)
    assert list(history(tmp_path / "encoder")["step"]) == [2, 4, 6, 8]


@pytest.mark.parametrize("stops", [True, False])
def test_a_loss_that_is_no_number_stops_a_training_unless_told_otherwise(stops, tmp_path):
    class Broken(Tiny):
        def losses(self, batch):
            return {**super().losses(batch), "edge": super().losses(batch)["bce"].detach() * float("nan")}

    if not stops:
        trained(tmp_path, segmenter=Broken(), epochs=1, stop_on_nan=False)
        return
    with pytest.raises(TrainingError, match=r"not finite in epoch 0 \(terms: edge; images: p\d, p\d\)"):
        trained(tmp_path, segmenter=Broken(), epochs=1)


def test_a_training_whose_folder_another_process_has_taken_over_writes_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "POLL_S", 0.01)
    other = TakenOver()
    config = tiny_config(callbacks=[other])
    with cache.training(tmp_path, "tiny", "abc", {}, "auto") as found:
        with pytest.raises(TrainingError, match=r"Another process has taken over .*tiny-abc"):
            train(Tiny(), tiny_data(), config, found.folder, permit=found.require_held)
        assert {"last.ckpt", "best.ckpt", "history.csv"} <= set(other.files)
        assert contents(found.folder) == other.files
    # nor does it end the other's lock
    assert contents(found.folder) == other.files


def test_a_checkpoint_is_not_written_without_a_permit(tmp_path):
    def refuse():
        raise TrainingError("lost")

    keeper = EpochCheckpoint(tmp_path, permit=refuse)
    with pytest.raises(TrainingError, match="lost"):
        keeper.on_train_epoch_end(None, None)
    assert contents(tmp_path) == {}
