from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.cluster import Cluster
from simulator.settings import ClusterSettings

MakeCluster = Callable[..., Cluster]


@pytest.fixture
def make_cluster() -> MakeCluster:
    """A cluster of two nodes (four replicas) unless told otherwise."""

    def make(**settings: object) -> Cluster:
        return Cluster(ClusterSettings.model_validate({"nodes": 2, **settings}))

    return make
