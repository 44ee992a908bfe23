"""How much is tried: little in `make test`, much in `make fuzz`, by hypothesis's profile."""

from hypothesis import Phase, settings

__all__ = ["CALLS", "LIVES"]

_NAME = settings.get_current_profile_name()
_PROFILE = settings.get_profile(_NAME)

# A failure is told at once, as it was found; only `make fuzz` takes minutes to make it smaller.
_PHASES = [p for p in Phase if p != Phase.shrink] if _NAME == "repeatable" else list(Phase)

CALLS = settings(phases=_PHASES)
"""Of single calls and manifests."""

LIVES = settings(max_examples=max(_PROFILE.max_examples // 10, 10), phases=_PHASES)
"""Of whole operators: one takes as long as a hundred calls."""
