"""Means `vestige_methods`."""

import vestige


@vestige.hookimpl
def vestige_method():
    return []
