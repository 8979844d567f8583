"""When a task is tried again: not where the same answer would come."""

import datetime as dt

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from shadow_deployment.errors import PermanentError, TransientError

RETRY = ExceptionRetryPolicy(
    rules=[
        RetryRule(PermanentError, action=RetryAction.FAIL, reason="trying again gives the same answer"),
        RetryRule(TransientError, action=RetryAction.RETRY, retry_delay=dt.timedelta(minutes=1)),
    ]
)
