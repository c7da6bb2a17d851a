"""Amazon SNS."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from alertmanager.settings.common import SecretText, Text
from alertmanager.settings.integrations.base import HTTPIntegration
from model.settings import Settings


class SigV4(Settings):
    """How requests to AWS are signed."""

    region: Text = Field("", description="The region; else that of the API's URL.")
    access_key: Text = Field("", description="The access key.")
    secret_key: SecretText | None = Field(None, description="The secret key.")
    profile: Text = Field("", description="A named profile of AWS.")
    role_arn: Text = Field("", description="A role to take.")
    external_id: Text = Field("", description="External id for the role.")
    use_fips_sts_endpoint: bool = Field(False, description="Take the FIPS endpoint of STS.")
    service_name: Text = Field("", description="The service that signatures name.")

    @model_validator(mode="after")
    def _a_pair(self) -> Self:
        if bool(self.access_key) != bool(self.secret_key):
            raise ValueError("access_key and secret_key go together")
        return self


class SNSConfig(HTTPIntegration):
    """A message to a topic, an endpoint or a telephone by Amazon SNS."""

    api_url: Text = Field("", description="The API; else that of the region.")
    sigv4: SigV4 = Field(SigV4(), description="How requests are signed.")
    topic_arn: Text = Field("", description="The topic.")
    phone_number: Text = Field("", description="The telephone.")
    target_arn: Text = Field("", description="The endpoint.")
    subject: Text = Field('{{ template "sns.default.subject" . }}', description="The subject.")
    message: Text = Field('{{ template "sns.default.message" . }}', description="The message.")
    attributes: dict[str, Text] = Field(default={}, description="Attributes; values are templates.")
    use_aws_http_client: bool = Field(False, description="Accepted for Alertmanager's sake.")

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if sum(map(bool, (self.target_arn, self.topic_arn, self.phone_number))) != 1:
            raise ValueError("exactly one of target_arn, topic_arn and phone_number must be given")
        return self
