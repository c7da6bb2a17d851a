"""Reaching the API server: what is missing or broken is a sentence, never a stack trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbooks.errors import KubeError, Unanswered
from runbooks.kubernetes import KubeWriter
from runbooks.settings import RunbookSettings


def writer(**settings: Any) -> KubeWriter:
    return KubeWriter(RunbookSettings.model_validate({"timeout": "500ms", **settings}))


@pytest.mark.parametrize(
    ("text", "context", "says"),
    [
        (None, None, "Configuration file"),
        ("clusters: []\ncontexts: []\n", None, "No current context set"),
        ("clusters: []\ncontexts: []\n", "prod", "Context 'prod' not found"),
        ("nonsense", None, "kubeconfig is not a kubeconfig"),
    ],
)
async def test_a_kubeconfig_that_does_not_serve_is_said(
    tmp_path: Path, text: str | None, context: str | None, says: str
) -> None:
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    with pytest.raises(KubeError, match=says):
        await writer(kubeconfig=path, context=context).nodes()


async def test_outside_of_a_pod_a_kubeconfig_is_needed() -> None:
    with pytest.raises(KubeError, match="serviceaccount"):
        await writer().nodes()


async def test_a_server_that_is_not_there_may_come_back(kubeconfig: Path) -> None:
    lines = [
        "    server: http://127.0.0.1:9" if "server:" in line else line
        for line in kubeconfig.read_text().splitlines()
    ]
    kubeconfig.write_text("\n".join(lines))
    kube = writer(kubeconfig=kubeconfig)
    with pytest.raises(Unanswered, match="cannot be reached"):
        await kube.nodes()
    await kube.close()


async def test_a_user_without_credentials_connects(api: Any, kubeconfig: Path) -> None:
    """A kubectl proxy asks for none."""
    text = kubeconfig.read_text()
    kubeconfig.write_text(text.replace("user: fleetowl", "user: null").replace("token: not-a-secret", "{}"))
    kube = writer(kubeconfig=kubeconfig)
    assert len(await kube.nodes()) == 8
    await kube.close()
