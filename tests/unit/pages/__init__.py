"""Numbers and names on the pages in docs/ are those of the code."""
