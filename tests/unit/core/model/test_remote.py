"""core/model/remote.py: how a call ended, in few values."""

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind, code_of


def failed(status: int | None) -> CallFailure:
    """A call that failed with this HTTP status."""
    return CallFailure(FailureKind.AMBIGUOUS, "no", status)


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        pytest.param(None, "2xx", id="accepted"),
        pytest.param(failed(429), "429", id="refused"),
        pytest.param(failed(200), "unusable", id="a 2xx with an error"),
        pytest.param(failed(None), "none", id="no reply"),
    ],
)
def test_code_is_that_of_the_reply(failure: CallFailure | None, code: str) -> None:
    assert code_of(failure) == code


def test_codes_are_few_whatever_a_server_replies() -> None:
    codes = {code_of(failed(status)) for status in range(100, 1000)}
    assert "5xx" in codes
    assert len(codes) < 80
