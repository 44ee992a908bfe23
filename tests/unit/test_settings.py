"""settings.py: the contract with users, and one line for each error."""

import socket

import pytest
from pydantic import SecretStr

from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.settings import (
    Settings,
    SettingsError,
    load_settings,
    unknown_settings,
)


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    assert dict(load_settings({})) == {
        "allow_insecure_http": False,
        "base_url": "https://api.scriptix.io",
        "auth_header": "Authorization",
        "auth_scheme": "Bearer",
        "default_secret": "",
        "default_key_namespaces": (),
        "limit_starts": (Limit(5, 3600.0),),
        "limit_status": (Limit(100, 60.0),),
        "limit_logs": (Limit(20, 3600.0),),
        "watch_namespaces": (),
        "http_host": "0.0.0.0",  # noqa: S104 - the documented default
        "http_port": 8080,
        "leader_election": True,
        "log_format": "json",
        "log_level": "INFO",
        "send_window": 5.0,
        "post_timeout": 30.0,
        "start_grace_period": 10.0,
        "results_wait": 120.0,
        "log_wait": 120.0,
        "resync_interval": 300.0,
        "secret_ttl": 60.0,
        "notification_secret": "",
        "notification_url": SecretStr(""),
        "pod_namespace": "default",
        "pod_name": socket.gethostname(),
    }


