"""The tuning score: what `vestige tune` maximises.

    tuning score = harmonic mean of FF and U

FF is fidelity and U utility, as the score has them (`fidelity`, `score`), on the views that the cell is given; while
settings are tuned these ask for validation items and never for test items. Privacy and recovery are no part of it: they
are what a method is judged by, and what was looked at while it was tuned judges no more.
"""

from collections.abc import Iterator

from vestige.measuring.contract import Context, Measurement, measured
from vestige.measuring.statistics import Estimate, harmonic_mean
from vestige_metrics.configs import NoSettings
from vestige_metrics.fidelity import forgetting_fidelity
from vestige_metrics.score import utility


class Tuning:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`tuning_fidelity`, `tuning_utility` and `tuning_score`."""
        faithful = forgetting_fidelity(context) if context.has("forget") else (None, "there are no such queries of F")
        useful = utility(context)
        yield measured("tuning_fidelity", "", faithful[0], "higher", note=faithful[1])
        yield measured("tuning_utility", "", useful[0], "higher", note=useful[1])
        if faithful[0] is None or useful[0] is None:
            terms = (("fidelity", faithful), ("utility", useful))
            missing = [f"{name} ({note.removeprefix('UNDEFINED: ')})" for name, (value, note) in terms if value is None]
            yield measured("tuning_score", "", None, "higher", note=f"UNDEFINED: {'; '.join(missing)}")
            return
        yield measured("tuning_score", "", tuning_score(faithful[0], useful[0]), "higher")


def tuning_score(fidelity: Estimate, utility: Estimate) -> Estimate:
    """2 FF U / (FF + U); 0 where one of them is 0."""
    return harmonic_mean((fidelity, utility))
