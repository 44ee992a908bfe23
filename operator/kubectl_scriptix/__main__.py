"""`python -m kubectl_scriptix`."""

from kubectl_scriptix.app import main

__all__: list[str] = []

main()
