"""What Vestige reads to list the plugin."""

import vestige
from shrink_weights.config import ShrinkConfig
from vestige.specs import MethodSpec


@vestige.hookimpl
def vestige_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            name="shrink",
            version="1",
            summary="Shrinks all weights.",
            factory="shrink_weights.method:Shrink",
            config=ShrinkConfig,
        )
    ]
