"""Number of examples: few in `make test`, many in `make fuzz`, by hypothesis's profile."""

from hypothesis import Phase, settings

__all__ = ["CALLS", "LIVES"]

_NAME = settings.get_current_profile_name()
_PROFILE = settings.get_profile(_NAME)

# `make test` reports a failure as found; only `make fuzz` spends minutes on shrinking it.
_PHASES = [p for p in Phase if p != Phase.shrink] if _NAME == "repeatable" else list(Phase)

CALLS = settings(phases=_PHASES)
"""Examples of single calls and manifests."""

LIVES = settings(max_examples=max(_PROFILE.max_examples // 10, 10), phases=_PHASES)
"""Examples of whole operators: one takes as long as a hundred calls."""
