"""The shadow pages in Airflow's UI, where the package is mounted and not installed.

An installed package registers its plugin by an entry point. Airflow takes a plugin that it finds twice for an import
error, so then there is nothing to find here.
"""

from importlib.metadata import entry_points

if not entry_points(group="airflow.plugins", name="shadow"):
    from shadow_deployment.orchestration.ui.plugin import ShadowPlugin  # noqa: F401 (Airflow looks for it here)
