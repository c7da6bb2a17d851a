"""HTTP client settings in Prometheus' spelling."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest

from model.settings import ConfigurationError, load_section
from wire.scrape import HTTPClientSettings


def load(**data: Any) -> HTTPClientSettings:
    return load_section(HTTPClientSettings, data, "f.yml")


def problem(**data: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(**data)
    return str(caught.value)


def test_no_settings_no_header() -> None:
    assert load().request_headers() == {}


def test_authorization(tmp_path: Path) -> None:
    assert load(authorization={"credentials": "s3cret"}).request_headers() == {
        "Authorization": "Bearer s3cret"
    }
    file = tmp_path / "token"
    file.write_text("first\n")
    settings = load(authorization={"type": "Token", "credentials_file": str(file)})
    assert settings.request_headers() == {"Authorization": "Token first"}
    file.write_text("second\n")
    assert settings.request_headers() == {"Authorization": "Token second"}, "files are read anew"
    assert "s3cret" not in repr(load(authorization={"credentials": "s3cret"}))


def test_basic_auth(tmp_path: Path) -> None:
    (tmp_path / "user").write_text("me\n")
    (tmp_path / "password").write_text("pass:word\n")
    settings = load(
        basic_auth={"username_file": str(tmp_path / "user"), "password_file": str(tmp_path / "password")}
    )
    header = settings.request_headers()["Authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")) == b"me:pass:word"
    assert load(basic_auth={"username": "u"}).request_headers()["Authorization"] == "Basic dTo="


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"bearer_token": "x"}, "write authorization: {credentials: ...}"),
        ({"bearer_token_file": "/x"}, "write authorization: {credentials_file: ...}"),
        ({"authorization": {"type": "basic", "credentials": "x"}}, "use basic_auth"),
        ({"authorization": {"type": "a b", "credentials": "x"}}, "scheme"),
        ({"authorization": {}}, "give credentials"),
        ({"authorization": {"credentials": "x", "credentials_file": "/x"}}, "at most one of credentials"),
        ({"basic_auth": {"password": "x", "password_file": "/x"}}, "at most one of password"),
        ({"basic_auth": {"username": "x", "username_file": "/x"}}, "at most one of username"),
        ({"authorization": {"credentials": "x"}, "basic_auth": {"username": "x"}}, "at most one of"),
        ({"tls_config": {"cert_file": "/x"}}, "go together"),
        ({"tls_config": {"min_version": "TLS10"}}, "TLS12, TLS13"),
        ({"tls_config": {"cafile": "x"}}, "did you mean ca_file?"),
    ],
)
def test_mistakes_are_named(data: dict[str, Any], named: str) -> None:
    assert named in problem(**data)


def test_mistakes_are_named_together() -> None:
    found = problem(bearer_token="x", follow_redirects=5, tls_config={"min_version": "x"})
    assert [name in found for name in ("bearer_token", "follow_redirects", "min_version")] == [True] * 3


def test_secrets_are_not_in_messages() -> None:
    assert "hunter2" not in problem(bearer_token="hunter2")
    assert "hunter2" not in problem(authorization={"credentials": "hunter2", "credentials_file": "/x"})


def test_tls() -> None:
    context = load().ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    open_context = load(tls_config={"insecure_skip_verify": True, "min_version": "TLS13"}).ssl_context()
    assert open_context.verify_mode is ssl.CERT_NONE
    assert open_context.minimum_version is ssl.TLSVersion.TLSv1_3
    with pytest.raises(OSError, match="nowhere"):
        load(tls_config={"ca_file": "/nowhere.pem"}).ssl_context()
