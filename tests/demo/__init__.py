"""The demo: its pure parts here and there, and all of it as a person runs it."""
