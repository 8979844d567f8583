"""CloudWatch as far as it is called here: what moto has received."""

import datetime as dt
import json
import urllib.request
from typing import Any

import pytest

from tests.integration.promotion.promoting import settings
from tests.production import World
from tests.receivers import REGION

SECRET = "s3cret/never+in=the*log"


class Receiver:
    """CloudWatch in memory, of which one namespace is looked at."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.namespace = "Shadow/late"
        self.client = self.service("cloudwatch")

    def tell(self, what: str, value: str = "") -> None:
        """Tell the imitation itself something, which it knows by this name."""
        plain = {"Content-Type": "text/plain"}
        urllib.request.urlopen(
            urllib.request.Request(f"{self.endpoint}/moto-api/{what}", value.encode(), plain)
        ).close()

    def service(self, name: str) -> Any:
        import boto3

        own = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        return boto3.client(name, endpoint_url=self.endpoint, region_name=REGION, **own)

    def connection(self, login: str = "AKIAEXAMPLE", password: str = SECRET, **extra: Any) -> str:
        fields = {"endpoint_url": self.endpoint, "region_name": REGION, **extra}
        return json.dumps({"conn_type": "aws", "login": login, "password": password, "extra": fields})

    def series(self) -> list[tuple[str, dict[str, str]]]:
        """Return name and dimensions of every series of the namespace."""
        pages = self.client.get_paginator("list_metrics").paginate(Namespace=self.namespace)
        return [
            (one["MetricName"], {each["Name"]: each["Value"] for each in one["Dimensions"]})
            for page in pages
            for one in page["Metrics"]
        ]

    def read(self, **dimensions: str) -> dict[str, float]:
        """Return by metric the one datum of each series of exactly these dimensions."""
        names = [name for name, own in self.series() if own == dimensions]
        asked = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        metrics = [{"Namespace": self.namespace, "MetricName": name, "Dimensions": asked} for name in names]
        queries = [
            {"Id": f"{stat.lower()}_{number}", "MetricStat": {"Metric": metric, "Period": 3600, "Stat": stat}}
            for number, metric in enumerate(metrics)
            for stat in ("Sum", "SampleCount")
        ]
        if not queries:
            return {}
        now = dt.datetime.now(dt.UTC)
        span = {"StartTime": now - dt.timedelta(minutes=30), "EndTime": now + dt.timedelta(minutes=30)}
        answered = self.client.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"]
        found = {one["Id"]: sum(one["Values"]) for one in answered}
        assert all(found[f"samplecount_{number}"] == 1 for number in range(len(names)))
        return {name: found[f"sum_{number}"] for number, name in enumerate(names)}

    def rolled_up(self) -> dict[str, float]:
        return self.read(environment="staging")

    def of(self, challenger: str) -> dict[str, float]:
        return self.read(environment="staging", deployment="late", challenger=challenger, slice="all")


def asked(world: World, receiver: Receiver, **changes: Any) -> dict[str, Any]:
    own = {"environment": "staging", "namespace": receiver.namespace, **changes}
    return settings(world, cloudwatch=own)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
