"""Lists well, and fails when it is run."""

import vestige
from vestige.specs import MethodSpec


@vestige.hookimpl
def vestige_methods():
    return [
        MethodSpec(name="factory_raises", version="1", summary="Is not made.", factory="broken_twins.methods:Raises"),
        MethodSpec(name="hangs", version="1", summary="Never ends.", factory="broken_twins.methods:Hangs"),
        MethodSpec(name="eats_memory", version="1", summary="Takes all there is.", factory="broken_twins.methods:Eats"),
    ]
