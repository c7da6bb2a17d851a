"""Any service that apprise knows. Its calls block, so they run in threads of their own.

A service that answers a byte at a time holds its thread for as long as it likes: apprise has no time-out
for the whole. What is under way is not sent again meanwhile, and no other integration notices.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.masking import masked, secrets_in
from alertmanager.receivers.outlet import Outlet
from alertmanager.receivers.threads import Busy, Threads
from alertmanager.settings import AppriseConfig
from alertmanager.template.printers import unmentioned
from model.alert import Tier
from model.moment import SECOND
from model.settings import read_secret

_REMEMBERED = 1000


class AppriseUrls:
    """The URLs of one apprise configuration.

    A service that took a notification is not asked again when another of the same list failed; that is
    known until the process ends.
    """

    def __init__(self, config: AppriseConfig, outlet: Outlet) -> None:
        self._config = config
        self._title, self._body = outlet.title(), outlet.body()
        self._took: OrderedDict[str, set[int]] = OrderedDict()
        self._threads = Threads()

    async def send(self, notification: Notification) -> Outcome:
        """Notify every service of the list; whatever goes wrong is in the outcome, without secrets."""
        try:
            urls = urls_of(self._config)
        except OSError as error:
            return Outcome(False, True, f"urls_file cannot be read: {error.strerror}")
        took = self._took.setdefault(notification.dedup_key, set())
        while len(self._took) > _REMEMBERED:
            self._took.popitem(last=False)
        seconds = self._config.timeout / SECOND
        try:
            return await self._threads.run(
                notification.dedup_key, seconds, lambda: self._notify(urls, notification, took)
            )
        except Busy as busy:
            return Outcome(False, True, f"{_service(urls)}: {busy}")
        except TimeoutError:
            return Outcome(False, True, f"{_service(urls)} did not answer within {seconds:g}s")

    def _notify(self, urls: list[str], notification: Notification, took: set[int]) -> Outcome:
        apprise = library()
        text, heading = unmentioned(self._body(notification)), unmentioned(self._title(notification))
        failed, unknown = [], []
        for position, url in enumerate(urls):
            if position in took:
                continue
            service = apprise.Apprise()
            if not service.add(url):
                unknown.append(f"URL {position + 1} ({scheme(url)}) is none that apprise understands")
            elif _call(service, heading, text, _kind(apprise, notification)):
                took.add(position)
            else:
                failed.append(f"service {position + 1} ({scheme(url)}) did not take it")
        if failed or unknown:
            secrets = {secret for url in urls for secret in secrets_in(url)}
            return Outcome(False, bool(failed), masked("; ".join(failed + unknown), secrets))
        return Outcome(True, False, f"{_service(urls)} took it")


def library() -> Any:
    """The module apprise, without a word of its own: its log holds parts of the URLs, which are secrets."""
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    import apprise  # late: it takes a fifth of a second, and most configurations have none

    return apprise


def urls_of(config: AppriseConfig) -> list[str]:
    """The URLs, from the configuration or the file. Raises OSError."""
    if config.urls_file is None:
        return [url.get_secret_value() for url in config.urls]
    text = read_secret(None, config.urls_file) or ""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def scheme(url: str) -> str:
    """The part of an apprise URL that is no secret: which service it is."""
    return url.partition("://")[0] if "://" in url else "no scheme"


def _call(service: Any, heading: str, text: str, kind: Any) -> bool:
    try:
        return bool(service.notify(title=heading, body=text, notify_type=kind, body_format="text"))
    except Exception:  # a plugin of a third party must not end the way of the others
        return False


def _kind(apprise: Any, notification: Notification) -> Any:
    if notification.status == "resolved":
        return apprise.NotifyType.SUCCESS
    return apprise.NotifyType.FAILURE if notification.tier <= Tier.P1 else apprise.NotifyType.WARNING


def _service(urls: list[str]) -> str:
    return ", ".join(sorted({scheme(url) for url in urls})) or "an empty list of services"
