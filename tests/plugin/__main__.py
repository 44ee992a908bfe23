"""`python -m tests.plugin` renews the golden files of the plugin, and the pictures of its page."""

from tests.plugin.golden import GOLDEN, PAGE, PICTURES, page, pictures, renders

for folder, files in ((GOLDEN, renders()), (PICTURES, pictures())):
    for name, text in files.items():
        (folder / name).write_text(text)
PAGE.write_text(page())
