"""One day of a deployment, step by step: what the DAG's tasks and the command line call.

sample → validate_inputs → score → validate_predictions → collect_labels → compare → judge → gate

Each step reads what earlier steps left in the ledger and the snapshot store. Any of them can be killed and run again,
on any machine, and the day ends the same.
"""

from shadow_deployment.pipeline.collect_labels import collect_labels
from shadow_deployment.pipeline.compare import compare
from shadow_deployment.pipeline.gate import gate
from shadow_deployment.pipeline.judge import judge
from shadow_deployment.pipeline.sample import sample
from shadow_deployment.pipeline.score import score, scoring_plan
from shadow_deployment.pipeline.validation.inputs import check_suites, validate_inputs
from shadow_deployment.pipeline.validation.predictions import validate_predictions

__all__ = [  # noqa: RUF022 (in the order of the day)
    "check_suites",
    "sample",
    "validate_inputs",
    "scoring_plan",
    "score",
    "validate_predictions",
    "collect_labels",
    "compare",
    "judge",
    "gate",
]
