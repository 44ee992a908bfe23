"""Settings from the environment: one class, read once at the start.

An invalid setting ends the start with one line that names the variable. The line does not repeat
values of settings into which a person may have pasted a credential.
"""

import difflib
import ipaddress
import re
import socket
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from scriptix_operator.core.model.text import one_line
from scriptix_operator.core.ratelimit.limits import (
    Limit,
    format_duration,
    parse_duration,
    parse_limits,
)
from scriptix_operator.webhook.destination import check_sink_url, is_loopback

__all__ = [
    "Settings",
    "SettingsError",
    "described",
    "load_settings",
    "unknown_settings",
]

PREFIX: Final = "SCRIPTIX_"

NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
OBJECT_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
AUTH_SCHEME = re.compile(r"[A-Za-z][A-Za-z-]{0,31}", re.ASCII)
SERVICE_LINK = re.compile(
    r"_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?", re.ASCII
)
"""Suffixes of the variables that Kubernetes sets for each Service of the namespace. `…_PORT` is
one, too; its value (`tcp://10.0.0.7:8080`) distinguishes it from a misspelt setting."""


class SettingsError(Exception):
    """The environment cannot be used; the text is one line that names the variables."""


def _words(value: object) -> object:
    """Comma separated text as a tuple of its words, each once, in the order given."""
    if not isinstance(value, str):
        return value
    return tuple(dict.fromkeys(word.strip() for word in value.split(",") if word.strip()))


def _text_with(parse: Callable[[str], object]) -> BeforeValidator:
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def _matches(pattern: re.Pattern[str], problem: str, *, or_empty: bool = False) -> AfterValidator:
    """Text that fits `pattern`; `problem` does not repeat it, since it may be a pasted key."""

    def check(text: str) -> str:
        if not (pattern.fullmatch(text) or (or_empty and not text)):
            raise ValueError(problem)
        return text

    return AfterValidator(check)


def _ip_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f'"{one_line(text, 80)}" is not an IP address') from None


def _namespaces(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not NAMESPACE.fullmatch(name):
            raise ValueError(f'"{one_line(name, 80)}" is not the name of a namespace')
    return names


def _at_most(longest: str) -> Callable[[float], float]:
    def check(seconds: float) -> float:
        if not 0 < seconds <= parse_duration(longest):
            raise ValueError(f"{format_duration(seconds)} is not between 0 and {longest}")
        return seconds

    return check


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Limits = Annotated[tuple[Limit, ...], NoDecode, _text_with(parse_limits)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], _text_with(str.upper)]
UpToMinute = Annotated[float, _text_with(parse_duration), AfterValidator(_at_most("1m"))]
UpToTenMinutes = Annotated[float, _text_with(parse_duration), AfterValidator(_at_most("10m"))]
UpToDay = Annotated[float, _text_with(parse_duration), AfterValidator(_at_most("1d"))]


