"""The findings of `scriptix-operator check` about one topic."""

from collections.abc import Mapping

from scriptix_operator.check import Finding, check

NOBODY = "http://127.0.0.1:9"
"""An address where connections are refused at once."""


async def findings(environment: Mapping[str, str], topic: str) -> list[Finding]:
    """Return the findings about a topic."""
    found = check({"SCRIPTIX_BASE_URL": NOBODY, **environment})
    return [finding async for finding in found if finding.topic == topic]
