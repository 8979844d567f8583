"""The template as data, with CloudFormation's short forms written out."""

from typing import Any

from cfnlint.decode import cfn_yaml

from tests.conftest import PROJECT

PATH = PROJECT / "include" / "infrastructure" / "shadow.yaml"
PARSED: dict[str, Any] = cfn_yaml.load(str(PATH))