class Settings(BaseSettings):
    """The settings of the operator. Durations are in seconds here."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        populate_by_name=True,
        str_strip_whitespace=True,
        use_attribute_docstrings=True,
        # `load_settings` words the errors; nothing else may print the values.
        hide_input_in_errors=True,
    )

    allow_insecure_http: bool = False
    """Allow a plain http `SCRIPTIX_BASE_URL` on a host that is not loopback. The API key then
    crosses the network readable."""
    base_url: str = "https://api.scriptix.io"
    """Where the Scriptix API is; https, or http on loopback."""
    auth_header: Annotated[
        str, _matches(HEADER_NAME, "is not the name of a header, for example Authorization")
    ] = "Authorization"
    """Request header that carries the API key."""
    auth_scheme: Annotated[
        str, _matches(AUTH_SCHEME, "is not one word, for example Bearer, or empty", or_empty=True)
    ] = "Bearer"
    """Word before the API key in that header; empty sends the key alone."""
    default_secret: Annotated[
        str,
        _matches(OBJECT_NAME, "is not the name of a Secret (is it the key itself?)", or_empty=True),
    ] = ""
    """Secret in the operator's own namespace that holds the default API key under `api-key`; empty:
    no default key."""
    default_key_namespaces: Words = ()
    """Namespaces that may use the default key, comma separated; empty: none, `*`: all."""
    limit_starts: Limits = parse_limits("5/1h")
    """Quota of training starts for each API key, as count/duration (`ms`, `s`, `m`, `h`, `d`);
    several, comma separated, hold at once (`5/1h,20/1d`)."""
    limit_status: Limits = parse_limits("100/1m")
    """Quota of status calls for each API key, in the same form."""
    limit_logs: Limits = parse_limits("20/1h")
    """Quota of log calls for each API key, in the same form."""
    watch_namespaces: Words = ()
    """Namespaces to serve, comma separated; empty: all."""
    http_host: Annotated[str, AfterValidator(_ip_address)] = "0.0.0.0"  # noqa: S104 - probes and Prometheus come from other hosts
    """Address on which health and metrics are served; `::` for IPv6."""
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port on which health and metrics are served; 0: any free one."""
    leader_election: bool = True
    """Elect a leader by a Lease, so that only one replica works at a time. Disable only if there is
    never more than one process."""
    log_format: Literal["json", "text"] = "json"
    """`json` for collectors or `text` for people."""
    log_level: LogLevel = "INFO"
    """`DEBUG`, `INFO`, `WARNING` or `ERROR`."""
    send_window: UpToMinute = 5.0
    """Send window: a start is sent within this time after its intent is written, or not at all."""
    post_timeout: UpToTenMinutes = 30.0
    """Timeout for the reply to a start. A shutdown waits for the reply, too: keep the pod's
    terminationGracePeriodSeconds at least 15s longer."""
    start_grace_period: UpToTenMinutes = 10.0
    """Grace period after which a start with unknown outcome counts as not happened."""
    results_wait: UpToTenMinutes = 120.0
    """Wait at most this long for the metrics, or the error, of a run that the API reports as
    ended."""
    log_wait: UpToTenMinutes = 120.0
    """Fetch the log of a run for the last time this long after its end."""
    resync_interval: UpToDay = 300.0
    """Full resync interval: lists all resources, in case the watch has missed a change."""
    secret_ttl: UpToMinute = 60.0
    """Read each API key again after this time; a new key takes effect within it."""
    notification_secret: Annotated[
        str,
        _matches(OBJECT_NAME, "is not the name of a Secret (is it the key itself?)", or_empty=True),
    ] = ""
    """Secret in the operator's own namespace whose `signing-key` signs notifications, and whose
    `url` may name their sink; empty: no notifications."""
    notification_url: SecretStr = SecretStr("")
    """Where notifications are sent: https, or http on loopback with
    `SCRIPTIX_ALLOW_INSECURE_HTTP`; empty: the `url` of the Secret. The URL is never shown."""
    pod_namespace: Annotated[str, _matches(NAMESPACE, "is not the name of a namespace")] = Field(
        default="default", validation_alias=AliasChoices("POD_NAMESPACE")
    )
    """The operator's own namespace, which has its Lease, its start ledger and the default Secret.
    From the downward API."""
    pod_name: Annotated[str, StringConstraints(min_length=1, max_length=253)] = Field(
        default_factory=socket.gethostname, validation_alias=AliasChoices("POD_NAME")
    )
    """Name of this process in the Lease. From the downward API; otherwise the host's name."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only the environment that `load_settings` passes, never os.environ."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def may_use_default_key(self, namespace: str) -> bool:
        """Whether resources in `namespace` may fall back to the operator's default key."""
        allowed = self.default_key_namespaces
        return bool(self.default_secret) and (allowed == ("*",) or namespace in allowed)

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, text: str, info: ValidationInfo) -> str:
        url = _split_url(text)
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            if "allow_insecure_http" not in info.data:
                return text  # reported already
            if not info.data["allow_insecure_http"]:
                raise ValueError(
                    "sends API keys in plain http to a host that is not loopback; use https, "
                    "or set SCRIPTIX_ALLOW_INSECURE_HTTP=true"
                )
        return url._replace(netloc=url.netloc.lower(), path=url.path.rstrip("/")).geturl()

    @field_validator("notification_url")
    @classmethod
    def _check_notification_url(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        text = secret.get_secret_value().strip()
        if text:
            check_sink_url(text, allow_insecure_http=info.data.get("allow_insecure_http", False))
            if info.data.get("notification_secret") == "":
                raise ValueError("is set, but SCRIPTIX_NOTIFICATION_SECRET names no Secret")
        return SecretStr(text)

    @field_validator("default_key_namespaces")
    @classmethod
    def _check_default_key_namespaces(
        cls, names: tuple[str, ...], info: ValidationInfo
    ) -> tuple[str, ...]:
        if names and info.data.get("default_secret") == "":
            raise ValueError("is set, but SCRIPTIX_DEFAULT_SECRET names no Secret")
        if "*" not in names:
            return _namespaces(names)
        if names != ("*",):
            raise ValueError("has `*`, which is all namespaces, beside others")
        return names

    @field_validator("watch_namespaces")
    @classmethod
    def _check_watch_namespaces(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in names:
            raise ValueError("has `*`; leave it empty to serve all namespaces")
        return _namespaces(names)


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from an environment, such as os.environ.

    Raises:
        SettingsError: A value cannot be used; one line names all such variables.
    """
    try:
        return Settings.model_validate(_Environment(environ)())
    except ValidationError as error:
        problems = (_describe(detail, environ) for detail in error.errors(include_url=False))
        raise SettingsError("; ".join(problems)) from None


def unknown_settings(environ: Mapping[str, str]) -> str | None:
    """One line about SCRIPTIX_ variables that are not settings, or None; values are not shown."""
    known = [name for name in map(_variable, Settings.model_fields) if name.startswith(PREFIX)]
    unknown = sorted(
        name
        for name, value in environ.items()
        if name.startswith(PREFIX) and name not in known and not _is_service_link(name, value)
    )
    if not unknown:
        return None
    reported = []
    for name in unknown:
        # Without the prefix, which would make all names similar.
        suffixes = [one.removeprefix(PREFIX) for one in known]
        nearest = difflib.get_close_matches(name.removeprefix(PREFIX), suffixes, n=1)
        reported.append(f"{name} (is {PREFIX}{nearest[0]} meant?)" if nearest else name)
    return f"Unknown settings are ignored: {', '.join(reported)}"


def described(name: str) -> tuple[str, str, str]:
    """The variable of a field of `Settings`, its default as Markdown, and its meaning."""
    field = Settings.model_fields[name]
    default = "the host's name" if field.default_factory else _show(field.default)
    return _variable(name), default, " ".join((field.description or "").split())


class _Environment(EnvSettingsSource):
    """pydantic's reader of variables, for an environment that is passed in."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        # Names are compared as POSIX does; pydantic folds both sides to lower case.
        known = (_variable(name) for name in Settings.model_fields)
        return {name.lower(): self._environ[name] for name in known if name in self._environ}


def _variable(field: str) -> str:
    """The environment variable of a field."""
    return field.upper() if field.startswith("pod_") else PREFIX + field.upper()


def _is_service_link(name: str, value: str) -> bool:
    if name.endswith("_PORT") and "://" in value:
        return True
    return any(SERVICE_LINK.fullmatch(name, at) for at in range(len(PREFIX) - 1, len(name)))


def _describe(detail: ErrorDetails, environ: Mapping[str, str]) -> str:
    """One problem as text: the variable, then what is wrong with it."""
    name = str(detail["loc"][0])
    variable = name.upper() if name.upper().startswith("POD_") else _variable(name)
    value = environ.get(variable, "")
    if value.startswith(("tcp://", "udp://")) and variable.endswith("_PORT"):
        return (
            f"{variable}: a Service of this namespace sets it, too; "
            "set it, or enableServiceLinks: false in the Pod"
        )
    cause: Any = detail.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        return f"{variable}: {cause}"
    reason = detail["msg"][:1].lower() + detail["msg"][1:]
    shown = f'"{one_line(value, 80)}": ' if name in SHOWN else ""
    return f"{variable}: {shown}{reason}"


SHOWN: Final = {
    "allow_insecure_http",
    "http_port",
    "leader_election",
    "log_format",
    "log_level",
}
"""Settings whose value a message may repeat: nobody would paste an API key there."""


def _split_url(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        port_is_sane = url.port is None or url.port > 0
    except ValueError:
        raise ValueError("is not a URL, for example https://api.scriptix.io") from None
    if url.scheme not in {"http", "https"} or not url.hostname or not port_is_sane:
        raise ValueError("is not an http(s) URL, for example https://api.scriptix.io")
    if url.username is not None or url.password is not None:
        raise ValueError("has a user or password in it; the API key comes from a Secret")
    if url.query or url.fragment or any(c.isspace() for c in text):
        raise ValueError("has a query, a fragment or white space in it")
    return url


def _show(default: object) -> str:
    """A default as the environment would spell it."""
    match default:
        case bool():
            text = str(default).lower()
        case float():
            text = format_duration(default)
        case tuple():
            text = ",".join(str(one) for one in default)
        case _:
            text = str(default or "")
    return f"`{text}`" if text else "(empty)"
