"""Asking an agent, and an analyzer, what they see."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from agent.snapshot.engines import engine_views
from agent.snapshot.facts import Facts
from fleetowl.cli import main
from fleetowl.top.fetch import Unreachable, agent_origin, analyzer_origin, wanted

PAGE = (
    'DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-0",modelName="NVIDIA L4",Hostname="gpu-7"} 42\n'
    'node_uname_info{nodename="other",sysname="Linux",release="6.1"} 1\n'
    'up{job="vllm",instance="h:1",node="gpu-7"} 1\n'
)


class Page(http.server.BaseHTTPRequestHandler):
    """Answers PAGE, or what a test sets."""

    status, text = 200, PAGE
    asked: str = ""

    def do_GET(self) -> None:
        type(self).asked = self.path
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[type[Page]]:
    handler = type("Own", (Page,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def url_of(page: type[Page]) -> str:
    return str(page.url)  # type: ignore[attr-defined]


def test_an_agents_page_is_its_nodes(page: type[Page]) -> None:
    found = agent_origin(url_of(page) + "/").fetch()
    assert (found.own, len(found.rows), page.asked) == ("gpu-7", 3, "/metrics")


def test_an_analyzer_is_asked_for_what_is_shown_and_no_more(page: type[Page]) -> None:
    analyzer_origin(url_of(page)).fetch()
    assert page.asked.startswith("/federate?match%5B%5D=%7B__name__%3D~")
    names = re.compile(wanted())
    for name in ("DCGM_FI_DEV_GPU_UTIL", "sglang:num_running_reqs", "fleetowl_gpu_up", "up", "node_load15"):
        assert names.fullmatch(name), name
    for name in ("DCGM_FI_DEV_ENC_UTIL", "vllm:time_to_first_token_seconds_bucket", "fleetowl_anomaly_score"):
        assert not names.fullmatch(name), name


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [(404, "", "answered 404 Not Found"), (200, "<html>", "not with metrics"), (500, "", "answered 500")],
)
def test_what_is_no_metrics_page_is_said(page: type[Page], status: int, text: str, said: str) -> None:
    page.status, page.text = status, text
    with pytest.raises(Unreachable, match=said) as raised:
        agent_origin(url_of(page)).fetch()
    assert "--agent" in str(raised.value)


def test_nobody_there_is_one_line_with_the_way_out() -> None:
    for arguments, hint in ((["--agent"], "start `fleetowl agent`"), (["--url"], "FLEETOWL_URL")):
        result = CliRunner().invoke(main, ["top", "--once", *arguments, "http://127.0.0.1:1"])
        assert (result.exit_code, result.stdout) == (1, "")
        assert "nothing answers at http://127.0.0.1:1: Connection refused" in result.stderr
        assert hint in result.stderr
        assert result.stderr.count("\n") == 1


def test_an_address_that_is_none_is_said() -> None:
    result = CliRunner().invoke(main, ["top", "--once", "--agent", "gpu-7:9482"])
    assert result.exit_code == 1
    assert "gpu-7:9482" in result.stderr


@pytest.mark.parametrize("url", ["foo", "127.0.0.1:9482", "ftp://x"])
def test_what_is_no_url_is_said_with_an_example(url: str) -> None:
    for origin in (agent_origin(url), analyzer_origin(url)):
        with pytest.raises(Unreachable, match="no address: write for example http://"):
            origin.fetch()


def test_a_page_without_a_node_is_never_all_well(page: type[Page]) -> None:
    page.text = 'vllm:num_requests_running{engine="0"} 1\n'
    with pytest.raises(Unreachable, match="no node reports there"):
        agent_origin(url_of(page)).fetch()


def test_without_a_terminal_the_way_out_is_once(page: type[Page]) -> None:
    result = CliRunner().invoke(main, ["top", "--agent", url_of(page)])
    assert result.exit_code == 2
    assert "--once" in result.stderr


def test_one_picture(page: type[Page]) -> None:
    result = CliRunner().invoke(main, ["top", "--once", "--agent", url_of(page), "--interval", "100ms"])
    assert result.exit_code == 0
    assert "0    up     42 %" in result.stdout
    assert "q quit" not in result.stdout


@pytest.mark.parametrize("interval", ["1", "soon", "1ms"])
def test_a_wrong_interval_is_exit_2(interval: str) -> None:
    result = CliRunner().invoke(main, ["top", "--interval", interval])
    assert result.exit_code == 2
    assert "--interval" in result.stderr


def test_what_an_analyzer_scrapes_besides_is_no_engine() -> None:
    from tests.agent.snapshot.test_build import rows

    facts = Facts(
        0.0,
        rows(
            'up{job="fleetowl-agent",instance="n1",node="n1"} 1\n'
            'up{job="kube-state-metrics",instance="10.0.0.1:8080"} 1\n'
            'up{job="vllm",instance="10.0.0.2:8000"} 0\n'
            'up{job="vllm",instance="10.0.0.3:8000"} 1\n'
            'vllm:num_requests_running{job="vllm",instance="10.0.0.3:8000"} 1\n'
        ),
    )
    assert [each.instance for each in engine_views(None, facts)] == ["10.0.0.2:8000", "10.0.0.3:8000"]
