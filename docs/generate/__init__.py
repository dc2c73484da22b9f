"""Generates reference pages from the code, so that the site cannot drift from it.

``python -m docs.generate`` writes the two committed files, ``docs/openapi.json`` and
``docs/images/packages.svg``. The other pages exist only in the built site; ``hook.py`` adds them.
"""
