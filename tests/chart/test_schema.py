"""Invalid values are refused with a message that names them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from scriptix_operator.settings import SettingsError, load_settings
from tests.chart.helm import CHART, Document, Helm, HelmError
from tests.chart.release import variables

UNKNOWN = [
    ("replicas: 2", "at '': additional properties 'replicas' not allowed"),
    ("image: {registry: x}", "at '/image': additional properties 'registry' not allowed"),
    ("settings: {apiKey: x}", "at '/settings': additional properties 'apiKey' not allowed"),
    ("customCA: {name: x}", "at '/customCA': additional properties 'name' not allowed"),
    ("proxy: {http: x}", "at '/proxy': additional properties 'http' not allowed"),
    ("metrics: {enabled: true}", "at '/metrics': additional properties 'enabled' not allowed"),
    (
        "metrics: {podMonitor: {scrape: 1s}}",
        "at '/metrics/podMonitor': additional properties 'scrape' not allowed",
    ),
    ("networkPolicy: {egress: []}", "at '/networkPolicy': additional properties 'egress'"),
    ("extraEnv: [{name: A, val: b}]", "at '/extraEnv/0': additional properties 'val' not allowed"),
    ("tolerations: [{keys: a}]", "at '/tolerations/0': additional properties 'keys' not allowed"),
    ("affinity: {podAfinity: {}}", "at '/affinity': additional properties 'podAfinity'"),
    ("resources: {cpu: 1}", "at '/resources': additional properties 'cpu' not allowed"),
]
MISTYPED = [
    ("replicaCount: two", "at '/replicaCount': got string, want integer"),
    ('replicaCount: "2"', "at '/replicaCount': got string, want integer"),
    ("replicaCount: 6", "at '/replicaCount': maximum: got 6, want 5"),
    ("watchNamespaces: speech", "at '/watchNamespaces': got string, want array"),
    ("watchNamespaces: [Speech]", "at '/watchNamespaces/0': 'Speech' does not match pattern"),
    ('watchNamespaces: ["*"]', "at '/watchNamespaces/0': '*' does not match pattern"),
    ("watchNamespaces: [a, a]", "at '/watchNamespaces': items at 0 and 1 are equal"),
    ("settings: {baseUrl: api.scriptix.io}", "at '/settings/baseUrl': 'api.scriptix.io' does not"),
    ("settings: {limitStarts: 5}", "at '/settings/limitStarts': got number, want string"),
    ("settings: {limitStarts: 5 per hour}", "at '/settings/limitStarts': '5 per hour' does not"),
    ("settings: {logLevel: info}", "at '/settings/logLevel': value must be one of 'DEBUG', 'INFO'"),
    (
        'settings: {leaderElection: "yes"}',
        "at '/settings/leaderElection': got string, want boolean",
    ),
    ("settings: {defaultSecret: Key_1}", "at '/settings/defaultSecret': 'Key_1' does not match"),
    ("image: {digest: sha256:12}", "at '/image/digest': 'sha256:12' does not match pattern"),
    ("image: {tag: 1.2}", "at '/image/tag': got number, want string"),
    ("image: {tag: a/b}", "at '/image/tag': 'a/b' does not match pattern"),
    (
        "image: {repository: 'operator:1.2'}",
        "at '/image/repository': 'operator:1.2' does not match",
    ),
    ("imagePullSecrets: [registry]", "at '/imagePullSecrets/0': got string, want object"),
    ("customCA: {key: a/b}", "at '/customCA/key': 'a/b' does not match pattern"),
    ("proxy: {https: proxy:3128}", "at '/proxy/https': 'proxy:3128' does not match pattern"),
    ("proxy: {https: 'http://me:secret@proxy'}", "at '/proxy/https': "),
    ("proxy: {exclude: [10.0.0.0/8]}", "at '/proxy/exclude/0': '10.0.0.0/8' does not match"),
    ("tracing: {endpoint: collector:4318}", "at '/tracing/endpoint': 'collector:4318' does not"),
    ("extraEnv: {A: b}", "at '/extraEnv': got object, want array"),
    ("extraEnv: [{name: A, value: 1}]", "at '/extraEnv/0/value': got number, want string"),
    ("extraEnv: [{value: b}]", "at '/extraEnv/0': missing property 'name'"),
    ("extraVolumes: [{emptyDir: {}}]", "at '/extraVolumes/0': missing property 'name'"),
    ("extraVolumeMounts: [{name: a}]", "at '/extraVolumeMounts/0': missing property 'mountPath'"),
    (
        "extraVolumeMounts: [{name: a, mountPath: tmp}]",
        "at '/extraVolumeMounts/0/mountPath': 'tmp' does not match pattern",
    ),
    ("networkPolicy: {apiServerPorts: []}", "at '/networkPolicy/apiServerPorts': minItems: got 0"),
    ("networkPolicy: {dnsPorts: [domain]}", "at '/networkPolicy/dnsPorts/0': got string, want int"),
    ("enabled: yes please", "at '/enabled': got string, want boolean"),
    (
        "networkPolicy: {apiServerPorts: [0]}",
        "at '/networkPolicy/apiServerPorts/0': minimum: got 0",
    ),
    (
        "networkPolicy: {metricsFrom: [{}]}",
        "at '/networkPolicy/metricsFrom/0': minProperties: got 0",
    ),
    ("podDisruptionBudget: {maxUnavailable: 101%}", "at '/podDisruptionBudget/maxUnavailable': "),
    ("podDisruptionBudget: {maxUnavailable: half}", "at '/podDisruptionBudget/maxUnavailable': "),
    ("podDisruptionBudget: {maxUnavailable: -1}", "at '/podDisruptionBudget/maxUnavailable': min"),
    ("metrics: {podMonitor: {interval: 30}}", "at '/metrics/podMonitor/interval': got number"),
    (
        "metrics: {podMonitor: {labels: [a]}}",
        "at '/metrics/podMonitor/labels': got array, want obj",
    ),
    ("podLabels: {a: 1}", "at '/podLabels/a': got number, want string"),
    ("tolerations: [{effect: Never}]", "at '/tolerations/0/effect': value must be one of"),
    (
        "topologySpreadConstraints: [{maxSkew: 1}]",
        "at '/topologySpreadConstraints/0': missing properties 'topologyKey', 'whenUnsatisfiable'",
    ),
    (
        "resources: {limits: {memory: [1]}}",
        "at '/resources/limits/memory': got array, want number or string",
    ),
]
CONTRADICTIONS = [
    ("replicaCount: 2\nsettings: {leaderElection: false}", "without settings.leaderElection"),
    (
        "settings: {defaultKeyNamespaces: [a]}",
        "settings.defaultKeyNamespaces needs settings.",
    ),
    (
        "settings: {defaultSecret: a, defaultKeyNamespaces: ['*', b]}",
        "settings.defaultKeyNamespaces has *, which is all namespaces, beside others",
    ),
    ("settings: {baseUrl: 'https://a.example:65536'}", "settings.baseUrl names a port above 65535"),
    ("proxy: {https: 'http://proxy.example:99999'}", "proxy.https names a port above 65535"),
    ("tracing: {endpoint: 'http://a.example:99999'}", "tracing.endpoint names a port above 65535"),
    ("settings: {baseUrl: 'http://api.example'}", "settings.baseUrl is plain http"),
    ("settings: {baseUrl: 'http://localhost.example'}", "settings.baseUrl is plain http"),
    (
        "settings: {baseUrl: 'http://a.example', allowInsecureHttp: true}\nproxy: {https: 'http://p'}",
        "proxy.https has no effect",
    ),
    ("customCA: {configMap: a, secret: b}", "are both set"),
    (
        "metrics: {podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}",
        "are both enabled",
    ),
    ("metrics: {prometheusRule: {enabled: true}}", "enabled without metrics.podMonitor or"),
    (
        "enabled: false",
        "enabled is false, which is for a condition of a parent chart, and this chart",
    ),
    ("extraEnv: [{name: SCRIPTIX_BASE_URL, value: x}]", "extraEnv sets SCRIPTIX_BASE_URL, which"),
    ("extraEnv: [{name: POD_NAME, value: x}]", "extraEnv sets POD_NAME, which the chart sets too"),
    ("extraEnv: [{name: no_proxy, value: x}]", "extraEnv sets no_proxy, which the chart sets too"),
    (
        "extraEnv: [{name: HTTPS_PROXY, value: x}]\nproxy: {https: 'http://proxy.example'}",
        "extraEnv sets HTTPS_PROXY, which the chart sets too",
    ),
]


@pytest.mark.parametrize(("values", "words"), UNKNOWN + MISTYPED + CONTRADICTIONS)
def test_invalid_values_are_refused(offline: Helm, tmp_path: Path, values: str, words: str) -> None:
    with pytest.raises(HelmError) as refusal:
        offline.render(yaml.safe_load(values), tmp_path / "values.yaml")
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    "values",
    [
        "{}",
        "replicaCount: 5",
        "replicaCount: 0\nsettings: {leaderElection: false}",
        "watchNamespaces: [a]",
        "settings: {baseUrl: 'http://localhost:8099'}",
        "settings: {baseUrl: 'http://127.0.0.1'}",
        "settings: {baseUrl: 'http://[::1]:8099/api'}",
        "podDisruptionBudget: {maxUnavailable: 0}",
        "podDisruptionBudget: {maxUnavailable: 100%}",
        "networkPolicy: {apiServerPorts: [1, 65535]}",
        "extraEnv: [{name: HTTPS_PROXY, valueFrom: {secretKeyRef: {name: proxy, key: url}}}]",
        "global: {anything: goes}",
        "resources: {limits: {cpu: 1, memory: 1Gi}}",
    ],
)
def test_values_at_the_bounds_are_accepted(offline: Helm, tmp_path: Path, values: str) -> None:
    assert "kind: Deployment" in offline.render(yaml.safe_load(values), tmp_path / "values.yaml")


FREE = {"resources", "metrics.dashboard.labels"}
"""Kubernetes or the user names the fields below these; such a field may be removed."""


def paths(values: Document, above: str = "") -> Iterator[str]:
    """All paths that the chart's values.yaml names, down to the free ones."""
    for name, value in values.items():
        path = f"{above}{name}"
        if path != "resources":
            yield path
        if isinstance(value, dict) and path not in FREE:
            yield from paths(value, f"{path}.")


