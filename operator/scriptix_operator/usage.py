"""What `--help` of the commands says; the settings are described where they are defined."""

import textwrap
from collections.abc import Iterator

from scriptix_operator.api.names import DEFAULT_SECRET, DEFAULT_SECRET_KEY
from scriptix_operator.settings import described

__all__ = ["CHECK", "RUN", "SETTING_GROUPS", "settings_help"]

SETTING_GROUPS = {
    "The Scriptix API": ("base_url", "allow_insecure_http", "auth_header", "auth_scheme"),
    "API keys and their quotas": (
        "default_secret",
        "default_key_namespaces",
        "secret_ttl",
        "limit_starts",
        "limit_status",
        "limit_logs",
    ),
    "The cluster": (
        "watch_namespaces",
        "resync_interval",
        "leader_election",
        "pod_namespace",
        "pod_name",
    ),
    "Starts, results and logs": (
        "send_window",
        "post_timeout",
        "start_grace_period",
        "results_wait",
        "log_wait",
    ),
    "The operator's output": ("log_format", "log_level", "http_host", "http_port"),
}
"""Fields of `Settings` in the order in which a newcomer needs them."""

_SOURCES = f"""\
The connection to the cluster:
  KUBECONFIG names a kubeconfig. Without it, a pod uses its ServiceAccount, and any other process
  uses ~/.kube/config.

The connection to the Scriptix API:
  HTTPS_PROXY, ALL_PROXY and NO_PROXY name proxies; SSL_CERT_FILE and SSL_CERT_DIR replace the
  bundled CAs.

Tracing:
  OTEL_EXPORTER_OTLP_ENDPOINT names a collector (OTLP over HTTP) for the trace of each run; without
  it there are no traces. OTEL_SDK_DISABLED=true turns tracing off (docs/tracing.md).

API keys:
  Each CustomModelTraining names a Secret in its own namespace (spec.apiKeySecretRef; by default
  the key {DEFAULT_SECRET_KEY} of the Secret {DEFAULT_SECRET})."""

RUN = (
    """\
Start the trainings that CustomModelTraining resources ask for, and follow them to their end. The
process runs until SIGTERM or ctrl-C, and then until the replies to starts under way are recorded.
The CRD must be installed: scriptix-operator crd | kubectl apply -f -.""",
    f"""\
{_SOURCES} The operator reads it by its name.

Exit status:
  0   stopped by SIGTERM or SIGINT
  1   the operator cannot continue: the cluster is unreachable, or leadership is lost
  2   wrong usage, or a setting that cannot be used
  34  the process was paused in the middle of a start, and ended before it sent the start late""",
)
"""Description, and what follows the options."""

CHECK = (
    """\
Check whether `run` finds everything that it needs, with the same environment: settings, cluster,
CRD, permissions, the admission policy, watched namespaces, other operators, and the API. The check
changes nothing and uses no quota of the API: the admission policy is tried by a server-side dry
run. Each line begins with ok, note, warn or bad; a line that begins with warn or bad names the
remedy.""",
    f"""\
{_SOURCES} The check reads no Secret.

To check an operator that is running, use its environment: run the command in its pod, or set
POD_NAMESPACE to its namespace, and each SCRIPTIX_ variable as it is set there.

Exit status:
  0   nothing prevents `run` from working
  1   at least one line is bad; settings that cannot be used are one
  2   wrong usage""",
)
"""Description, and what follows the options."""


def settings_help() -> str:
    """All settings in groups, as plain text."""
    return "\n\n".join(
        "\n".join([f"{title} (environment variables):", *_lines(names)])
        for title, names in SETTING_GROUPS.items()
    )


def _lines(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        variable, default, meaning = described(name)
        yield f"  {variable} (default: {default.replace('`', '').strip('()')})"
        yield textwrap.fill(
            meaning.replace("`", ""), 96, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
