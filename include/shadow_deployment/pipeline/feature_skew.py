"""Feature skew: where a challenger's own features differ from those that the champion logged for the same requests.

A value differs where only one of the two is there, or where two numbers are more than a millionth of the own one apart;
times and texts where they are not the same.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.data.rows import SnapshotRows
from shadow_deployment.ledger import predictions
from shadow_deployment.ledger.evidence import CustomValues
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.catalog import SKEW, skew_of
from shadow_deployment.metrics.losses import Array, Batch, Both
from shadow_deployment.pipeline.challengers import own_features
from shadow_deployment.pipeline.custom_values import DayFeatures, custom_values
from shadow_deployment.pipeline.sample import files_of

_TOLERANCE: Final = 1e-6


def request_values(context: DeploymentContext, session: Session[Any], snapshot: Snapshot) -> CustomValues | None:
    """Return what computes a day's custom metrics and feature skew; None where the deployment has neither.

    Raises as `custom_values` does.
    """
    custom = custom_values(context, snapshot)
    skew = _Skew(context, session, snapshot) if SKEW in context.deployment.tracked and snapshot.rows else None
    if custom is None and skew is None:
        return None
    return lambda key, batch: (custom(batch) if custom else {}) | (skew.values(key, batch) if skew else {})


class _Skew:
    """The feature skew of a day's challengers, batch by batch; what a challenger has not kept has no value."""

    def __init__(self, context: DeploymentContext, session: Session[Any], snapshot: Snapshot) -> None:
        deployment = context.deployment
        self._names = {name: skew_of(name).name for name in deployment.skewable}
        self._key_of = predictions.challenger_names(session, deployment)
        rows = SnapshotRows(context.store, snapshot.location, files_of(context, snapshot).parts)
        self._there = {*rows.schema.names}
        self._logged = DayFeatures(rows, [*self._names])
        self._own: dict[str, DayFeatures | None] = {}
        self._taken: dict[str, list[str]] = {}
        for model in deployment.challengers:
            if model.features_from is not None:
                own = own_features.rows_of(context, snapshot, model)
                self._own[model.name] = None if own is None else DayFeatures(own, model.features_from.features)
                self._taken[model.name] = [name for name in self._names if name in model.features_from.features]

    def values(self, key: int, batch: Batch) -> dict[str, Both]:
        """Return the value of `feature_skew` and of each feature's part for each request, the champion's being 0."""
        nothing, none = np.full(len(batch.ordinal), np.nan), np.zeros(len(batch.ordinal))
        name = self._key_of.get(key, "")
        shares = self._shares(name, batch) if len(batch.ordinal) else {}
        any_ = np.max(list(shares.values()), axis=0) if shares else nothing if self._taken.get(name) else none
        each = {metric: shares.get(feature, nothing) for feature, metric in self._names.items()}
        return {metric: (none, values) for metric, values in {SKEW: any_, **each}.items()}

    def _shares(self, name: str, batch: Batch) -> Mapping[str, Array]:
        own = self._own.get(name)
        names = [feature for feature in self._taken.get(name, ()) if feature in self._there]
        if own is None or not names:
            return {}
        logged, taken = self._logged.of(batch.ordinal), own.of(batch.ordinal)
        return {feature: differ(logged[feature], taken[feature]).astype(np.float64) for feature in names}


def differ(logged: pa.Array, own: pa.Array) -> NDArray[np.bool_]:
    """Return where two columns differ, shape (n,)."""
    if _is_number(logged.type) and _is_number(own.type):
        served, fetched = (each.cast(pa.float64()).to_numpy(zero_copy_only=False) for each in (logged, own))
        return np.asarray(~np.isclose(served, fetched, rtol=_TOLERANCE, atol=0, equal_nan=True), np.bool_)
    if _is_time(logged.type) and _is_time(own.type):
        logged, own = (each.cast(pa.timestamp("us")) for each in (logged, own))
    same = pc.equal(logged.cast(pa.string()), own.cast(pa.string()))
    both_null = pc.and_(pc.is_null(logged), pc.is_null(own))
    return np.asarray(~pc.or_(pc.fill_null(same, False), both_null).to_numpy(zero_copy_only=False), np.bool_)


def _is_number(type_: pa.DataType) -> bool:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(is_kind(type_) for is_kind in kinds)


def _is_time(type_: pa.DataType) -> bool:
    return bool(pa.types.is_date(type_) or pa.types.is_timestamp(type_))
