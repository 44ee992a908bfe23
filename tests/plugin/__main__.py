"""`python -m tests.plugin` renews the golden files of the plugin."""

from tests.plugin.golden import GOLDEN, renders

for name, text in renders().items():
    (GOLDEN / name).write_text(text)
