"""Renews the outputs of all stories: `python -m tests.golden`. Review the difference."""

from tests.golden.documents import read_story, stories, write_story
from tests.golden.player import played

for path in stories():
    path.write_text(write_story(played(read_story(path.read_text()))))
