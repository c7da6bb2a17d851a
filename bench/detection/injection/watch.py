"""The product's detectors over a group of peers: through its history, then through each episode of it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from bench.detection.injection.background import INTERVAL, Group
from bench.detection.injection.episodes import Episode
from detectors.contract import Moment
from detectors.entity.models.ensemble import Ensemble
from detectors.peers.detector import PeerDetector
from detectors.streaming.recipe import run
from model.labels import Labels
from telemetry.bits import Floats, Ints
from telemetry.window import Window

START = 1_795_176_000_000


class Seen(NamedTuple):
    """What each detector said in an episode: `[rows, members, ...]`."""

    change: Floats
    """The change score of each member, `[rows, members]`."""
    deviations: Floats
    """Of each metric of each member from its peers, `[rows, members, d]`."""
    series: Floats
    """The higher one of `level` and `cusum` of each metric of each member, `[rows, members, d]`."""


def watch(group: Group, episodes: list[Episode], seed: int) -> list[Seen]:
    """Each episode as it is seen after all rows before it, which had no fault."""
    members, width = group.values.shape[1:]
    pair = _Pair(members, width, seed)
    reached, seen = 0, []
    for episode in episodes:
        for row in range(reached, episode.begin):
            pair.step(row, group.values[row])
        reached = episode.begin
        own = deepcopy(pair)
        told = [own.step(reached + row, values) for row, values in enumerate(episode.values)]
        change, deviations = (np.stack(parts) for parts in zip(*told, strict=True))
        seen.append(Seen(change, deviations, _series(group, episode)))
    return seen


def _series(group: Group, episode: Episode) -> Floats:
    rows = np.concatenate([group.values[: episode.begin], episode.values])
    flat = rows.reshape(len(rows), -1)
    times = START + np.arange(len(rows), dtype=np.int64) * INTERVAL
    found = [run(times, column) for column in flat.T]
    scores = np.stack([np.fmax(one.score, one.change)[episode.begin :] for one in found], axis=1)
    return scores.reshape(episode.values.shape)


class _Pair:
    """The entity models, fitted as soon as they ask for it, and the comparison with peers."""

    def __init__(self, members: int, width: int, seed: int) -> None:
        self._ensemble = Ensemble(width, INTERVAL, None, seed)
        self._peers = PeerDetector()
        self._shape = members, width
        self._members: Ints = np.arange(members)
        window, wanted = _window(members, width)
        for metric in wanted:
            self._peers.demand(window, metric)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Pair:
        copy = object.__new__(_Pair)
        copy.__dict__ = {name: deepcopy(value, memo) for name, value in self.__dict__.items()}
        return copy

    def step(self, row: int, values: Floats) -> tuple[Floats, Floats]:
        """Change `[members]` and deviations `[members, d]` at one row `[members, d]`."""
        verdict = self._ensemble.step(values, self._members)
        if self._ensemble.due():
            self._ensemble.adopt(self._ensemble.job()())
        at = START + row * INTERVAL
        flat = values.ravel()
        results = self._peers.step(Moment(at, np.full(len(flat), at), flat))
        deviations = np.full(len(flat), np.nan)
        deviations[results.subjects] = results.values[:, 0]
        return verdict.change, deviations.reshape(self._shape)


def _window(members: int, width: int) -> tuple[Window, list[str]]:
    """A window that knows one GPU for each member; its series are numbered member by member."""
    window = Window()
    target = window.target("group", INTERVAL)
    metrics = [f"metric_{column}" for column in range(width)]
    for member in range(members):
        for name in metrics:
            labels = {"__name__": name, "UUID": f"GPU-{member}", "gpu": str(member), "Hostname": "n1"}
            window.series(target, Labels(labels))
    return window, metrics
