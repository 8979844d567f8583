"""The template: what it encrypts, keeps, allows and alarms on, as cfn-lint and a reader of its text see it.

How CloudFormation carries it out is not tested here: no imitation of it that runs on one machine makes alarms, topic
policies or MWAA environments.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.infrastructure import template
from tests.integration.infrastructure.template import PARSED
from tests.integration.infrastructure.template_parts import (
    ALARMS,
    METRICS,
    RESOURCES,
    UNBOUNDED,
    WORKER_ACTIONS,
    identity_policies,
    listed,
    nodes,
    properties,
    statements,
    worker,
)


def test_cfn_lint_finds_nothing() -> None:
    lint = [Path(sys.executable).with_name("cfn-lint"), template.PATH]
    ended = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


def test_it_is_short_enough_to_be_sent_with_the_call() -> None:
    assert template.PATH.stat().st_size <= 51_200


def test_it_knows_no_account_and_no_region() -> None:
    text = template.PATH.read_text(encoding="utf-8")
    assert not re.search(r"\b\d{12}\b", text)
    assert not re.search(r"\b(af|ap|ca|eu|me|sa|us)(-gov)?-(north|south|east|west|central)+-\d\b", text)
    assert "arn:aws:" not in text


def test_every_parameter_says_what_it_is_for_and_what_it_takes() -> None:
    for name, one in PARSED["Parameters"].items():
        assert len(one["Description"]) > 20, name
        assert "AllowedValues" in one or "AllowedPattern" in one or {"MinValue", "MaxValue"} <= set(one), name
        assert "AllowedPattern" not in one or "ConstraintDescription" in one, name
        if "Default" in one and "AllowedPattern" in one:
            assert re.fullmatch(one["AllowedPattern"], one["Default"]), name
    assert PARSED["Parameters"]["Environment"]["AllowedValues"] == ["dev", "staging", "prod"]
    assert not [name for name in PARSED["Parameters"] if "password" in name.lower()]


def test_the_readme_has_every_parameter_with_its_default_and_every_resource() -> None:
    text = template.PATH.with_name("README.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for name, one in PARSED["Parameters"].items():
        if name in ("Environment", "ProjectName"):  # ENV and PROJECT of make
            continue
        [row] = [row for row in rows if f"`{name}`" in row.split("|")[1]]
        assert str(one["Default"]) in row.split("|")[3], row
    named = {name for row in rows for name in re.findall(r"`(\w+)…?`", row.split("|")[1])}
    grouped = {re.sub(r"^(Database|Mwaa)\w*$", r"\1", name) for name in RESOURCES}
    assert grouped <= named, grouped - named


@pytest.mark.parametrize(
    ("parameter", "allowed", "refused"),
    [
        ("WorkerPrincipalArn", "arn:aws:iam::123456789012:role/airflow/worker", "*"),
        ("WorkerPrincipalArn", "arn:aws-cn:iam::123456789012:user/ada", "arn:aws:iam::123456789012:root"),
        (
            "KmsKeyArn",
            "arn:aws:kms:eu-central-1:123456789012:key/1b2c-3d",
            "arn:aws:kms:eu-central-1:123456789012:alias/a",
        ),
        ("ModelPrefix", "models/nba/", "/models/"),
        ("ModelPrefix", "a/", "*/"),
        ("PrivateSubnetIds", "subnet-0a1b2c3d,subnet-0a1b2c3e", "subnet-0a1b2c3d"),
        ("DatabaseVersion", "17.4", "14"),
        ("MwaaPluginsVersion", "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo", "two ids"),
        ("MetricNamespace", "Shadow", "AWS Shadow"),
        ("AlertEmail", "ada@example.com", "ada"),
    ],
)
def test_patterns_tell_right_from_wrong(parameter: str, allowed: str, refused: str) -> None:
    pattern = PARSED["Parameters"][parameter]["AllowedPattern"]
    assert re.fullmatch(pattern, allowed)
    assert not re.fullmatch(pattern, refused)


def test_no_name_stands_for_two_things() -> None:
    names = [name for section in ("Parameters", "Mappings", "Conditions", "Resources") for name in PARSED[section]]
    assert len(names) == len(set(names))


def test_everything_that_can_is_tagged_with_project_and_environment() -> None:
    untagged = {"BucketPolicy", "TopicPolicy", "Subscription", "Dashboard", "ManagedPolicy", "SecurityGroupIngress"}
    for name, one in RESOURCES.items():
        if one["Type"].rsplit("::", 1)[1] in untagged:
            continue
        tags = one["Properties"]["Tags"]
        found = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
        assert found == {"Project": {"Ref": "ProjectName"}, "Environment": {"Ref": "Environment"}}, name


# ---- bucket, topic, logs


def test_the_bucket_is_versioned_encrypted_and_private() -> None:
    bucket = properties("Bucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == {"Fn::If": ["HasKey", "aws:kms", "AES256"]}
    blocked = bucket["PublicAccessBlockConfiguration"]
    assert len(blocked) == 4
    assert all(value is True for value in blocked.values())
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_nobody_reaches_bucket_or_topic_without_tls() -> None:
    for name in ("BucketPolicy", "AlertTopicPolicy"):
        found = list(statements(properties(name)["PolicyDocument"]))
        (denied,) = [one for one in found if one["Effect"] == "Deny"]
        assert denied["Principal"] == "*"
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    (only,) = statements(properties("BucketPolicy")["PolicyDocument"])
    assert (only["Action"], only["Resource"]) == (
        "s3:*",
        [{"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/*"}],
    )


def test_the_life_cycle_deletes_only_what_was_overwritten_or_never_finished() -> None:
    rules = properties("Bucket")["LifecycleConfiguration"]["Rules"]
    keys = set().union(*rules) - {"Id", "Status", "Prefix"}
    assert keys == {
        "Transitions",
        "NoncurrentVersionExpiration",
        "ExpiredObjectDeleteMarker",
        "AbortIncompleteMultipartUpload",
    }
    assert {rule["Status"] for rule in rules} == {"Enabled"}


def test_only_alarms_of_this_stack_may_publish_beside_the_account_itself() -> None:
    document = properties("AlertTopicPolicy")["PolicyDocument"]
    (allowed,) = [one for one in statements(document) if one["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    source = allowed["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
    prefix = source.rsplit(":alarm:", 1)[1].removesuffix("*")
    assert all(properties(name)["AlarmName"]["Fn::Sub"].startswith(prefix) for name in ALARMS)


def test_evidence_outlives_the_stack() -> None:
    kept = {name: one for name, one in RESOURCES.items() if "DeletionPolicy" in one}
    assert {name: one.get("DeletionPolicy", "Delete") for name, one in RESOURCES.items()} == {
        **dict.fromkeys(RESOURCES, "Delete"),
        "Bucket": "Retain",
        "BucketPolicy": "Retain",
        "TaskLogs": "Retain",
        "Database": "Snapshot",
    }
    assert all(one["UpdateReplacePolicy"] == one["DeletionPolicy"] for one in kept.values())
    # A name of our own would make the next stack fail on what this one has left.
    assert not [
        name for name, key in [("Bucket", "BucketName"), ("TaskLogs", "LogGroupName")] if key in properties(name)
    ]
    assert "DBInstanceIdentifier" not in properties("Database")


def test_prod_keeps_longer_than_staging_and_staging_longer_than_dev() -> None:
    kept = PARSED["Mappings"]["Kept"]
    assert list(kept) == PARSED["Parameters"]["Environment"]["AllowedValues"]
    for key in kept["dev"]:
        assert kept["dev"][key] < kept["staging"][key] < kept["prod"][key]
    assert properties("TaskLogs")["RetentionInDays"] == {"Fn::FindInMap": ["Kept", {"Ref": "Environment"}, "Logs"]}


# ---- alarms and dashboard


def test_there_is_an_alarm_for_each_thing_that_goes_wrong() -> None:
    assert {properties(name)["MetricName"] for name in ALARMS} == METRICS - {"verdict"}


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_watches_this_environment_and_tells_the_topic(name: str) -> None:
    alarm = properties(name)
    assert alarm["Namespace"] == {"Ref": "MetricNamespace"}
    assert alarm["Dimensions"] == [{"Name": "environment", "Value": {"Ref": "Environment"}}]
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlertTopic"}]
    assert len(_words(alarm["AlarmDescription"])) > 20


def test_silence_rings_once_and_never_counts_as_recovery() -> None:
    missing = {properties(name)["MetricName"]: properties(name)["TreatMissingData"] for name in ALARMS}
    assert missing == {
        "verdict_published": "breaching",
        "gate_failed": "ignore",
        "scoring_errors": "ignore",
        "label_coverage": "ignore",
    }


def test_no_verdict_rings_only_after_more_than_a_whole_day_without_one() -> None:
    alarm = properties("NoVerdictAlarm")
    assert (alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"]) == ("Sum", "LessThanThreshold", 1)
    assert alarm["EvaluationPeriods"] == alarm["DatapointsToAlarm"] == {"Ref": "SilenceHours"}
    assert "${SilenceHours} hours" in _words(alarm["AlarmDescription"]), "who is woken reads how long it was silent"
    hours = PARSED["Parameters"]["SilenceHours"]
    assert alarm["Period"] == 3600
    assert hours["MinValue"] > 24
    assert hours["MaxValue"] * alarm["Period"] <= 604_800, "CloudWatch looks back a week at most"


@pytest.mark.parametrize(
    ("name", "statistic", "operator", "threshold"),
    [
        ("GateFailedAlarm", "Maximum", "GreaterThanOrEqualToThreshold", 1),
        ("ScoringErrorsAlarm", "Maximum", "GreaterThanThreshold", {"Ref": "ScoringErrorShare"}),
        ("LabelCoverageAlarm", "Minimum", "LessThanThreshold", {"Ref": "LabelCoverageShare"}),
    ],
)
def test_the_worst_of_the_day_decides(name: str, statistic: str, operator: str, threshold: Any) -> None:
    alarm = properties(name)
    assert (alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"]) == (statistic, operator, threshold)
    assert (alarm["Period"], alarm["EvaluationPeriods"]) == (86_400, 1)


def test_the_dashboard_is_json_of_metrics_and_alarms_that_exist() -> None:
    values = {"MetricNamespace": "Shadow", "ScoringErrorShare": "0.01", "LabelCoverageShare": "0.8"}
    body = re.sub(
        r"\$\{([^}]+)}",
        lambda found: values.get(found[1], found[1]),
        properties("Dashboard")["DashboardBody"]["Fn::Sub"],
    )
    widgets = json.loads(body)["widgets"]
    alarms = next(one["properties"]["alarms"] for one in widgets if one["type"] == "alarm")
    assert sorted(alarms) == sorted(f"{name}.Arn" for name in ALARMS)
    shown = {metric[1] for one in widgets for metric in one["properties"].get("metrics", []) if len(metric) > 1}
    searched = set(re.findall(r'MetricName="(\w+)"', " ".join(v for v in nodes(widgets) if isinstance(v, str))))
    assert shown | searched == METRICS


# ---- rights


def test_no_right_is_given_by_a_wildcard() -> None:
    for name, one in identity_policies():
        assert one["Effect"] == "Allow"
        actions = listed(one["Action"])
        assert not [action for action in actions if "*" in action], name
        if "*" in listed(one.get("Resource")):
            assert set(actions) <= UNBOUNDED, f"{name}: {one['Sid']}"
        if "cloudwatch:PutMetricData" in actions:
            assert "cloudwatch:namespace" in one["Condition"]["StringEquals"], name


def test_a_worker_may_do_what_it_does_and_nothing_else() -> None:
    found = list(statements(properties("WorkerPolicy")["PolicyDocument"]))
    assert {action for one in found for action in listed(one["Action"])} == WORKER_ACTIONS
    assert properties("WorkerRole")["ManagedPolicyArns"] == [{"Ref": "WorkerPolicy"}]
    assert "Policies" not in properties("WorkerRole")


def test_a_worker_reads_models_and_writes_below_its_own_prefix_alone() -> None:
    text, names = worker("ReadModels")["Resource"]["Fn::Sub"]
    assert text.endswith(":::${Name}/${ModelPrefix}*")
    assert names == {"Name": {"Fn::If": ["HasModelBucket", {"Ref": "ModelBucket"}, {"Ref": "Bucket"}]}}
    assert worker("ReadModels")["Action"] == "s3:GetObject"
    writing = [
        one for one in statements(properties("WorkerPolicy")["PolicyDocument"]) if "s3:PutObject" in one["Action"]
    ]
    assert [one["Resource"] for one in writing] == [{"Fn::Sub": "${Bucket.Arn}/shadow/*"}]
    # With a condition S3 would answer 403 for a manifest that is not there yet, and promotion could never write one.
    assert "Condition" not in worker("TellMissingFromForbidden")


def test_what_a_worker_writes_to_is_this_stacks_own() -> None:
    assert worker("PublishAlerts")["Resource"] == {"Ref": "AlertTopic"}
    assert worker("PutMetrics")["Condition"] == {"StringEquals": {"cloudwatch:namespace": {"Ref": "MetricNamespace"}}}
    assert worker("WriteLogs")["Resource"] == {"Fn::GetAtt": ["TaskLogs", "Arn"]}
    assert worker("UseKey")["Resource"] == {"Ref": "KmsKeyArn"}
    assert "kms:ViaService" in worker("UseKey")["Condition"]["StringEquals"]


def test_the_workers_role_trusts_only_who_is_named() -> None:
    trusted = [one["Principal"] for one in statements(properties("WorkerRole")["AssumeRolePolicyDocument"])]
    assert trusted == [{"AWS": {"Ref": "WorkerPrincipalArn"}}, {"Service": {"Ref": "WorkerService"}}]
    assert RESOURCES["WorkerRole"]["Condition"] == "HasWorkerTrust"
    assert PARSED["Conditions"]["HasWorkerTrust"] == {
        "Fn::Or": [{"Condition": "HasPrincipal"}, {"Condition": "HasService"}]
    }


def test_the_role_of_mwaa_is_the_workers_and_cannot_be_borrowed_from_another_account() -> None:
    assert properties("MwaaRole")["ManagedPolicyArns"] == [{"Ref": "WorkerPolicy"}]
    (trust,) = statements(properties("MwaaRole")["AssumeRolePolicyDocument"])
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert properties("Mwaa")["WebserverAccessMode"] == "PRIVATE_ONLY"


# ---- options


def test_mwaa_reads_the_keys_that_make_package_writes() -> None:
    found = properties("Mwaa")
    keys = {found[name] for name in ("DagS3Path", "PluginsS3Path", "RequirementsS3Path", "StartupScriptS3Path")}
    assert keys == {f"airflow/{name}" for name in ("dags", "plugins.zip", "requirements.txt", "startup.sh")}
    assert PARSED["Parameters"]["MwaaAirflowVersion"]["Default"] == "3.3.1"


def test_database_and_mwaa_are_made_only_where_they_are_wanted() -> None:
    for name, one in RESOURCES.items():
        if re.match(r"AWS::(RDS|EC2|MWAA)::", one["Type"]) or name == "MwaaRole":
            assert re.match(r"Has(Database|Mwaa)", one["Condition"]), name
    for option in ("WithDatabase", "WithMwaa"):
        assert PARSED["Parameters"][option]["Default"] == "false"
        (rule,) = [one for one in PARSED["Rules"].values() if option in str(one["RuleCondition"])]
        asked = {ref["Ref"] for ref in nodes(rule["Assertions"]) if isinstance(ref, dict) and "Ref" in ref}
        assert asked == {"VpcId", "PrivateSubnetIds"}


def test_the_database_is_encrypted_private_and_makes_its_own_password() -> None:
    database = properties("Database")
    assert database["StorageEncrypted"] is True
    assert database["PubliclyAccessible"] is False
    assert database["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in database
    assert database["MultiAZ"] == database["DeletionProtection"] == {"Fn::If": ["IsProd", True, False]}
    assert database["DBName"] == {"Ref": "DatabaseName"}
    assert PARSED["Parameters"]["DatabaseName"]["Default"] == "nba_simulator"


def test_only_members_of_two_security_groups_reach_the_database() -> None:
    assert "SecurityGroupIngress" not in properties("DatabaseSecurityGroup")
    ways = [one["Properties"] for one in RESOURCES.values() if one["Type"] == "AWS::EC2::SecurityGroupIngress"]
    assert all("SourceSecurityGroupId" in way and "CidrIp" not in way for way in ways)
    to_database = [way for way in ways if way["GroupId"] == {"Fn::GetAtt": ["DatabaseSecurityGroup", "GroupId"]}]
    assert [(way["FromPort"], way["ToPort"]) for way in to_database] == [(5432, 5432)] * 2


def test_outputs_that_need_an_option_hang_on_it_and_none_holds_a_secret() -> None:
    outputs = PARSED["Outputs"]
    assert {"BucketName", "SnapshotsUri", "TopicArn", "LogGroupName", "WorkerPolicyArn", "DatabaseHost"} <= set(outputs)
    for name, one in outputs.items():
        for prefix, condition in {"Database": "HasDatabase", "Mwaa": "HasMwaa"}.items():
            assert not name.startswith(prefix) or one["Condition"] == condition, name
    assert "{{resolve:" not in template.PATH.read_text(encoding="utf-8")


def _words(description: str | dict[str, str]) -> str:
    return description if isinstance(description, str) else description["Fn::Sub"]