@pytest.mark.parametrize("path", [*paths(yaml.safe_load((CHART / "values.yaml").read_text()))])
def test_a_value_that_was_left_empty_is_refused(offline: Helm, path: str) -> None:
    """Null removes a default: without namespaces, the whole cluster would be served."""
    with pytest.raises(HelmError, match=f"missing property '{path.rpartition('.')[2]}'"):
        offline.template(sets=[f"{path}=null"])


def variables_of(settings: Document) -> Iterator[tuple[str, str]]:
    """Write settings of the chart as the operator's variables, without the chart."""
    for name, value in settings.items():
        variable = re.sub("([A-Z])", r"_\1", name).upper()
        yield f"SCRIPTIX_{variable}", ",".join(value) if isinstance(value, list) else value


@pytest.mark.parametrize(
    "settings",
    [
        "baseUrl: 'https://me:secret@api.example'",
        "baseUrl: 'https://me@api.example'",
        "baseUrl: 'https://api.example?key=1'",
        "baseUrl: 'https://api.example/a#b'",
        "baseUrl: 'https://api .example'",
        "baseUrl: 'https://api.example:0'",
        "baseUrl: 'https://api.example:65536'",
        "baseUrl: 'https://'",
        "baseUrl: 'ftp://api.example'",
        "authHeader: 'X-Key:'",
        "authHeader: ''",
        "authScheme: 'two words'",
        "limitStarts: 0/1h",
        "limitStarts: 5/0s",
        "limitStarts: 5/32d",
        "limitLogs: 5/1w",
        "defaultSecret: -a",
        "{defaultSecret: a, defaultKeyNamespaces: ['*', b]}",
        "defaultKeyNamespaces: [b]",
    ],
)
def test_chart_refuses_settings_that_the_operator_refuses(
    offline: Helm, tmp_path: Path, settings: str
) -> None:
    wanted: Document = yaml.safe_load(settings)
    with pytest.raises(SettingsError):
        load_settings(dict(variables_of(wanted)))
    with pytest.raises(HelmError):
        offline.render({"settings": wanted}, tmp_path / "values.yaml")


@pytest.mark.parametrize(
    "settings",
    [
        "baseUrl: 'https://api.example:65535/v1/'",
        "baseUrl: 'https://[2001:db8::1]:8443'",
        "authHeader: x-zoom-s2t-key\nauthScheme: ''",
        "limitStarts: '5/1h, 20/1d'\nlimitStatus: 99999/31d\nlimitLogs: 1/1ms",
        "defaultSecret: a.b-c\ndefaultKeyNamespaces: ['*']",
    ],
)
def test_settings_at_the_bounds_are_accepted(offline: Helm, tmp_path: Path, settings: str) -> None:
    render = offline.render({"settings": yaml.safe_load(settings)}, tmp_path / "values.yaml")
    load_settings(variables(render))
