"""check.py: the checks of the admission policy and of the sink of notifications."""

from typing import cast

import pytest

from scriptix_operator import check
from scriptix_operator.check import Severity
from scriptix_operator.core.cluster.permissions import Right
from scriptix_operator.kube.api import KubeApi
from scriptix_operator.settings import load_settings


@pytest.mark.parametrize(
    ("me", "severity"),
    [
        pytest.param("system:serviceaccount:a:operator", Severity.WARN, id="a ServiceAccount"),
        pytest.param("jane@example.com", Severity.NOTE, id="a person"),
    ],
)
async def test_missing_policy_is_a_warning_for_the_operator_only(
    monkeypatch: pytest.MonkeyPatch, me: str, severity: Severity
) -> None:
    async def is_confined(api: KubeApi, namespace: str) -> bool:
        del api, namespace
        return False

    async def missing_verbs(api: KubeApi, right: Right) -> Right:
        del api
        return right

    monkeypatch.setattr(check, "is_confined", is_confined)
    monkeypatch.setattr(check, "missing_verbs", missing_verbs)
    finding = await check._policy(cast("KubeApi", None), "scriptix-system", me)
    assert finding.severity is severity
    assert ("run this check in the operator's pod" in finding.text) is (severity is Severity.NOTE)


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({}, "notifications are off: SCRIPTIX_NOTIFICATION_SECRET is not set"),
        (
            {"SCRIPTIX_NOTIFICATION_SECRET": "hooks"},
            (
                "a sink is configured: url of Secret default/hooks, signed with signing-key of "
                "Secret default/hooks; nothing was sent"
            ),
        ),
        (
            {
                "SCRIPTIX_NOTIFICATION_SECRET": "hooks",
                "SCRIPTIX_NOTIFICATION_URL": "https://hooks.example.com/hush",
            },
            (
                "a sink is configured: SCRIPTIX_NOTIFICATION_URL, signed with signing-key of "
                "Secret default/hooks; nothing was sent"
            ),
        ),
    ],
)
def test_check_never_shows_the_url_of_the_sink(environ: dict[str, str], text: str) -> None:
    settings = load_settings(environ)
    finding = check._notifications(settings)
    assert (finding.severity, finding.topic, finding.text) == (Severity.OK, "notify", text)
    assert "hush" not in repr(settings)
