"""Names of earlier versions that still work: keys of the command line, and of saved configurations.

Old values stand beside today's (preprocessing, data.config), old keys of run.json in runs.record.
"""

import sys
from collections.abc import Mapping

# old key -> new key; printed once where it is typed
OLD_KEYS: Mapping[str, str] = {
    "model.input_rule": "model.resize_mode",
    "budget.stage_steps": "budget.pretraining_steps",
    "budget.stage_check_every": "budget.pretraining_check_every",
    "trainer.stop_on_nan": "budget.stop_on_nan",
    "clean": "foreground",
}
# model.rule was the resize mode of ONNX files; K-Means and Mean Shift have a model.rule with other values
OLD_RESIZE_RULES = ("squash", "short_side", "modnet", "native", "stretch", "shortest_edge")
# dotted paths in saved configurations and in YAML files of users
OLD_TARGETS: Mapping[str, str] = {
    "kolbench.data.davis.DavisSource": "kolbench.data.sources.davis.DavisSource",
    "kolbench.data.labelme.LabelmeSource": "kolbench.data.sources.labelme.LabelmeSource",
    "kolbench.data.sources.FolderSource": "kolbench.data.sources.folder.FolderSource",
    "kolbench.data.sources.KolSource": "kolbench.data.sources.kol.KolSource",
    "kolbench.data.synthetic_source.SyntheticSource": "kolbench.data.sources.synthetic.SyntheticSource",
    "kolbench.data.tiktok.TiktokSource": "kolbench.data.sources.tiktok.TiktokSource",
    "kolbench.models.classic.GrabCutSegmenter": "kolbench.models.classic.grabcut.GrabCutSegmenter",
    "kolbench.models.classic.KMeansSegmenter": "kolbench.models.classic.kmeans.KMeansSegmenter",
    "kolbench.models.classic.MeanShiftSegmenter": "kolbench.models.classic.meanshift.MeanShiftSegmenter",
    "kolbench.models.outsider.MasksSegmenter": "kolbench.models.precomputed.MasksSegmenter",
    "kolbench.models.outsider.OnnxSegmenter": "kolbench.models.onnx.OnnxSegmenter",
    "kolbench.refine.grabcut.GrabCutRefiner": "kolbench.refiners.grabcut.GrabCutRefiner",
    "kolbench.refine.guided.GuidedFilter": "kolbench.refiners.guided.GuidedFilter",
    "kolbench.refine.none.Unrefined": "kolbench.refiners.none.Unrefined",
    "kolbench.video.ad.Placement": "kolbench.video.compositing.ad.Placement",
    "kolbench.video.backdrops.make_backdrop": "kolbench.video.compositing.backdrops.make_backdrop",
    "kolbench.video.composite.Look": "kolbench.video.compositing.composite.Look",
    "kolbench.video.smooth.Hysteresis": "kolbench.video.temporal.smooth.Hysteresis",
    "kolbench.video.smooth.MovingAverage": "kolbench.video.temporal.smooth.MovingAverage",
    "kolbench.video.smooth.OneFrameDelay": "kolbench.video.temporal.smooth.OneFrameDelay",
    "kolbench.video.smooth.Unsmoothed": "kolbench.video.temporal.smooth.Unsmoothed",
}


def current_key(key: str, value: object) -> str:
    """A key by today's name; `value` decides where two options had one name."""
    if key == "model.rule" and set(str(value).split(",")) <= set(OLD_RESIZE_RULES):
        return "model.resize_mode"
    return OLD_KEYS.get(key, key)


def current_word(word: str) -> str:
    """An override with its key by today's name; says so on stderr where it had an old one."""
    signs = word[: len(word) - len(word.lstrip("+~"))]
    key, sign, value = word[len(signs) :].partition("=")
    today = current_key(key, value)
    if not sign or today == key:
        return word
    print(f"kolbench: {key}= is called {today}= now", file=sys.stderr)
    # `+` asks for a new key, but today's may be there already
    return f"{'++' if signs == '+' else signs}{today}={value}"


def current_model(values: Mapping[str, object]) -> dict[str, object]:
    """A `model` group that an earlier version wrote, with today's names of its keys."""
    today = {
        current_key(f"model.{key}", value).removeprefix("model."): value for key, value in values.items()
    }
    training = today.get("training")
    if isinstance(training, Mapping) and isinstance(training.get("recipes"), Mapping):
        recipes = {name: current_recipe(recipe) for name, recipe in training["recipes"].items()}
        today["training"] = {**training, "recipes": recipes}
    return today


def current_recipe(recipe: object) -> object:
    """A recipe whose `augment` is a list of transforms, where an earlier version wrote three numbers."""
    given = recipe.get("augment") if isinstance(recipe, Mapping) else None
    if not isinstance(recipe, Mapping) or not isinstance(given, Mapping):
        return recipe
    v2 = "torchvision.transforms.v2"
    steps: list[dict[str, object]] = []
    if float(given.get("crop", 1)) < 1:
        steps.append({"_target_": "kolbench.data.transforms.RandomCropShare", "share": given["crop"]})
    for key, name in (("vertical", "RandomVerticalFlip"), ("horizontal", "RandomHorizontalFlip")):
        if float(given.get(key, 0)) > 0:
            steps.append({"_target_": f"{v2}.{name}", "p": given[key]})
    return {**recipe, "augment": steps}


def current_target(name: str) -> str:
    """The dotted path of a class or function by today's name."""
    return OLD_TARGETS.get(name, name)
