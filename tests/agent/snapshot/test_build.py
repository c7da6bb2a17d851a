"""Series in, what a person asks out."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.snapshot.build import snapshot
from agent.snapshot.facts import Row
from agent.snapshot.shape import GpuView, NodeView
from model.labels import NAME, Labels
from wire.text import TextDecoder


def rows(page: str | bytes) -> list[Row]:
    decoder = TextDecoder()
    found = decoder.decode(page.encode() if isinstance(page, str) else page)
    return [(decoder.labels[local], value) for local, value in zip(found.ids, found.values, strict=True)]


def node(now: str, before: str = "", own: str = "n1") -> NodeView:
    (seen,) = snapshot((100.0, rows(before)) if before else None, (102.0, rows(now)), own).nodes
    return seen


GPU = 'gpu="3",UUID="GPU-3",modelName="NVIDIA H100",Hostname="n1",DCGM_FI_DRIVER_VERSION="580.1"'


def gpu(more: str, before: str = "") -> GpuView:
    base = f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} 60\n"
    (seen,) = node(base + more, base + before if before else "").gpus
    return seen


def test_the_host_is_read_as_a_person_asks() -> None:
    cpu = 'node_cpu_seconds_total{{cpu="{cpu}",mode="{mode}"}} {value}\n'
    before = cpu.format(cpu=0, mode="idle", value=10) + cpu.format(cpu=0, mode="user", value=10)
    now = cpu.format(cpu=0, mode="idle", value=11.5) + cpu.format(cpu=0, mode="user", value=10.5)
    disk = 'node_filesystem_{what}_bytes{{mountpoint="{at}",device="{at}",fstype="{kind}"}} {value}\n'
    for at, kind, free, available in (
        ("/", "ext4", 50, 40),
        ("/full", "squashfs", 0, 0),
        ("/b", "xfs", 90, 90),
    ):
        for what, value in (("size", 100), ("free", free), ("avail", available)):
            now += disk.format(what=what, at=at, kind=kind, value=value)
    now += 'node_uname_info{sysname="Linux",release="6.1"} 1\nnode_boot_time_seconds 2\nnode_load1 0.5\n'
    host = node(now, before).host
    assert (host.kernel, host.cpus, host.uptime_seconds, host.load1) == ("Linux 6.1", 1, 100.0, 0.5)
    assert host.cpu_busy_ratio == pytest.approx(0.25)
    assert host.fullest_mountpoint == "/"
    assert host.fullest_used_ratio == pytest.approx(50 / 90)
    assert host.memory_total_bytes is None, "not known is not zero"


def test_a_real_capture_of_dcgm_exporter_is_a_gpu(shared_data: Path) -> None:
    page = (shared_data / "captures" / "dcgm-exporter-real-L4-idle.prom").read_text()
    seen = node(page)
    assert (seen.node, seen.driver_version) == ("i-030791dc5a37cd257", "580.105.08")
    (one,) = seen.gpus
    assert (one.gpu, one.model_name, one.state) == ("0", "NVIDIA L4", "up")
    assert (one.utilization_ratio, one.temperature_celsius, one.sm_clock_hertz) == (0.0, 31.0, 210e6)
    assert one.memory_total_bytes == (22563 + 470) * 2**20
    assert (one.trouble, one.notes, one.xids) == ((), (), ())


def test_the_sentinels_of_a_broken_capture_are_not_figures(shared_data: Path) -> None:
    page = (shared_data / "captures" / "dcgm-exporter-SYNTHETIC-8xH100-edgecases.prom").read_text()
    (seen,) = snapshot(None, (0.0, rows(page))).nodes
    assert len({each.uuid for each in seen.gpus}) == 8
    for each in seen.gpus:
        assert each.power_watts is None or each.power_watts < 2000
    assert ("GPU 5", "reported XID 79") in {(each.subject, each.text) for each in seen.wrong}


def test_a_gpu_that_is_lost_says_so_without_figures() -> None:
    seen = node(f"fleetowl_gpu_up{{{GPU}}} 0\n")
    (lost,) = seen.gpus
    assert (lost.state, lost.temperature_celsius) == ("lost", None)
    (finding,) = seen.wrong
    assert (finding.severity, finding.subject) == ("broken", "GPU 3 (GPU-3)")


def test_clock_reasons_are_words_and_only_harm_is_trouble() -> None:
    capped = gpu(f"DCGM_FI_DEV_CLOCKS_EVENT_REASONS{{{GPU}}} 4\n")
    assert (capped.clock_reasons, capped.trouble) == (("power cap",), ())
    hot = gpu(f"DCGM_FI_DEV_CLOCKS_EVENT_REASONS{{{GPU}}} 68\n")
    assert hot.trouble == ("slowed down: too hot (hardware)",)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("DCGM_FI_DEV_ROW_REMAP_FAILURE{%s} 1", "a memory row could not be remapped: replace the GPU"),
        ("DCGM_FI_DEV_ROW_REMAP_PENDING{%s} 1", "a memory row waits to be remapped: reset the GPU"),
        ("DCGM_FI_DEV_RETIRED_PENDING{%s} 2", "2 pages wait to be retired: reset the GPU"),
        ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL{%s} 1", "1 uncorrectable memory error since the driver was loaded"),
        (
            "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS{%s} 3",
            "3 memory rows remapped after uncorrectable errors",
        ),
        ("fleetowl_gpu_recovery_action{%s} 2", "the driver asks: reboot the node"),
        (
            "DCGM_FI_DEV_PCIE_LINK_WIDTH{%s} 8\nDCGM_FI_DEV_PCIE_MAX_LINK_WIDTH{%s} 16",
            "PCIe x8 of x16",
        ),
        (
            "DCGM_FI_DEV_PCIE_LINK_GEN{%s} 3\nDCGM_FI_DEV_PCIE_MAX_LINK_GEN{%s} 5\n"
            "DCGM_FI_DEV_GPU_UTIL{%s} 99",
            "PCIe generation 3 of 5 while busy",
        ),
    ],
)
def test_trouble_is_told_in_words(page: str, words: str) -> None:
    assert gpu(page.replace("%s", GPU) + "\n").trouble == (words,)


def test_an_idle_gpu_may_slow_its_link() -> None:
    page = (
        "DCGM_FI_DEV_PCIE_LINK_GEN{%s} 1\nDCGM_FI_DEV_PCIE_MAX_LINK_GEN{%s} 5\nDCGM_FI_DEV_GPU_UTIL{%s} 0\n"
    )
    assert gpu(page.replace("%s", GPU)).trouble == ()


def test_error_counters_are_trouble_while_they_grow() -> None:
    link = f"DCGM_FI_DEV_PCIE_REPLAY_COUNTER{{{GPU}}} "
    still, grown = gpu(f"{link}7\n", f"{link}7\n"), gpu(f"{link}9\n", f"{link}7\n")
    assert (still.trouble, still.notes) == ((), ("PCIe replays: 7",))
    assert grown.trouble == ("PCIe replays growing, 2 more",)


def test_the_worst_gpu_stands_first_and_mig_instances_stand_apart() -> None:
    seen = node(
        'DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-0"} 50\nDCGM_FI_DEV_GPU_TEMP{gpu="10",UUID="GPU-10"} 50\n'
        'DCGM_FI_DEV_GPU_TEMP{gpu="2",UUID="GPU-2"} 50\nfleetowl_gpu_up{gpu="4",UUID="GPU-4"} 0\n'
        'DCGM_FI_DEV_FB_USED{gpu="2",UUID="GPU-2",GPU_I_PROFILE="1g.10gb",GPU_I_ID="7"} 50\n'
    )
    assert [(each.gpu, each.mig_instance) for each in seen.gpus] == [
        ("4", ""),
        ("0", ""),
        ("2", ""),
        ("2", "7"),
        ("10", ""),
    ]


def test_a_mig_instance_is_one_row_whichever_uuid_a_series_has() -> None:
    status = 'fleetowl_gpu_device_status{gpu="2",uuid="%s",state="up"%s} 1\n'
    of_instance = 'gpu="2",UUID="GPU-2",GPU_I_PROFILE="1g.10gb",GPU_I_ID="7"'
    seen = node(
        status % ("GPU-2", "")
        + status % ("MIG-a", ',mig_profile="1g.10gb",mig_instance="7"')
        + f"DCGM_FI_DEV_FB_USED{{{of_instance}}} 50\n"
        + 'DCGM_FI_DEV_GPU_TEMP{gpu="2",UUID="GPU-2"} 50\n'
        + 'fleetowl_gpu_process_memory_bytes{gpu="2",uuid="MIG-a",pid="7",process="python3"} 1024\n'
    )
    whole, part = seen.gpus
    assert (whole.uuid, whole.mig_profile, whole.processes) == ("GPU-2", "", ())
    assert (part.mig_instance, part.mig_profile, part.memory_used_bytes) == ("7", "1g.10gb", 50 * 2**20)
    assert [(each.pid, each.name) for each in part.processes] == [(7, "python3")]


def test_xids_pods_and_processes_find_their_gpu() -> None:
    one = gpu(
        'fleetowl_xid_total{gpu="3",uuid="GPU-3",xid="79"} 2\nfleetowl_xid_total{uuid="GPU-3",xid="31"} 0\n'
        f'DCGM_FI_DEV_GPU_UTIL{{{GPU},namespace="llm",pod="vllm-0",container="server"}} 5\n'
    )
    assert [(each.xid, each.count) for each in one.xids] == [(79, 2)]
    assert one.pods == ("llm/vllm-0/server",)


ENGINE = (
    'up{job="e",instance="h:1",node="n1"} 1\n'
    'vllm:num_requests_running{job="e",instance="h:1",model_name="m",engine="0"} 3\n'
    'vllm:num_requests_running{job="e",instance="h:1",model_name="m",engine="1"} 4\n'
    'vllm:kv_cache_usage_perc{job="e",instance="h:1",engine="0"} 0.2\n'
    'vllm:kv_cache_usage_perc{job="e",instance="h:1",engine="1"} 0.9\n'
)


def test_an_engine_is_the_sum_of_its_cores_and_as_full_as_the_fullest() -> None:
    tokens = 'vllm:generation_tokens_total{job="e",instance="h:1"} '
    ttft = 'vllm:time_to_first_token_seconds_%s{job="e",instance="h:1"} %s\n'
    before = ENGINE + f"{tokens}100\n" + ttft % ("sum", 10) + ttft % ("count", 10)
    now = ENGINE + f"{tokens}300\n" + ttft % ("sum", 10.5) + ttft % ("count", 12)
    (engine,) = node(now, before).engines
    assert (engine.engine, engine.model_name, engine.state) == ("vllm", "m", "up")
    assert (engine.requests_running, engine.kv_cache_usage_ratio) == (7.0, 0.9)
    assert engine.generation_tokens_per_second == 100.0
    assert engine.time_to_first_token_seconds == 0.25


def test_other_engines_are_read_by_their_own_names() -> None:
    (engine,) = node(
        'up{job="s",instance="h:2"} 1\nsglang:num_running_reqs{job="s",instance="h:2",model_name="m"} 5\n'
    ).engines
    assert (engine.engine, engine.requests_running) == ("sglang", 5.0)


def test_an_engine_that_is_down_is_broken() -> None:
    seen = node('up{job="e",instance="h:1"} 0\n' + ENGINE.replace("h:1", "h:2"))
    assert [each.state for each in seen.engines] == ["down", "up"]
    assert [(each.severity, each.subject) for each in seen.wrong] == [("broken", "engine e at h:1")]


def test_an_engine_says_what_it_is_and_how_it_is() -> None:
    of = 'job="e",instance="h:1"'
    page = ENGINE + (
        f'fleetowl_engine_info{{{of},engine_kind="vllm",engine_version="0.32.0",model_name="m"}} 1\n'
        f'fleetowl_engine_status{{{of},state="up"}} 1\n'
        f'fleetowl_engine_health{{{of},probe="health"}} 1\n'
        f'fleetowl_engine_progress_age_seconds{{{of},engine="0"}} 0\n'
        f'fleetowl_engine_progress_age_seconds{{{of},engine="1"}} 3\n'
    )
    (engine,) = node(page).engines
    assert (engine.version, engine.state, engine.progress_age_seconds) == ("0.32.0", "up", 3.0)
    (stuck,) = node(page.replace("} 3\n", "} 45\n")).engines
    assert (stuck.state, stuck.reason) == ("stuck", "it has requests and has not moved for 45 s")
    (ill,) = node(page.replace('probe="health"} 1', 'probe="health"} 0')).engines
    assert (ill.state, ill.reason) == ("ill", "its answer to health is a bad one")
    (starting,) = node(page.replace('state="up"', 'state="starting",reason="it loads"')).engines
    assert (starting.state, starting.reason) == ("starting", "it loads")
    (down,) = node(page.replace('state="up"', 'state="down",reason="connection"')).engines
    assert (down.state, down.reason) == ("down", "nothing answers at its address")


def test_an_xid_is_as_urgent_as_its_verdict() -> None:
    counted = 'fleetowl_xid_total{{gpu="3",uuid="GPU-3",xid="{xid}"}} 2\n'
    last = 'fleetowl_xid_last_timestamp_seconds{{gpu="3",uuid="GPU-3",xid="{xid}",tier="{tier}"{more}}} 9\n'
    page = f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} 60\n"
    for xid, tier, more in (
        (79, "P0", ""),
        (31, "P3", ""),
        (63, "P2", ""),
        (154, "P1", ',cancelled_by="154"'),
    ):
        page += counted.format(xid=xid) + last.format(xid=xid, tier=tier, more=more)
    seen = node(page)
    assert [(each.xid, each.tier) for each in seen.gpus[0].xids] == [
        (31, "P3"),
        (63, "P2"),
        (79, "P0"),
        (154, ""),
    ]
    assert [(each.severity, each.text) for each in seen.wrong] == [
        ("broken", "reported XID 79 2 times"),
        ("warning", "reported XID 63 2 times"),
    ]


def test_the_state_of_a_gpu_is_what_the_agent_says() -> None:
    status = (
        'fleetowl_gpu_device_status{gpu="3",uuid="GPU-3",state="hung",reason="nvmlX does not return"} 1\n'
    )
    seen = node(f"DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 60\n" + status)
    (hung,) = seen.gpus
    assert (hung.state, hung.reason, hung.model_name) == ("hung", "nvmlX does not return", "NVIDIA H100")
    (only_status,) = node(status).gpus
    assert (only_status.gpu, only_status.state) == ("3", "hung")


def test_what_is_not_seen_of_gpus_is_said() -> None:
    page = (
        f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} 60\n"
        'fleetowl_gpu_events_up{reason="not supported"} 0\n'
        'fleetowl_gpu_missing{family="DCGM_B",device="gpu",reason="the driver has no call for it"} 1\n'
        'fleetowl_gpu_missing{family="DCGM_A",device="gpu",reason="the driver has no call for it"} 1\n'
        'fleetowl_gpu_unattributed{gpu="3",uuid="GPU-3",reason="kubelet: timeout"} 1\n'
        'fleetowl_kernel_log_status{state="denied",reason="/dev/kmsg: run as root"} 1\n'
        'fleetowl_pod_attribution_status{state="no_kubelet",reason="no socket"} 1\n'
    )
    assert [(each.severity, each.subject, each.text) for each in node(page).missing] == [
        ("broken", "kernel log", "denied: /dev/kmsg: run as root"),
        ("broken", "driver's events", "XIDs are not heard at once: not supported"),
        ("note", "pods", "no kubelet: no socket"),
        ("note", "GPUs", "the driver has no call for it: DCGM_A, DCGM_B"),
        ("note", "GPU 3", "no pod is known to use it: kubelet: timeout"),
    ]


def test_a_driver_that_fails_is_wrong_and_one_that_is_absent_is_missing() -> None:
    status = 'fleetowl_gpu_status{state="failing",reason="GPU 2 does not say who it is"} 1\n'
    seen = node(f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} 60\n" + status)
    assert [(each.subject, each.text) for each in seen.wrong] == [
        ("NVIDIA driver", "failing: GPU 2 does not say who it is")
    ]
    assert seen.missing == ()
    waiting = node(status.replace("failing", "waiting"))
    assert waiting.wrong[0].severity == "warning"


def test_a_gpu_on_the_bus_that_the_driver_does_not_list_is_said() -> None:
    counts = "fleetowl_gpu_pci_devices 8\nfleetowl_gpu_driver_devices {}\n"
    (finding,) = node(counts.format(7)).wrong
    assert (finding.severity, finding.text) == ("broken", "lists 7 of the 8 GPUs on the PCI bus")
    assert node(counts.format(8)).wrong == ()


def test_an_agent_that_fell_silent_is_said() -> None:
    page = 'up{{job="fleetowl-agent",instance="n1",node="n1"}} {up}\nnode_load1{{node="n1"}} 1\n'
    (finding,) = node(page.format(up=0)).missing
    assert (finding.severity, finding.subject) == ("broken", "agent")
    assert node(page.format(up=1)).missing == ()
    assert node(page.format(up=0)).engines == (), "it is no engine"


def test_without_a_gpu_the_kernel_log_is_not_missed() -> None:
    seen = snapshot(None, (0.0, rows('fleetowl_kernel_log_status{state="denied",reason="x"} 1\n')), "n1")
    assert not seen.broken
    assert seen.nodes[0].missing[0].severity == "note"


def test_what_is_missing_says_why_and_only_failures_are_broken() -> None:
    page = (
        'fleetowl_gpu_status{state="absent",reason="NVML library not found"} 1\n'
        'fleetowl_collector_status{collector="pressure",state="no data",reason="/proc/x is not there"} 1\n'
    )
    healthy = snapshot(None, (0.0, rows(page)), "n1")
    assert not healthy.broken
    assert [(each.subject, each.text) for each in healthy.nodes[0].missing] == [
        ("NVIDIA driver", "absent: NVML library not found"),
        ("collector pressure", "no data: /proc/x is not there"),
    ]
    page += 'fleetowl_collector_status{collector="netdev",state="failed",reason="OSError: no"} 1\n'
    sick = snapshot(None, (0.0, rows(page)), "n1")
    assert sick.broken
    assert sick.nodes[0].missing[0].subject == "collector netdev", "the worst first"


def test_nodes_are_told_apart_and_the_worst_stands_first() -> None:
    page = (
        'node_load1{node="a"} 1\nnode_load1{node="b"} 2\nfleetowl_gpu_up{node="b",gpu="0",UUID="GPU-0"} 0\n'
        "node_load1 3\n"
    )
    seen = snapshot(None, (0.0, rows(page)), "here")
    assert [each.node for each in seen.nodes] == ["b", "a", "here"]


def test_rates_of_a_counter_that_began_anew_are_not_known() -> None:
    tokens = 'vllm:generation_tokens_total{job="e",instance="h:1"} '
    (engine,) = node(f"{ENGINE}{tokens}5\n", f"{ENGINE}{tokens}100\n").engines
    assert engine.generation_tokens_per_second is None


def test_nan_is_not_known() -> None:
    series = Labels({NAME: "node_load1", "node": "n1"})
    (seen,) = snapshot(None, (0.0, [(series, float("nan"))])).nodes
    assert seen.host.load1 is None


def test_a_gpu_that_never_said_who_it_is_has_a_row() -> None:
    reason = "GPU 2 does not say who it is: GPU is lost (NVML 15)"
    status = f'fleetowl_gpu_device_status{{gpu="2",state="lost",reason="{reason}"}} 1\n'
    (one,) = node(status).gpus
    assert (one.gpu, one.uuid, one.state, one.reason) == ("2", "", "lost", reason)
