"""The Kubernetes manifests: they build with old and new kustomize, are valid, and ask for little."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from fleetowl.configuration import load
from fleetowl.version import VERSION

Tool = Callable[[Sequence[str]], str]
Objects = dict[tuple[str, str], dict[str, Any]]
FOLDERS = ("base", "overlays/cordon", "overlays/discovery", "overlays/pods", "overlays/kernel-log")

# What kustomize 2.0.3, the one inside Debian's kubectl 1.20, reads; a newer key would be dropped or refused.
OLD_KEYS = {
    "apiVersion",
    "kind",
    "namespace",
    "bases",
    "resources",
    "configMapGenerator",
    "patchesStrategicMerge",
}


def objects(text: str) -> Objects:
    """The objects of a stream of YAML documents, by kind and name."""
    found = [one for one in yaml.safe_load_all(text) if one]
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def sources(deploy: Path, folder: str) -> Objects:
    """The objects as they stand in the files, without a tool."""
    paths = sorted((deploy / "kustomize" / folder).glob("*.yaml"))
    return objects("\n---\n".join(path.read_text() for path in paths if path.name != "kustomization.yaml"))


def pods(deploy: Path) -> list[tuple[str, dict[str, Any]]]:
    """The pod templates of the base."""
    found = sources(deploy, "base")
    return [
        (name, one["spec"]["template"]["spec"])
        for (_, name), one in found.items()
        if "template" in one.get("spec", {})
    ]


@pytest.fixture(scope="module")
def rendered(deploy: Path, tool: Tool) -> Callable[[str], Objects]:
    """A folder as `kubectl kustomize` builds it."""
    build = cache(lambda folder: objects(tool(["kubectl", "kustomize", str(deploy / "kustomize" / folder)])))
    return lambda folder: deepcopy(build(folder))


@cache
def validate(one: str, version: str) -> None:
    """An object in JSON; overlays have most objects of the base unchanged."""
    kubernetes_validate.validate(json.loads(one), version, strict=True)


@pytest.mark.peer
@pytest.mark.parametrize("version", ["1.25", "1.31", "1.37"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_what_kustomize_builds_is_valid(
    rendered: Callable[[str], Objects], folder: str, version: str
) -> None:
    found = rendered(folder)
    assert len(found) >= 12
    for one in found.values():
        validate(json.dumps(one), version)


@pytest.mark.peer
def test_the_overlay_adds_the_right_to_patch_nodes_and_nothing_else(
    rendered: Callable[[str], Objects],
) -> None:
    base, cordon = rendered("base"), rendered("overlays/cordon")
    assert set(cordon) - set(base) == {
        ("ClusterRole", "fleetowl-nodes-cordon"),
        ("ClusterRoleBinding", "fleetowl-nodes-cordon"),
    }
    (changed,) = [key for key in base if base[key] != cordon[key]]
    assert changed == ("Deployment", "fleetowl-analyzer")
    (container,) = cordon[changed]["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert environment == {"FLEETOWL_RUNBOOKS__ENABLED": "true", "FLEETOWL_RUNBOOKS__MODE": "dry-run"}
    runbooks = load(None, environment).runbooks
    assert (runbooks.enabled, runbooks.mode) == (True, "dry-run")


@pytest.mark.peer
def test_the_overlay_for_pods_makes_the_agent_root_without_capabilities_and_nothing_else(
    rendered: Callable[[str], Objects],
) -> None:
    base, root = rendered("base"), rendered("overlays/pods")
    assert set(root) == set(base)
    (changed,) = [key for key in base if base[key] != root[key]]
    assert changed == ("DaemonSet", "fleetowl-agent")
    before, after = (each[changed]["spec"]["template"]["spec"] for each in (base, root))
    assert after.pop("hostPID")
    assert after["securityContext"] == {
        **before["securityContext"],
        "runAsNonRoot": False,
        "runAsUser": 0,
        "runAsGroup": 0,
    }
    (container,) = after["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {**after, "securityContext": before["securityContext"]} == before


@pytest.mark.peer
def test_the_overlay_for_the_kernel_s_log_gives_its_device_to_a_privileged_agent_and_nothing_else(
    rendered: Callable[[str], Objects], deploy: Path
) -> None:
    base, privileged = rendered("base"), rendered("overlays/kernel-log")
    assert set(privileged) == set(base)
    (changed,) = [key for key in base if base[key] != privileged[key]]
    assert changed == ("DaemonSet", "fleetowl-agent")
    before, after = (each[changed]["spec"]["template"]["spec"] for each in (base, privileged))
    (container,), (plain,) = after["containers"], before["containers"]
    assert container["securityContext"]["privileged"]
    added = [mount for mount in container["volumeMounts"] if mount not in plain["volumeMounts"]]
    assert added == [{"name": "kmsg", "mountPath": "/dev/kmsg", "readOnly": True}]
    log = load(deploy / "kustomize" / "base" / "agent.fleetowl.yml", {}).agent.kernel_log
    assert (log.enabled, str(log.path)) == (True, added[0]["mountPath"])
    assert {key for key in after if after[key] != before[key]} == {"securityContext", "containers", "volumes"}
    assert {key for key in container if container[key] != plain[key]} == {"securityContext", "volumeMounts"}


@pytest.mark.peer
def test_the_overlay_for_discovery_lets_the_agent_list_the_pods_of_its_node_and_nothing_else(
    rendered: Callable[[str], Objects],
) -> None:
    base, discovery = rendered("base"), rendered("overlays/discovery")
    role = ("ClusterRole", "fleetowl-kubelet-pods")
    assert set(discovery) - set(base) == {role, ("ClusterRoleBinding", "fleetowl-kubelet-pods")}
    assert discovery[role]["rules"] == [{"apiGroups": [""], "resources": ["nodes/pods"], "verbs": ["get"]}]
    (changed,) = [key for key in base if base[key] != discovery[key]]
    assert changed == ("DaemonSet", "fleetowl-agent")
    pod = discovery[changed]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"]
    (container,) = pod["containers"]
    names = [entry["name"] for entry in container["env"]]
    url = "FLEETOWL_AGENT__DISCOVERY__PODS__URL"
    assert names.index("NODE_IP") < names.index(url), "a variable is known to those that come after it"
    environment = {
        entry["name"]: entry["value"].replace("$(NODE_IP)", "10.0.0.7")
        for entry in container["env"]
        if entry["name"].startswith("FLEETOWL_")
    }
    pods = load(None, environment).agent.discovery.pods
    assert (pods.enabled, pods.url) == (True, "https://10.0.0.7:10250/pods")
    assert pods.tls_config.insecure_skip_verify
    assert str(pods.token_file) == "/var/run/secrets/kubernetes.io/serviceaccount/token"


@pytest.mark.peer
def test_every_reference_leads_somewhere(rendered: Callable[[str], Objects]) -> None:
    """Names of volumes, accounts and roles in the built objects, hashes of ConfigMaps included."""
    found = rendered("overlays/cordon")
    namespaced = {
        key: one for key, one in found.items() if not key[0].startswith(("ClusterRole", "Namespace"))
    }
    assert {one["metadata"]["namespace"] for one in namespaced.values()} == {"fleetowl"}
    for kind, name in (("DaemonSet", "fleetowl-agent"), ("Deployment", "fleetowl-analyzer")):
        pod = found[kind, name]["spec"]["template"]["spec"]
        assert ("ServiceAccount", pod["serviceAccountName"]) in found
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in found
            if "secret" in volume:
                assert ("Secret", volume["secret"]["secretName"]) in found
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in found
        mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_kustomization_is_one_that_old_kubectl_reads(deploy: Path, folder: str) -> None:
    path = deploy / "kustomize" / folder
    found = yaml.safe_load((path / "kustomization.yaml").read_text())
    assert set(found) <= OLD_KEYS
    for name in found.get("resources", ()):
        assert (path / name).is_file(), "kustomize 2.0.3 takes files as resources, folders as bases"


def test_pods_have_few_rights(deploy: Path) -> None:
    assert [name for name, _ in pods(deploy)] == ["fleetowl-agent", "fleetowl-analyzer"]
    for name, pod in pods(deploy):
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostPID", "hostNetwork", "hostIPC"} & set(pod), name
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} <= set(container["resources"])
        host = {volume["name"] for volume in pod["volumes"] if "hostPath" in volume}
        for mount in container["volumeMounts"]:
            assert mount.get("readOnly") or mount["name"] not in host, f"{mount['name']} of {name}"


def test_pods_are_probed_where_they_listen(deploy: Path) -> None:
    ports = {}
    for name, pod in pods(deploy):
        (container,) = pod["containers"]
        (port,) = container["ports"]
        ports[name] = port["containerPort"]
        assert container["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": port["name"]}
        assert container["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": port["name"]}
        assert container["image"].endswith(f":{VERSION}")
    assert ports == {"fleetowl-agent": 9482, "fleetowl-analyzer": 9480}
    service = sources(deploy, "base")["Service", "fleetowl-analyzer"]["spec"]
    assert service["ports"] == [{"name": "http", "port": 9480, "targetPort": "http"}]


def test_there_is_one_analyzer_and_never_two(deploy: Path) -> None:
    spec = sources(deploy, "base")["Deployment", "fleetowl-analyzer"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_agent_runs_on_every_node_and_knows_its_name(deploy: Path) -> None:
    pod = dict(pods(deploy))["fleetowl-agent"]
    assert pod["tolerations"] == [{"operator": "Exists"}]
    environment = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
    assert environment["NODE_NAME"]["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    assert not pod["automountServiceAccountToken"]


def test_no_token_is_shipped_and_none_is_assumed(deploy: Path) -> None:
    """The Secret has no value, and a pod that misses the key does not start."""
    secret = sources(deploy, "base")["Secret", "fleetowl-token"]
    assert not {"data", "stringData"} & set(secret)
    for _, pod in pods(deploy):
        (volume,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
        assert volume["items"] == [{"key": "token", "path": "token"}]
        assert not volume.get("optional")
    assert (
        "kubectl -n fleetowl patch secret fleetowl-token"
        in (deploy / "kustomize" / "base" / "kustomization.yaml").read_text()
    )


def test_roles_ask_for_nodes_alone(deploy: Path) -> None:
    def rules(folder: str) -> list[dict[str, Any]]:
        return [
            rule
            for (kind, _), one in sources(deploy, folder).items()
            if kind == "ClusterRole"
            for rule in one["rules"]
        ]

    nodes = {"apiGroups": [""], "resources": ["nodes"]}
    assert rules("base") == [{**nodes, "verbs": ["get", "list", "watch"]}]
    assert rules("overlays/cordon") == [{**nodes, "verbs": ["patch"]}]


def test_the_configurations_fit_their_pods(deploy: Path) -> None:
    """They load, listen where the probes look, and name paths that are mounted."""
    base = deploy / "kustomize" / "base"
    agent = load(base / "agent.fleetowl.yml", {}).agent
    central = load(base / "analyzer.fleetowl.yml", {})
    mounts = {
        name: {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        for name, pod in pods(deploy)
    }
    assert agent.listen == "0.0.0.0:9482"
    assert agent.push.url == ["http://fleetowl-analyzer:9480"]
    assert {str(agent.procfs), str(agent.sysfs), str(agent.rootfs)} <= mounts["fleetowl-agent"]
    assert agent.push.token_file is not None
    assert str(agent.push.token_file.parent) in mounts["fleetowl-agent"]
    assert str(agent.push.spool.directory.parent) in mounts["fleetowl-agent"]
    assert agent.pods.socket == agent.rootfs / "var/lib/kubelet/pod-resources/kubelet.sock"
    assert central.analyzer.listen == "0.0.0.0:9480"
    assert central.analyzer.token_file == agent.push.token_file
    assert str(central.analyzer.state_directory) in mounts["fleetowl-analyzer"]
    assert central.runbooks.audit_file is not None
    assert central.runbooks.audit_file.parent == central.analyzer.state_directory
    assert not central.runbooks.enabled


def test_the_spool_fits_its_volume(deploy: Path) -> None:
    agent = load(deploy / "kustomize" / "base" / "agent.fleetowl.yml", {}).agent
    (volume,) = [one for one in dict(pods(deploy))["fleetowl-agent"]["volumes"] if one["name"] == "spool"]
    limit = volume["emptyDir"]["sizeLimit"]
    assert limit.endswith("Mi")
    assert agent.push.spool.max_bytes < int(limit.removesuffix("Mi")) * 2**20


def test_network_policies_select_the_pods(deploy: Path) -> None:
    found = sources(deploy, "base")
    for name, port in (("fleetowl-agent", 9482), ("fleetowl-analyzer", 9480)):
        policy = found["NetworkPolicy", name]["spec"]
        assert policy["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}
        (rule,) = policy["ingress"]
        assert rule["ports"] == [{"protocol": "TCP", "port": port}]
