"""Takes a name that exists."""

import vestige
from vestige.specs import MethodSpec


@vestige.hookimpl
def vestige_methods():
    return [MethodSpec(name="finetune", version="1", summary="Taken.", factory="broken_twins.methods:Hangs")]
