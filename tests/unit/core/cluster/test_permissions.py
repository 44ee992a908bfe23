"""The permissions that the settings require."""

from scriptix_operator.core.cluster.permissions import Right, rights


def needed(
    *watches: str, elects: bool = True, default_secret: str = "", notification_secret: str = ""
) -> list[str]:
    return [
        str(right)
        for right in rights(
            own="system",
            watches=watches,
            elects=elects,
            default_secret=default_secret,
            notification_secret=notification_secret,
        )
    ]


def test_cluster_wide_all_but_the_lease_is_needed_everywhere() -> None:
    assert needed(default_secret="key", notification_secret="hooks") == [
        "get, list, watch custommodeltrainings.scriptix.io in all namespaces",
        "patch custommodeltrainings/status.scriptix.io in all namespaces",
        "get, create, update, delete configmaps in all namespaces",
        "get secrets in all namespaces",
        "get, create, patch events in all namespaces",
        "operate custommodeltrainings.scriptix.io in all namespaces",
        "create leases.coordination.k8s.io in namespace system",
        "get, update leases.coordination.k8s.io scriptix-operator in namespace system",
        "get customresourcedefinitions.apiextensions.k8s.io custommodeltrainings.scriptix.io",
    ]


def test_named_objects_are_required_for_some_namespaces() -> None:
    found = needed("a", "b", default_secret="key", notification_secret="hooks")
    for namespace in ("a", "b"):
        assert len([text for text in found if text.endswith(f" in namespace {namespace}")]) == 5
    assert [text for text in found if text.endswith(" in namespace system")] == [
        "create leases.coordination.k8s.io in namespace system",
        "get, update leases.coordination.k8s.io scriptix-operator in namespace system",
        "create configmaps in namespace system",
        "get, update configmaps scriptix-operator-ledger in namespace system",
        "get, update configmaps scriptix-operator-quota in namespace system",
        "get secrets key in namespace system",
        "get secrets hooks in namespace system",
    ]
    assert not any("all namespaces" in text for text in found)


def test_lease_and_secret_permissions_are_optional() -> None:
    found = needed("a", elects=False)
    assert not any("leases" in text or "secrets key" in text for text in found)
    assert len(found) == 9


def test_missing_rule_is_shown_as_yaml_of_a_role() -> None:
    core = Right(("get",), "", "secrets", "to read API keys", "a", "key")
    assert (
        core.rule == '{apiGroups: [""], resources: [secrets], resourceNames: [key], verbs: [get]}'
    )
    other = Right(("get", "list"), "scriptix.io", "custommodeltrainings", "to see")
    assert other.rule == (
        "{apiGroups: [scriptix.io], resources: [custommodeltrainings], verbs: [get, list]}"
    )
