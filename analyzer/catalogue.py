"""Every metric that the central process declares about itself."""

from __future__ import annotations

from alertmanager import backlog, records
from alertmanager import metrics as alertmanager
from alertmanager.silences import book as silences
from analyzer import inventory, pipeline, self_telemetry, snapshots, tick
from analyzer.api.alertmanager import posting
from analyzer.deadman import guard, peers
from detectors import engine as detectors
from detectors import jobs
from detectors.adapters import custom
from detectors.entity import state as entities
from detectors.feedback import book as feedback
from incidents import correlation as incidents
from incidents.people import engine as people
from model.metric import Metric
from rules import engine as rules
from runbooks import ledger as runbooks
from telemetry import frame_ingest, ingest, remote_write, window

METRICS: tuple[Metric, ...] = (
    *window.METRICS,
    *ingest.METRICS,
    *frame_ingest.METRICS,
    *remote_write.METRICS,
    *detectors.METRICS,
    *jobs.METRICS,
    *custom.METRICS,
    *feedback.METRICS,
    *entities.METRICS,
    *rules.METRICS,
    *alertmanager.METRICS,
    *silences.METRICS,
    *backlog.METRICS,
    *posting.METRICS,
    *records.METRICS,
    *incidents.METRICS,
    *people.METRICS,
    *guard.METRICS,
    *peers.METRICS,
    *runbooks.METRICS,
    *inventory.METRICS,
    *tick.METRICS,
    *pipeline.METRICS,
    *snapshots.METRICS,
    *self_telemetry.METRICS,
)
