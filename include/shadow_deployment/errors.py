"""The errors of the engine.

ShadowError
├── PermanentError            trying again gives the same answer
│   ├── DeploymentError       a deployment file: key, what was got, what is allowed, file and line
│   │   └── NotFoundError     there is no such deployment, challenger or day; what there is
│   ├── CredentialsError      a connection that is not declared, or that the server refuses
│   ├── SourceError           a table or column of production is missing or has the wrong type
│   ├── LedgerError           the schema `shadow` is missing, behind, or contradicts what is asked
│   ├── ModelError            a challenger's model cannot be loaded or has other inputs than the features
│   ├── MetricError           a custom metric's function cannot be used, or returns what is no value
│   ├── SnapshotError         a snapshot is missing, incomplete or not the one that was registered
│   ├── RegistryError         a promotion or a rollback is refused: what stands in its way
│   ├── ValidationFailed      an expectation does not hold: the day, or the challenger, stops
│   └── GateFailed            the verdict is FAIL, or the day's evidence is not comparable
└── TransientError            a lost connection, a time-out: worth another try
"""


class ShadowError(Exception):
    """Base of all errors that the engine raises on purpose; its text is for the user."""


class PermanentError(ShadowError):
    """Trying again gives the same answer: the input, the configuration or the verdict is the reason."""


class DeploymentError(PermanentError):
    """A deployment file cannot be used."""


class NotFoundError(DeploymentError):
    """There is no deployment, challenger or day of a name; the text says which there are."""


class CredentialsError(PermanentError):
    """A connection is not declared, or the server refuses its credentials."""


class SourceError(PermanentError):
    """Production lacks a table or a column, or a column has a type that cannot be used."""


class LedgerError(PermanentError):
    """The ledger is not migrated, or what it holds contradicts what is asked."""


class ModelError(PermanentError):
    """A model cannot be loaded, or does not fit the deployment's features."""


class MetricError(PermanentError):
    """A custom metric's function cannot be loaded, fails, or does not return a value for each request."""


class SnapshotError(PermanentError):
    """A snapshot is missing, incomplete, or differs from the one that was registered."""


class RegistryError(PermanentError):
    """A promotion or a rollback is refused, or a file that tells others of it is not written."""


class ValidationFailed(PermanentError):  # noqa: N818 (it is an outcome, as Airflow's own AirflowFailException)
    """An expectation does not hold on the inputs or on one challenger's predictions."""


class GateFailed(PermanentError):  # noqa: N818
    """The verdict is FAIL, or the day's evidence is not comparable."""


class TransientError(ShadowError):
    """A lost connection or a time-out: the same call may succeed later."""
