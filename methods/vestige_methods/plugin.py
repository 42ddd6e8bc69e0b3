"""The methods that come with Vestige."""

from vestige.hookspecs import hookimpl
from vestige.specs import MethodSpec
from vestige_methods.configs import FinetuneConfig, NoSettings
from vestige_methods.controls_config import DestroyedConfig
from vestige_methods.dual_memory.config import PRESETS, DualMemoryConfig
from vestige_methods.spaces import DUAL_MEMORY, FINETUNE


@hookimpl
def vestige_methods() -> list[MethodSpec]:
    """`do_nothing`, `retrain`, `finetune`, `dual_memory`, and the control rows."""
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
            search=FINETUNE,
        ),
        MethodSpec(
            name="dual_memory",
            version="9",
            summary="Frozen T5, a LoRA side memory trained to forget, and a router that decides which answers.",
            factory="vestige_methods.dual_memory:DualMemory",
            config=DualMemoryConfig,
            presets=PRESETS,
            search=DUAL_MEMORY,
        ),
        MethodSpec(
            name="untrained",
            version="1",
            summary="Control: initial weights. Forgetting without utility must score nothing.",
            factory="vestige_methods.untrained:Untrained",
            config=NoSettings,
            control=True,
        ),
        MethodSpec(
            name="destroyed",
            version="1",
            summary="Control: gradient ascent on F to ruin. Forgetting that breaks the rest must score nothing.",
            factory="vestige_methods.destroyed:Destroyed",
            config=DestroyedConfig,
            control=True,
        ),
        MethodSpec(
            name="overfitted",
            version="1",
            summary="Control: the base trained on F alone. An attack that does not find F here has no power.",
            factory="vestige_methods.overfitted:Overfitted",
            config=NoSettings,
            control=True,
        ),
        MethodSpec(
            name="uniform_on_f",
            version="1",
            summary="Control: uniform answers to exact histories of F. Hiding without forgetting must score nothing.",
            factory="vestige_methods.uniform_on_f:UniformOnF",
            config=NoSettings,
            control=True,
        ),
    ]
