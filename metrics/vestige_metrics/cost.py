"""Cost of making and asking a model, as ratios to retraining from scratch (gold)."""

from collections.abc import Iterator

from vestige.measuring.contract import Context, Measurement
from vestige_metrics.configs import NoSettings

REQUESTS = (1, 10, 100)


class Cost:
    """Ratios of what was recorded when the models were made; timings vary from run to run."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`seconds`, the ratios `cost_seconds`, `cost_flops`, …, and `cost_amortised@n` for n requests.

        Amortised: (set-up / n + the rest) over the seconds of one retraining.
        """
        own, gold = context.subject.cost, context.roles["gold"].cost
        yield Measurement("seconds", "", own.seconds, better="lower", unit="s", varies=True)
        pairs = {
            "seconds": (own.seconds, gold.seconds),
            "flops": (own.flops, gold.flops),
            "parameters": (own.trainable_parameters, gold.trainable_parameters),
            "peak_memory": (own.peak_bytes, gold.peak_bytes),
            "stored_bytes": (own.stored_bytes, gold.stored_bytes),
            "latency": (own.latency, gold.latency),
        }
        for name, (mine, its) in pairs.items():
            if mine is None or not its:
                note = "not counted by the method" if mine is None else "not counted for gold"
                yield Measurement(f"cost_{name}", "", None, better="lower", unit="× retrain", note=note, varies=True)
            else:
                note = f"not counted: {', '.join(own.uncounted)}" if name == "flops" and own.uncounted else ""
                ratio = mine / its
                yield Measurement(f"cost_{name}", "", ratio, better="lower", unit="× retrain", note=note, varies=True)
        for requests in REQUESTS:
            seconds = own.setup_seconds / requests + own.seconds - own.setup_seconds
            yield Measurement(
                f"cost_amortised@{requests}",
                "",
                seconds / gold.seconds,
                better="lower",
                unit="× retrain",
                varies=True,
            )
