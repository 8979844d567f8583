"""The pages in Airflow and the links to them. Only the plugin's first request imports `app`."""
