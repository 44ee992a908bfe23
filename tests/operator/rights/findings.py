"""What `scriptix-operator check` finds about one topic."""

from collections.abc import Mapping

from scriptix_operator.check import Finding, check

NOBODY = "http://127.0.0.1:9"
"""Where no API answers, and that is known at once."""


async def findings(environment: Mapping[str, str], topic: str) -> list[Finding]:
    """What is found about a topic."""
    found = check({"SCRIPTIX_BASE_URL": NOBODY, **environment})
    return [finding async for finding in found if finding.topic == topic]
