"""A replica: the pod, its container's life, its readiness, and the engine inside."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from model.topology import Entity
from simulator.engine import Engine
from simulator.gpu import Gpu, Work
from simulator.request import Ledger, Request
from simulator.settings import ClusterSettings
from simulator.world import World

_UNREADY_AFTER = 2  # failed probes in a row
_STARTS_WITHOUT_GPU = 6_000  # ms until CUDA initialisation fails
_FAST_ANSWER = 0.004  # seconds that an error takes


class State(Enum):
    """Where the engine process stands. EXITED and LOADING refuse connections."""

    LOADING = "loading"
    SERVING = "serving"
    HUNG = "hung"  # a stuck collective: /health 200, no progress
    ZOMBIE = "zombie"  # engine dead, server up, every request fails fast
    ERRORED = "errored"  # the server knows that its engine is dead and is about to exit
    EXITED = "exited"


class Replica:
    """One tensor-parallel group of GPUs behind one pod."""

    def __init__(
        self,
        pod: str,
        uid: str,
        node: str,
        gpus: list[Gpu],
        settings: ClusterSettings,
        world: World,
        ledger: Ledger,
    ) -> None:
        self.name, self.uid, self.node, self.gpus = pod, uid, node, gpus
        self.entity = Entity("replica", pod)
        self._settings, self._world, self._ledger = settings, world, ledger
        self.engine = Engine(settings.engine, settings.load.output_limit, ledger, f"{settings.seed} {pod}")
        self.engine.restart(world.now)
        self.state = State.SERVING
        self.ready = True
        self.restarts = 0
        self.started_at = world.now
        self.ready_since: int = world.now
        self.last_exit = ""  # reason of the last termination, as Kubernetes spells it
        self.node_up = True
        # faults
        self.health_status = 200  # what /health says of a zombie
        self.error_share = 0.0
        self.slowdown = 1.0
        self.cache_hit = 1.0
        self._life = 0  # counts transitions, so that a plan of an earlier life is void
        self._loading_from = self._loading_until = self._hung_since = world.now
        self._failed_probes = 0
        world.timeline.plan(world.now + world.random.randrange(1, 5_000), self._probe)

    @property
    def listens(self) -> bool:
        """Whether a connection to its server is accepted."""
        return self.node_up and self.state not in (State.LOADING, State.EXITED)

    def health(self) -> int:
        """The status of GET /health, 0 for a refused connection."""
        if not self.listens:
            return 0
        if self.state is State.ZOMBIE:
            return self.health_status
        return 503 if self.state is State.ERRORED else 200

    def submit(self, request: Request) -> str:
        """Take a request: the HTTP status of an immediate failure, `refused`, or empty if it is in."""
        if not self.listens:
            return "refused"
        broken = self.state in (State.ZOMBIE, State.ERRORED)
        share = self.error_share + self._settings.load.failing
        if broken or (share and self._world.random.random() < share):
            self.engine.stats.answered("5xx", _FAST_ANSWER)
            return "500"
        self.engine.submit(request)
        return ""

    def advance(self, now: int) -> None:
        """Let the engine work up to `now`, and impatient clients leave."""
        patience = self._settings.load.patience
        if self.state is State.SERVING:
            self.engine.cache_hit = self.cache_hit
            self.engine.advance(now)
        elif self.state is State.HUNG and now - self._hung_since >= patience:
            lost = len(self.engine.take_all())
            self._ledger.aborted += lost
            self._ledger.timed_out += lost
        self.engine.drop_overdue(now, patience)

    def work(self, interval: int) -> Work:
        """What each of its GPUs did over the last `interval` ms."""
        engine = self.engine
        busy, prefill = min(1.0, engine.busy / interval), engine.prefilled * 1000 / interval
        engine.busy, engine.prefilled = 0.0, 0
        spinning = self.state is State.HUNG and self.node_up
        return Work(busy, prefill, self._memory(), spinning)

    def slowness(self) -> float:
        """The slowest rank paces them all."""
        return max((gpu.slowness for gpu in self.gpus), default=1.0) * self.slowdown

    def _memory(self) -> int:
        if self.state is State.EXITED or not self.node_up:
            return Work().memory
        full = self._settings.engine.memory
        if self.state is not State.LOADING:
            return full
        span = max(1, self._loading_until - self._loading_from)
        return max(Work().memory, round(full * min(1.0, (self._world.now - self._loading_from) / span)))

    def become(self, state: State) -> None:
        """Enter a state at once: how faults break a replica, and how they let it go again.

        Nothing happens where there is no running server to break.
        """
        if state is not State.SERVING and not self.listens:
            return
        if state is State.ERRORED:
            self.die("a fatal error")
        elif state is State.EXITED:
            self.exit("Error")
        elif state is State.ZOMBIE:
            self._fail_all("500")
            self.engine.stats.running = self.engine.stats.waiting = 0
            self.state = state
            self._world.note(
                self.entity, f"has a dead engine behind a living server (/health {self.health_status})"
            )
        elif state is State.HUNG:
            self.state, self._hung_since = state, self._world.now
            self._world.note(self.entity, "is stuck in a collective: requests run, no token comes out")
        else:
            self.restart("is started again")

    def die(self, why: str) -> None:
        """The engine dies; the server answers 500 until its process exits."""
        if self.state in (State.ERRORED, State.EXITED, State.LOADING):
            return
        lost = self._fail_all("500")
        self.state = State.ERRORED
        self._world.note(self.entity, f"loses its engine: {why}; {lost} requests in flight fail")
        self._later("process_exits", lambda: self.exit("Error"))

    def exit(self, reason: str) -> None:
        """The process ends; the kubelet starts the container again after its back-off."""
        self._fail_all("502")
        self.state, self.last_exit = State.EXITED, reason
        self.ready = False
        self._world.note(self.entity, f"exits ({reason}) and refuses connections")
        self._later("restart_backoff", self.start)

    def restart(self, why: str) -> None:
        """End the process now and start it again (what deleting or restarting the container does)."""
        self.ready, self.last_exit = False, "Completed"
        self._world.note(self.entity, why)
        self.start()

    def start(self) -> None:
        """Start the process: it loads the model and then serves, or fails where a GPU is missing."""
        if not self.node_up:
            return
        self._fail_all("502")
        self.restarts += 1
        self.started_at = self._world.now
        self._life += 1
        self.engine.restart(self._world.now)
        self.state, self.ready, self._loading_from = State.LOADING, False, self._world.now
        if not all(gpu.present for gpu in self.gpus):
            self._loading_until = self._world.now + 10 * _STARTS_WITHOUT_GPU
            life = self._life
            self._world.timeline.plan(
                self._world.now + _STARTS_WITHOUT_GPU, lambda _: self._exit_of(life, "Error")
            )
            return
        load = self._world.delay("model_load")
        self._loading_until = self._world.now + load
        life = self._life
        self._world.timeline.plan(self._loading_until, lambda _: self._serve(life))
        self._world.note(self.entity, "starts and loads the model")

    def lose_node(self) -> None:
        """The node is gone, and with it the process and every connection."""
        self._fail_all("504")
        self._life += 1
        self.node_up, self.state = False, State.EXITED

    def regain_node(self) -> None:
        """The node is back; the kubelet starts the container."""
        self.node_up = True
        self.start()

    def _exit_of(self, life: int, reason: str) -> None:
        if life == self._life:
            self.exit(reason)

    def _serve(self, life: int) -> None:
        if life != self._life:
            return
        if not all(gpu.present for gpu in self.gpus):
            self.exit("Error")
            return
        self.state = State.SERVING
        self._world.note(self.entity, "serves again")

    def _later(self, delay: str, action: Callable[[], None]) -> None:
        self._life += 1
        life = self._life

        def run(_: int) -> None:
            if life == self._life:
                action()

        self._world.after(delay, run)

    def _fail_all(self, status: str) -> int:
        lost = self.engine.take_all()
        self._ledger.failures[status] += len(lost)
        for request in lost:
            self.engine.stats.answered("5xx", (self._world.now - request.arrived) / 1000)
        return len(lost)

    def _probe(self, now: int) -> None:
        self._world.after("probe", self._probe)
        if not self.node_up:
            return
        if self.health() == 200:
            self._failed_probes = 0
            if not self.ready:
                self.ready, self.ready_since = True, now
                self._world.note(self.entity, "is ready: the balancer sends requests to it again")
            return
        self._failed_probes += 1
        if self.ready and self._failed_probes >= _UNREADY_AFTER:
            self.ready = False
            self._world.note(self.entity, "fails its readiness probe: the balancer takes it out")
