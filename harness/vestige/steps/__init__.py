"""The steps one by one, from files to files: train, unlearn, evaluate, attack, recommend.

What a step writes is a folder with a manifest, `vestige.json`, that says how it was made: which data, held out how,
which settings, of which base. The next step reads it. A board does all of that by itself, and better: with golds of
its own, several seeds, and users who are withheld by coins.
"""