def test_each_variable_reaches_its_setting() -> None:
    settings = load_settings(
        {
            "SCRIPTIX_ALLOW_INSECURE_HTTP": "true",
            "SCRIPTIX_BASE_URL": "http://API.example:8099/v9/",
            "SCRIPTIX_AUTH_HEADER": "X-Api-Key",
            "SCRIPTIX_AUTH_SCHEME": "",
            "SCRIPTIX_DEFAULT_SECRET": "shared-key",
            "SCRIPTIX_DEFAULT_KEY_NAMESPACES": "team-a, team-b,,team-a",
            "SCRIPTIX_LIMIT_STARTS": "5/1h,20/1d",
            "SCRIPTIX_LIMIT_STATUS": "10/500ms",
            "SCRIPTIX_LIMIT_LOGS": "1/1d",
            "SCRIPTIX_WATCH_NAMESPACES": "team-a,team-b",
            "SCRIPTIX_HTTP_HOST": "::1",
            "SCRIPTIX_HTTP_PORT": "0",
            "SCRIPTIX_LEADER_ELECTION": "false",
            "SCRIPTIX_LOG_FORMAT": "text",
            "SCRIPTIX_LOG_LEVEL": "debug",
            "SCRIPTIX_SEND_WINDOW": "100ms",
            "SCRIPTIX_POST_TIMEOUT": "1s",
            "SCRIPTIX_START_GRACE_PERIOD": "200ms",
            "SCRIPTIX_RESULTS_WAIT": "500ms",
            "SCRIPTIX_LOG_WAIT": "1s",
            "SCRIPTIX_RESYNC_INTERVAL": "2s",
            "SCRIPTIX_SECRET_TTL": "1s",
            "SCRIPTIX_NOTIFICATION_SECRET": "scriptix-notifications",
            "SCRIPTIX_NOTIFICATION_URL": " http://127.0.0.1:9/hooks?token=hush ",
            "POD_NAMESPACE": "scriptix-system",
            "POD_NAME": "scriptix-operator-0",
        }
    )
    assert dict(settings) == {
        "allow_insecure_http": True,
        "base_url": "http://api.example:8099/v9",
        "auth_header": "X-Api-Key",
        "auth_scheme": "",
        "default_secret": "shared-key",
        "default_key_namespaces": ("team-a", "team-b"),
        "limit_starts": (Limit(5, 3600.0), Limit(20, 86400.0)),
        "limit_status": (Limit(10, 0.5),),
        "limit_logs": (Limit(1, 86400.0),),
        "watch_namespaces": ("team-a", "team-b"),
        "http_host": "::1",
        "http_port": 0,
        "leader_election": False,
        "log_format": "text",
        "log_level": "DEBUG",
        "send_window": 0.1,
        "post_timeout": 1.0,
        "start_grace_period": 0.2,
        "results_wait": 0.5,
        "log_wait": 1.0,
        "resync_interval": 2.0,
        "secret_ttl": 1.0,
        "notification_secret": "scriptix-notifications",
        "notification_url": SecretStr("http://127.0.0.1:9/hooks?token=hush"),
        "pod_namespace": "scriptix-system",
        "pod_name": "scriptix-operator-0",
    }


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        (
            "SCRIPTIX_LIMIT_STARTS",
            "5 per hour",
            '"5 per hour" is not count/duration, for example 5/1h',
        ),
        ("SCRIPTIX_LIMIT_STATUS", "0/1m", '"0/1m" allows no call at all'),
        ("SCRIPTIX_LIMIT_LOGS", "2/1h,1/1d", "2/1h never takes effect beside 1/1d"),
        (
            "SCRIPTIX_BASE_URL",
            "ftp://x",
            "is not an http(s) URL, for example https://api.scriptix.io",
        ),
        (
            "SCRIPTIX_BASE_URL",
            "https://x:0",
            "is not an http(s) URL, for example https://api.scriptix.io",
        ),
        ("SCRIPTIX_BASE_URL", "https://x:y", "is not a URL, for example https://api.scriptix.io"),
        ("SCRIPTIX_BASE_URL", "https://x/?a=1", "has a query, a fragment or white space in it"),
        (
            "SCRIPTIX_BASE_URL",
            "https://me:hush@api.scriptix.io",
            "has a user or password in it; the API key comes from a Secret",
        ),
        (
            "SCRIPTIX_BASE_URL",
            "http://api.scriptix.io",
            (
                "sends API keys in plain http to a host that is not loopback; use https, "
                "or set SCRIPTIX_ALLOW_INSECURE_HTTP=true"
            ),
        ),
        ("SCRIPTIX_AUTH_HEADER", "X Key", "is not the name of a header, for example Authorization"),
        ("SCRIPTIX_AUTH_SCHEME", "Bearer hush", "is not one word, for example Bearer, or empty"),
        (
            "SCRIPTIX_DEFAULT_SECRET",
            "hush_HUSH",
            "is not the name of a Secret (is it the key itself?)",
        ),
        (
            "SCRIPTIX_DEFAULT_KEY_NAMESPACES",
            "*",
            "is set, but SCRIPTIX_DEFAULT_SECRET names no Secret",
        ),
        (
            "SCRIPTIX_NOTIFICATION_SECRET",
            "hush!",
            "is not the name of a Secret (is it the key itself?)",
        ),
        (
            "SCRIPTIX_NOTIFICATION_URL",
            "https://hooks.example.com/hush",
            "is set, but SCRIPTIX_NOTIFICATION_SECRET names no Secret",
        ),
        (
            "SCRIPTIX_NOTIFICATION_URL",
            "http://127.0.0.1/hush",
            "is plain http; use https, or a loopback host with SCRIPTIX_ALLOW_INSECURE_HTTP=true",
        ),
        ("SCRIPTIX_WATCH_NAMESPACES", "*", "has `*`; leave it empty to serve all namespaces"),
        ("SCRIPTIX_WATCH_NAMESPACES", "a,B", '"B" is not the name of a namespace'),
        ("SCRIPTIX_HTTP_HOST", "pod", '"pod" is not an IP address'),
        ("SCRIPTIX_HTTP_PORT", "65536", '"65536": input should be less than or equal to 65535'),
        (
            "SCRIPTIX_HTTP_PORT",
            "tcp://10.0.0.7:80",
            (
                "a Service of this namespace sets it, too; "
                "set it, or enableServiceLinks: false in the Pod"
            ),
        ),
        (
            "SCRIPTIX_LEADER_ELECTION",
            "perhaps",
            '"perhaps": input should be a valid boolean, unable to interpret input',
        ),
        ("SCRIPTIX_LOG_FORMAT", "xml", "\"xml\": input should be 'json' or 'text'"),
        (
            "SCRIPTIX_LOG_LEVEL",
            "a\nb",
            "\"a b\": input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'",
        ),
        ("SCRIPTIX_SEND_WINDOW", "61s", "61s is not between 0 and 1m"),
        ("SCRIPTIX_POST_TIMEOUT", "0s", '"0s" is no time at all'),
        ("SCRIPTIX_START_GRACE_PERIOD", "11m", "11m is not between 0 and 10m"),
        ("SCRIPTIX_RESYNC_INTERVAL", "2d", "2d is not between 0 and 1d"),
        ("SCRIPTIX_SECRET_TTL", "2m", "2m is not between 0 and 1m"),
        ("POD_NAMESPACE", "", "is not the name of a namespace"),
        ("POD_NAME", "", "string should have at least 1 character"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(variable: str, value: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({variable: value})
    assert str(caught.value) == f"{variable}: {problem}"
    # A value that may contain a pasted credential is not repeated, nor kept as the cause.
    assert "hush" not in str(caught.value).lower()
    assert caught.value.__suppress_context__


def test_all_bad_settings_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"SCRIPTIX_HTTP_PORT": "x", "SCRIPTIX_START_GRACE_PERIOD": "soon"})
    line = str(caught.value)
    assert "SCRIPTIX_HTTP_PORT: " in line
    assert "; SCRIPTIX_START_GRACE_PERIOD: " in line
    assert "\n" not in line


