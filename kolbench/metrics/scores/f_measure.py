"""F, named by beta squared: papers that say "beta = 0.3" mean one or the other."""

from functools import partial

from kolbench.metrics.formulas import f_measure
from kolbench.metrics.score import Score, of_confusion, of_pooled_confusion, register
from kolbench.metrics.wording import EMPTY, PICTURES, POOLED

_MEANING = {
    0.3: "F with beta squared = 0.3",
    0.09: "F with beta squared = 0.09 (beta = 0.3)",
    1.0: "F with beta squared = 1 (Dice)",
}

for _beta2, _meaning in _MEANING.items():
    register(
        Score(
            f"f{_beta2:g}",
            f"{_meaning}, {PICTURES}; {EMPTY}",
            per_image=of_confusion(partial(f_measure, beta2=_beta2)),
            shown=_beta2 == 1,
        )
    )
for _beta2 in (0.3, 0.09):
    register(
        Score(
            f"f{_beta2:g}_pooled",
            f"{_MEANING[_beta2]}, {POOLED}; {EMPTY}",
            pooled=of_pooled_confusion(partial(f_measure, beta2=_beta2)),
            shown=True,
        )
    )
