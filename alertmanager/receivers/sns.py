"""Amazon SNS: `Publish` of its query API, signed by signature version 4.

Keys stand in the configuration or in AWS_ACCESS_KEY_ID and its like. Profiles and roles need AWS' own
library, which is not here: they are an error at load.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.outlet import Outlet
from alertmanager.receivers.posting import Poster
from alertmanager.settings.common import TIMEOUT
from alertmanager.settings.integrations.sns import SNSConfig
from alertmanager.text import cut_bytes

LARGEST = 256 * 1024
"""Bytes of a message, and of a text message 1600; source: SNS' API."""

_SMS = 1600
_REGION = re.compile(r"sns[.-](?:fips\.)?([a-z0-9-]+)\.amazonaws|:sns:([a-z0-9-]+):")


class SNS:
    """One topic, endpoint or telephone."""

    def __init__(self, config: SNSConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._poster = Poster(config.http_config, TIMEOUT, outlet.session)
        self._subject = outlet.human(config, "subject", outlet.title(limit=100))
        self._text = outlet.human(
            config, "message", outlet.body(limit=_SMS if config.phone_number else LARGEST)
        )
        names = ("api_url", "topic_arn", "target_arn", "phone_number")
        self._texts = {name: outlet.fill(getattr(config, name)) for name in names}
        self._attributes = outlet.tree(config.attributes)

    async def send(self, notification: Notification) -> Outcome:
        """Publish it."""
        form = self._form(notification)
        region = region_of(self._config, form)
        url = self._texts["api_url"](notification) or f"https://sns.{region}.amazonaws.com/"
        body = "&".join(
            f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(form.items())
        ).encode()
        keys = keys_of(self._config)
        if not keys[0] or not region:
            return Outcome(False, False, "SNS needs sigv4.access_key and secret_key, and a region")
        headers = signed(url, body, region, keys, datetime.now(UTC))
        return await self._poster.post(url, body, headers=headers, secrets=set(keys) - {""})

    def _form(self, notification: Notification) -> dict[str, str]:
        texts = {name: fill(notification) for name, fill in self._texts.items()}
        room = min(self._outlet.cap, LARGEST) or LARGEST
        limit = _SMS if texts["phone_number"] else room // 4  # in a form most bytes become three
        form = {
            "Action": "Publish",
            "Version": "2010-03-31",
            "Message": cut_bytes(self._text(notification), limit) or "(no details)",
        }
        subject = " ".join(self._subject(notification).encode("ascii", "replace").decode().split())
        if subject and not texts["phone_number"]:
            form["Subject"] = subject[:100]
        for name, key in (
            ("topic_arn", "TopicArn"),
            ("target_arn", "TargetArn"),
            ("phone_number", "PhoneNumber"),
        ):
            if texts[name]:
                form[key] = texts[name]
        if form.get("TopicArn", "").endswith(".fifo"):
            form["MessageGroupId"] = hashlib.sha256(notification.group_key.encode()).hexdigest()
            form["MessageDeduplicationId"] = notification.dedup_key
        for position, (name, value) in enumerate(self._attributes(notification).items(), 1):
            entry = f"MessageAttributes.entry.{position}"
            form[f"{entry}.Name"] = name
            form[f"{entry}.Value.DataType"], form[f"{entry}.Value.StringValue"] = "String", value or " "
        return {name: value.encode(errors="replace").decode() for name, value in form.items()}


def keys_of(config: SNSConfig) -> tuple[str, str, str]:
    """Access key, secret key and session token; empty where there are none."""
    own = config.sigv4
    if own.access_key and own.secret_key is not None:
        return own.access_key, own.secret_key.get_secret_value(), ""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    first, second, third = (os.environ.get(name, "") for name in names)
    return (first, second, third) if first and second else ("", "", "")


def region_of(config: SNSConfig, form: Mapping[str, str]) -> str:
    """The region, from the settings, the API's URL, the topic or the environment."""
    if config.sigv4.region:
        return config.sigv4.region
    found = _REGION.search(" ".join((config.api_url, form.get("TopicArn", ""), form.get("TargetArn", ""))))
    return (found[1] or found[2]) if found else os.environ.get("AWS_REGION", "")


def signed(url: str, body: bytes, region: str, keys: tuple[str, str, str], now: datetime) -> dict[str, str]:
    """The headers of a request with its signature; source: AWS, Signature Version 4 signing process."""
    access, secret, session = keys
    parts = urlsplit(url)
    moment, day = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}"
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "host": parts.netloc,
        "x-amz-date": moment,
        **({"x-amz-security-token": session} if session else {}),
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    digest = hashlib.sha256(body).hexdigest()
    request = f"POST\n{parts.path or '/'}\n{parts.query}\n{lines}\n{names}\n{digest}"
    scope = f"{day}/{region}/sns/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (day, region, "sns", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return {
        "Content-Type": headers["content-type"],
        "X-Amz-Date": moment,
        **({"X-Amz-Security-Token": session} if session else {}),
        "Authorization": f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}",
    }