def test_a_bad_switch_is_not_blamed_on_the_url_that_needs_it() -> None:
    with pytest.raises(SettingsError, match=r"^SCRIPTIX_ALLOW_INSECURE_HTTP: [^;]*$"):
        load_settings(
            {"SCRIPTIX_BASE_URL": "http://example", "SCRIPTIX_ALLOW_INSECURE_HTTP": "perhaps"}
        )


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8099", "http://127.8.8.8", "http://[::1]:80", "http://localhost:1"]
)
def test_plain_http_is_fine_on_loopback(url: str) -> None:
    assert load_settings({"SCRIPTIX_BASE_URL": url}).base_url == url


@pytest.mark.parametrize("host", ["127.0.0.1.example", "localhost.example", "10.0.0.1"])
def test_plain_http_is_refused_on_a_loopback_lookalike(host: str) -> None:
    with pytest.raises(SettingsError, match="plain http"):
        load_settings({"SCRIPTIX_BASE_URL": f"http://{host}"})


@pytest.mark.parametrize(
    ("allowed", "namespace", "may"),
    [("", "a", False), ("*", "a", True), ("a,b", "b", True), ("a,b", "c", False)],
)
def test_the_default_key_is_for_the_namespaces_named(
    allowed: str, namespace: str, *, may: bool
) -> None:
    settings = load_settings(
        {"SCRIPTIX_DEFAULT_SECRET": "key", "SCRIPTIX_DEFAULT_KEY_NAMESPACES": allowed}
    )
    assert settings.may_use_default_key(namespace) is may


def test_all_namespaces_and_some_contradict_each_other() -> None:
    with pytest.raises(SettingsError, match=r"has `\*`, which is all namespaces, beside others"):
        load_settings({"SCRIPTIX_DEFAULT_SECRET": "key", "SCRIPTIX_DEFAULT_KEY_NAMESPACES": "a,*"})


def test_nothing_is_read_behind_the_back_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTIX_HTTP_PORT", "1")
    assert load_settings({}).http_port == 8080
    assert Settings(pod_namespace="here").http_port == 8080


def test_unknown_variables_are_named_without_their_values() -> None:
    assert unknown_settings(
        {"SCRIPTIX_LIMIT_START": "hush", "SCRIPTIX_TEA": "hush", "PATH": "x"}
    ) == (
        "Unknown settings are ignored: "
        "SCRIPTIX_LIMIT_START (is SCRIPTIX_LIMIT_STARTS meant?), SCRIPTIX_TEA"
    )


def test_a_misspelt_port_is_not_taken_for_a_service_link() -> None:
    line = unknown_settings({"SCRIPTIX_HTP_PORT": "8080"})
    assert line is not None
    assert "SCRIPTIX_HTTP_PORT" in line


def test_variables_of_kubernetes_services_cause_no_warning() -> None:
    links = {
        "SCRIPTIX_OPERATOR_SERVICE_HOST": "10.0.0.7",
        "SCRIPTIX_OPERATOR_SERVICE_PORT": "8080",
        "SCRIPTIX_OPERATOR_SERVICE_PORT_HTTP_METRICS": "8080",
        "SCRIPTIX_OPERATOR_PORT": "tcp://10.0.0.7:8080",
        "SCRIPTIX_OPERATOR_PORT_8080_TCP": "tcp://10.0.0.7:8080",
        "SCRIPTIX_OPERATOR_PORT_8080_TCP_PROTO": "tcp",
        "SCRIPTIX_OPERATOR_PORT_8080_TCP_PORT": "8080",
        "SCRIPTIX_OPERATOR_PORT_8080_TCP_ADDR": "10.0.0.7",
        "SCRIPTIX_SERVICE_HOST": "10.0.0.7",
        "SCRIPTIX_BASE_URL": "https://api.scriptix.io",
        "POD_NAME": "x",
        "HOME": "/",
    }
    assert unknown_settings(links) is None
