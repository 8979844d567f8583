"""What metrics are called elsewhere: in scikit-learn, gradient boosting libraries and papers."""

from typing import Final

_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "absolute_error": ("mae", "mean_absolute_error", "l1", "mean_ae", "absolute_loss"),
    "squared_error": ("mse", "rmse", "mean_squared_error", "root_mean_squared_error", "l2", "squared_loss"),
    "pinball_loss": ("pinball", "quantile_loss", "mean_pinball_loss", "quantile"),
    "bias": ("me", "mbe", "mean_error", "mean_bias_error"),
    "r2": ("r_squared", "rsquared", "r2_score", "explained_variance"),
    "log_loss": (
        *("logloss", "cross_entropy", "crossentropy", "binary_cross_entropy", "categorical_cross_entropy", "bce", "ce"),
        *("nll", "negative_log_likelihood", "neg_log_loss", "binary_logloss", "multi_logloss", "mlogloss"),
    ),
    "brier_score": ("brier", "brier_score_loss", "brier_loss"),
    "accuracy": ("acc", "accuracy_score"),
    "precision": ("ppv", "precision_score", "positive_predictive_value"),
    "recall": ("tpr", "sensitivity", "recall_score", "true_positive_rate", "hit_rate"),
    "f1": ("f1_score", "f_score", "fscore", "f_measure"),
    "roc_auc": ("auc", "auroc", "rocauc", "roc", "roc_auc_score", "area_under_curve"),
    "average_precision": ("ap", "aucpr", "auprc", "pr_auc", "prauc", "average_precision_score"),
    "calibration_error": ("ece", "expected_calibration_error", "calibration"),
    "population_stability_index": ("psi", "stability_index"),
    "kolmogorov_smirnov": ("ks", "ks_statistic", "ks_test"),
    "error_rate": ("errors", "failure_rate"),
    "label_coverage": ("coverage",),
    "latency_p50": ("p50", "latency", "median_latency"),
    "latency_p95": ("p95",),
    "latency_p99": ("p99",),
}
_NAMES: Final = {alias: name for name, aliases in _ALIASES.items() for alias in aliases}
_WITHOUT: Final[dict[str, str]] = {  # metrics that there are not, and what to use
    **dict.fromkeys(("mape", "smape", "mean_absolute_percentage_error", "wape"), "absolute_error"),
    **dict.fromkeys(("rmsle", "msle", "mean_squared_log_error"), "squared_error"),
    **dict.fromkeys(("mcc", "matthews_corrcoef", "balanced_accuracy", "kappa"), "accuracy"),
}


def metric_meant(name: str) -> str | None:
    """Return the metric that a name stands for elsewhere; None where it stands for none."""
    return _NAMES.get(_plain(name))


def metric_instead(name: str) -> str | None:
    """Return the metric to use in place of one that is not there, None for any other name."""
    return _WITHOUT.get(_plain(name))


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")
