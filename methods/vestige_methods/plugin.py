"""The methods that come with Vestige."""

from vestige.hookspecs import hookimpl
from vestige.specs import MethodSpec
from vestige_methods.configs import FinetuneConfig, NoSettings
from vestige_methods.dual_memory.config import PRESETS, DualMemoryConfig


@hookimpl
def vestige_methods() -> list[MethodSpec]:
    """`do_nothing`, `retrain`, `finetune` and `dual_memory`."""
    return [
        MethodSpec(
            name="do_nothing",
            version="1",
            summary="Ignores the request: the base itself.",
            factory="vestige_methods.do_nothing:DoNothing",
            config=NoSettings,
        ),
        MethodSpec(
            name="retrain",
            version="1",
            summary="Retrains from scratch on what is retained: gold itself.",
            factory="vestige_methods.retrain:Retrain",
            config=NoSettings,
            same_as="gold",
        ),
        MethodSpec(
            name="finetune",
            version="1",
            summary="Trains on, on the retained data, for a share of the budget.",
            factory="vestige_methods.finetune:Finetune",
            config=FinetuneConfig,
        ),
        MethodSpec(
            name="dual_memory",
            version="1",
            summary="Frozen T5, a LoRA side memory trained to forget, and a router that decides which answers.",
            factory="vestige_methods.dual_memory:DualMemory",
            config=DualMemoryConfig,
            presets=PRESETS,
        ),
    ]
