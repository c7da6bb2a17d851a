from __future__ import annotations

from incidents.story import story
from tests.incidents.scene import Scene

EXPECTED = """\
# INC-20261120-0001: GpuLost on GPU 0 of n0

- **State**: resolved, tier P1
- **Since**: 2026-11-20T00:00:00.000Z, for 40s
- **Most likely the cause**: GpuLost on GPU 0 of n0
- **Reaches**: 1 node, 2 GPUs, 1 replica, 1 service
- **What**: GpuLost happened

## Alerts

- P1 GpuLost on GPU 0 of n0: ended, since 2026-11-20T00:00:00.000Z (most likely the cause); \
it opened the incident
- P2 NodeGpusMissing on node/n0: ended, since 2026-11-20T00:00:05.000Z; \
GpuLost on GPU 0 of n0 explains it (named in its rules): gpu/GPU-0-0 is on node/n0

## Timeline

- 2026-11-20T00:00:00.000Z opened: opened by P1 GpuLost{Hostname="n0", UUID="GPU-0-0", gpu="0"}
- 2026-11-20T00:00:05.000Z joined: P2 NodeGpusMissing{node="n0"} joined: \
GpuLost on GPU 0 of n0 explains it (named in its rules): gpu/GPU-0-0 is on node/n0
- 2026-11-20T00:00:30.000Z ended: GpuLost on GPU 0 of n0 ended after 25s
- 2026-11-20T00:00:30.000Z ended: NodeGpusMissing on node/n0 ended after 20s
- 2026-11-20T00:00:40.000Z resolved: resolved after 40s: all 2 alerts have ended
"""


def test_the_story_of_an_incident() -> None:
    scene = Scene()
    scene.fire("GpuLost", "P1", Hostname="n0", UUID="GPU-0-0", gpu="0")
    scene.step()
    scene.now += 5_000
    scene.fire("NodeGpusMissing", node="n0")
    scene.step()
    scene.now += 20_000
    scene.end("GpuLost")
    scene.end("NodeGpusMissing")
    scene.step(5)
    scene.step(10)
    [incident] = scene.incidents.ordered(everything=True)
    assert story(incident, scene.incidents.timeline(incident.id)) == EXPECTED


def test_a_label_value_does_not_break_out_of_its_line() -> None:
    scene = Scene()
    scene.fire("Odd", node="n0\n\n# INC-1: fake\n- **State**: fine")
    scene.step()
    [incident] = scene.incidents.ordered()
    text = story(incident, scene.incidents.timeline(incident.id))
    assert sum(line.startswith("# ") for line in text.splitlines()) == 1
    assert "\n- **State**: fine" not in text
